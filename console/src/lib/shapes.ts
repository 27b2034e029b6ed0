/** Shapes of marks on a grid of 16 px, as SVG paths: pages draw them in <svg>, canvas by Path2D. */
export interface Shape {
  /** Filled areas. */
  fill?: string;
  /** Lines of 1.75 px. */
  line?: string;
  /** Lines that are dashed or dotted. */
  dashed?: string;
  /** Drawn on the filled area in the colour of the page. */
  cut?: string;
}

const DISC = "M8 2a6 6 0 1 1 0 12a6 6 0 1 1 0-12z";
const RING = "M8 2.75a5.25 5.25 0 1 1 0 10.5a5.25 5.25 0 1 1 0-10.5z";
const OCTAGON = "M5.5 2h5L14 5.5v5L10.5 14h-5L2 10.5v-5z";
const SQUARE = "M3.5 3.5h9v9h-9z";

export const SHAPES = {
  ring: { line: RING },
  dottedRing: { dashed: RING },
  halfDisc: { line: RING, fill: "M8 2.75a5.25 5.25 0 0 1 0 10.5z" },
  disc: { fill: DISC },
  tick: { fill: DISC, cut: "M5 8.2l2.1 2.1L11 6.2" },
  cross: { fill: OCTAGON, cut: "M5.6 5.6l4.8 4.8M10.4 5.6l-4.8 4.8" },
  octagon: { fill: OCTAGON, cut: "M8 4.6v4M8 11.2v.1" },
  hourglass: { line: "M4 2.75h8M4 13.25h8M5 2.75v1.5c0 2 3 2.5 3 3.75s-3 1.75-3 3.75v1.5M11 2.75v1.5c0 2-3 2.5-3 3.75s3 1.75 3 3.75v1.5" },
  arc: { line: "M8 2.75a5.25 5.25 0 1 1-5.25 5.25" },
  arrowOut: { line: "M6.5 3.75H3.5v8.75h9V9.5M9.5 2.75h3.75V6.5M13 3L7.5 8.5" },
  square: { fill: SQUARE },
  emptySquare: { line: SQUARE },
  dashedSquare: { dashed: SQUARE },
  halfSquare: { line: SQUARE, fill: "M8 3.5h4.5v9H8z" },
  squareDown: { line: SQUARE, fill: "M7.1 5h1.8v3.2h1.9L8 11.2L5.2 8.2h1.9z" },
  crossedSquare: { line: `${SQUARE}M5.8 5.8l4.4 4.4M10.2 5.8l-4.4 4.4` },
  brokenLink: { line: "M6.5 10.5L5 12a2.5 2.5 0 0 1-3-3l2-2M9.5 5.5L11 4a2.5 2.5 0 0 1 3 3l-2 2M5.5 2.5v2M2.5 5.5h2M10.5 13.5v-2M13.5 10.5h-2" },
  dot: { fill: "M8 5a3 3 0 1 1 0 6a3 3 0 1 1 0-6z" },
  triangle: { fill: "M4 2.5L13.5 8L4 13.5z" },
  doubleChevron: { line: "M3.5 3.5L8 8l-4.5 4.5M8.5 3.5L13 8l-4.5 4.5" },
  ringTick: { line: `${RING}M5.2 8.2l2 2L10.8 6.4` },
  play: { fill: "M4 2.5L13.5 8L4 13.5z" },
  roundArrow: { line: "M12.6 5A5.25 5.25 0 1 0 13.25 8M13.2 2.2V5.2H10.2" },
  moon: { fill: "M13.5 9.8A6 6 0 0 1 6.2 2.5a6 6 0 1 0 7.3 7.3z" },
  bars: { fill: "M4 3h3v10H4zM9 3h3v10H9z" },
  warning: { fill: "M8 1.8L15 14H1z", cut: "M8 6.2v3.6M8 11.7v.1" },
} as const satisfies Record<string, Shape>;

export type ShapeName = keyof typeof SHAPES;
