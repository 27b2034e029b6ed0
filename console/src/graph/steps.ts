/** Where the arrow keys lead in a graph: left and right along edges, up and down within a column. Pure. */
import type { Layout } from "./layout";
import type { View } from "./view";

export type Arrow = "ArrowLeft" | "ArrowRight" | "ArrowUp" | "ArrowDown";

/**
 * The card that an arrow key leads to; undefined where there is none.
 *
 * @param from Index of the card with the focus.
 * @param arrow The key.
 * @param view The cards and edges.
 * @param layout Where they are.
 */
export function step(from: number, arrow: Arrow, view: View, layout: Layout): number | undefined {
  const y = layout.y[from]!;
  if (arrow === "ArrowLeft") return nearest(view.edges.filter((edge) => edge.to === from).map((edge) => edge.from), y, layout);
  if (arrow === "ArrowRight") return nearest(view.edges.filter((edge) => edge.from === from).map((edge) => edge.to), y, layout);
  const down = arrow === "ArrowDown";
  const column = [...view.cards.keys()].filter((card) => layout.x[card] === layout.x[from] && (down ? layout.y[card]! > y : layout.y[card]! < y));
  return nearest(column, y, layout);
}

function nearest(cards: number[], y: number, layout: Layout): number | undefined {
  let best: number | undefined;
  for (const card of cards) {
    if (best === undefined || Math.abs(layout.y[card]! - y) < Math.abs(layout.y[best]! - y)) best = card;
  }
  return best;
}
