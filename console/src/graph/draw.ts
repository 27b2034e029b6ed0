/**
 * Draws edges and cards without their words into a canvas. One path per kind of line, so that a thousand
 * edges are a few calls; what is outside the picture is left out.
 */
import { SHAPES, type Shape, type ShapeName } from "@/lib/shapes";
import type { Colour, Role } from "@/lib/tokens";
import { type Camera, type Size, visibleBox } from "./camera";
import type { Layout } from "./layout";
import { CARD_WIDTH } from "./layouts";

/** Below this scale cards have only their name and mark, and below the other not even these as elements. */
export const SMALL_SCALE = 0.6;
export const CARD_SCALE = 0.35;
/** Below this one they have no marks. */
const MARK_SCALE = 0.12;

/** What is drawn of a card; its words are elements above it. */
export interface CardLook {
  /** The mark that says most, for a card that has only one. */
  mark: Sign;
  /** The marks of its lines. */
  first: Sign;
  second: Sign | undefined;
  height: number;
  kind: "node" | "group" | "absent";
}

interface Sign {
  role: Role;
  shape: ShapeName;
}

export interface Picture {
  layout: Layout;
  edges: readonly { from: number; to: number }[];
  looks: readonly CardLook[];
  /** Indexes of edges that are emphasised. */
  emphasised: ReadonlySet<number>;
  /** The chosen card, and the one under the pointer; -1: none. */
  chosen: number;
  hovered: number;
}

export interface Painter {
  /**
   * Draws the picture.
   *
   * @param picture What is drawn.
   * @param camera Which part of it.
   * @param screen Size of the canvas in CSS pixels.
   * @param colours The palette of the theme.
   */
  draw(picture: Picture, camera: Camera, screen: Size, colours: Record<Colour, string>): void;
}

/** A painter of a canvas. */
export function painter(canvas: HTMLCanvasElement): Painter {
  const context = canvas.getContext("2d");
  const paths = new Map<string, Path2D>();
  const pathOf = (text: string): Path2D => {
    const made = paths.get(text) ?? new Path2D(text);
    paths.set(text, made);
    return made;
  };
  let routes: Path2D[] = [];
  let drawn: Layout | undefined;

  return {
    draw(picture, camera, screen, colours) {
      if (!context) return;
      const ratio = devicePixelRatio || 1;
      resize(canvas, screen, ratio);
      context.setTransform(1, 0, 0, 1, 0, 0);
      context.clearRect(0, 0, canvas.width, canvas.height);
      const scale = camera.scale * ratio;
      context.setTransform(scale, 0, 0, scale, -camera.x * scale, -camera.y * scale);
      if (drawn !== picture.layout) {
        drawn = picture.layout;
        routes = picture.layout.routes.map(routePath);
      }
      drawEdges(context, picture, routes, camera, screen, colours);
      drawCards({ context, colours, pathOf }, picture, camera, screen);
    },
  };
}

function resize(canvas: HTMLCanvasElement, screen: Size, ratio: number): void {
  const width = Math.round(screen.width * ratio);
  const height = Math.round(screen.height * ratio);
  if (canvas.width !== width) canvas.width = width;
  if (canvas.height !== height) canvas.height = height;
}

/** Level within columns, curved between them. */
function routePath(points: Float64Array): Path2D {
  const path = new Path2D();
  if (points.length < 4) return path;
  path.moveTo(points[0]!, points[1]!);
  for (let at = 2; at < points.length; at += 2) {
    const [x0, y0, x, y] = [points[at - 2]!, points[at - 1]!, points[at]!, points[at + 1]!];
    if (y === y0) path.lineTo(x, y);
    else path.bezierCurveTo((x0 + x) / 2, y0, (x0 + x) / 2, y, x, y);
  }
  return path;
}

function drawEdges(
  context: CanvasRenderingContext2D,
  picture: Picture,
  routes: readonly Path2D[],
  camera: Camera,
  screen: Size,
  colours: Record<Colour, string>,
): void {
  const box = visibleBox(camera, screen, 8);
  const { layout, edges, emphasised } = picture;
  const plain = new Path2D();
  const strong = new Path2D();
  const heads: { path: Path2D; points: Float64Array }[] = [];
  for (const index of edges.keys()) {
    const points = layout.routes[index]!;
    if (!crosses(points, box)) continue;
    const path = emphasised.has(index) ? strong : plain;
    path.addPath(routes[index]!);
    if (camera.scale >= CARD_SCALE) heads.push({ path, points });
  }
  // Lines stay visible when they are far away.
  const width = Math.max(1.25, 0.8 / camera.scale);
  context.lineWidth = width;
  for (const [path, colour] of [[plain, colours.control], [strong, colours.active]] as const) {
    if (path === strong) context.lineWidth = width * 1.8;
    context.strokeStyle = colour;
    context.stroke(path);
    context.fillStyle = colour;
    const tips = new Path2D();
    for (const head of heads) if (head.path === path) addTip(tips, head.points);
    context.fill(tips);
  }
}

/** A small triangle where an edge ends. */
function addTip(path: Path2D, points: Float64Array): void {
  const [before, x, y] = [points[points.length - 4]!, points[points.length - 2]!, points[points.length - 1]!];
  const back = x < before ? 6 : -6;
  path.moveTo(x, y);
  path.lineTo(x + back, y - 4);
  path.lineTo(x + back, y + 4);
  path.closePath();
}

function crosses(points: Float64Array, box: { left: number; top: number; width: number; height: number }): boolean {
  let [left, right, top, bottom] = [Infinity, -Infinity, Infinity, -Infinity];
  for (let at = 0; at < points.length; at += 2) {
    left = Math.min(left, points[at]!);
    right = Math.max(right, points[at]!);
    top = Math.min(top, points[at + 1]!);
    bottom = Math.max(bottom, points[at + 1]!);
  }
  return right >= box.left && left <= box.left + box.width && bottom >= box.top && top <= box.top + box.height;
}

interface Tools {
  context: CanvasRenderingContext2D;
  colours: Record<Colour, string>;
  /** Paths are parsed once. */
  pathOf: (text: string) => Path2D;
}

function drawCards(tools: Tools, picture: Picture, camera: Camera, screen: Size): void {
  const box = visibleBox(camera, screen, 8);
  const { layout, looks } = picture;
  const drawCard = camera.scale >= SMALL_SCALE ? drawNear : camera.scale >= MARK_SCALE ? drawSmall : drawFar;
  for (const [card, look] of looks.entries()) {
    const [x, y] = [layout.x[card]!, layout.y[card]!];
    if (x > box.left + box.width || x + CARD_WIDTH < box.left || y > box.top + box.height || y + look.height < box.top) continue;
    tools.context.lineWidth = Math.max(1, 1 / camera.scale);
    drawCard(tools, look, x, y, { chosen: card === picture.chosen, hovered: card === picture.hovered });
  }
}

interface Emphasis {
  chosen: boolean;
  hovered: boolean;
}

function drawFar({ context, colours }: Tools, look: CardLook, x: number, y: number, emphasis: Emphasis): void {
  context.fillStyle = emphasis.chosen ? colours.active : colours[look.mark.role];
  context.fillRect(x, y, CARD_WIDTH, look.height);
}

/** A stripe, which shows the colour from further away than the mark, and the mark. */
function drawSmall(tools: Tools, look: CardLook, x: number, y: number, emphasis: Emphasis): void {
  const { context, colours } = tools;
  context.fillStyle = emphasis.hovered ? colours.raised : colours.surface;
  context.fillRect(x, y, CARD_WIDTH, look.height);
  outline(tools, look, emphasis, () => context.strokeRect(x, y, CARD_WIDTH, look.height));
  context.fillStyle = colours[look.mark.role];
  context.fillRect(x, y, 12, look.height);
  drawShape(tools, look.mark, x + 20, y + (look.height - 32) / 2, 32);
}

function drawNear(tools: Tools, look: CardLook, x: number, y: number, emphasis: Emphasis): void {
  const { context, colours } = tools;
  const body = new Path2D();
  body.roundRect(x, y, CARD_WIDTH, look.height, 8);
  context.fillStyle = emphasis.hovered || look.kind === "group" ? colours.surface : colours.page;
  context.fill(body);
  if (look.mark.role === "bad") {
    context.save();
    context.clip(body);
    context.fillStyle = colours.bad;
    context.fillRect(x, y, 4, look.height);
    context.restore();
  }
  outline(tools, look, emphasis, () => context.stroke(body));
  if (look.kind === "group") {
    const inner = new Path2D();
    inner.roundRect(x + 3, y + 3, CARD_WIDTH - 6, look.height - 6, 6);
    outline(tools, look, emphasis, () => context.stroke(inner));
  }
  drawShape(tools, look.first, x + 11, y + 11, 16);
  if (look.second) drawShape(tools, look.second, x + 11, y + 33, 16);
}

function outline({ context, colours }: Tools, look: CardLook, emphasis: Emphasis, stroke: () => void): void {
  const width = context.lineWidth;
  const absent = look.kind === "absent";
  context.strokeStyle = colours[emphasis.chosen || emphasis.hovered ? "active" : look.mark.role === "bad" ? "bad" : absent ? "hairline" : "control"];
  if (emphasis.chosen) context.lineWidth = width * 3;
  if (absent) context.setLineDash([5, 4]);
  stroke();
  context.setLineDash([]);
  context.lineWidth = width;
}

/** Draws the mark of a state with its upper left corner at a point. */
function drawShape({ context, colours, pathOf }: Tools, mark: Sign, x: number, y: number, size: number): void {
  const shape: Shape = SHAPES[mark.shape];
  context.save();
  context.translate(x, y);
  context.scale(size / 16, size / 16);
  context.lineWidth = 1.75;
  context.strokeStyle = context.fillStyle = colours[mark.role];
  if (shape.fill) context.fill(pathOf(shape.fill));
  if (shape.line) context.stroke(pathOf(shape.line));
  if (shape.dashed) {
    context.setLineDash([2.2, 2.4]);
    context.stroke(pathOf(shape.dashed));
  }
  if (shape.cut) {
    context.strokeStyle = colours.page;
    context.stroke(pathOf(shape.cut));
  }
  context.restore();
}
