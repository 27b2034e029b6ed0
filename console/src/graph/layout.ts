/**
 * Where the nodes and edges of a graph are drawn: in columns from left to right.
 *
 * Each connected part is laid out by itself: columns (layers.ts), order within them (order.ts) and
 * heights (placement.ts). Then parts are put beside and below each other. An edge over several
 * columns passes each through a bend, which is placed as a node is, so that it crosses no node;
 * edges from one node share their bends up to where they part.
 *
 * The same graph has the same layout, in whatever order its nodes come. With an earlier layout,
 * its nodes keep their order, and their places as far as new nodes allow.
 */
import { assignLayers, connectedParts, type Edges, neighbours, spreadLeaves, withoutCycles } from "./layers";
import { type Columns, orderColumns } from "./order";
import { placeNodes } from "./placement";

export interface LayoutRequest {
  ids: string[];
  /** Pixels, by node. */
  heights: number[];
  /** Pixels, of all nodes. */
  nodeWidth: number;
  /** Indexes of nodes, by edge. */
  from: number[];
  to: number[];
  /** Places of an earlier layout. */
  earlier?: Places;
}

/** Upper left corners by id of a node, and of bends by their node's id and how many columns they are after it. */
export type Places = Map<string, { x: number; y: number }>;

export interface Layout {
  /** Upper left corner, by node. */
  x: Float64Array;
  y: Float64Array;
  /** By edge: x and y of the points that it passes, from one node's edge to the other's. */
  routes: Float64Array<ArrayBuffer>[];
  /** For the next layout. */
  places: Places;
  /** Bounds of everything. */
  left: number;
  top: number;
  width: number;
  height: number;
}

/** Pixels between columns, between nodes of a column, between parts, and of a bend. */
const COLUMN_GAP = 56;
const NODE_GAP = 16;
const PART_GAP = 48;
const BEND_HEIGHT = 6;
/** Width of the picture divided by its height, when there are many parts. */
const SHAPE = 1.6;

interface Part {
  nodes: number[];
  /** Of its nodes and bends, as in Places. */
  names: string[];
  /** Bounds before it is put to its place. */
  left: number;
  top: number;
  right: number;
  bottom: number;
  /** Whether any node was in the earlier layout. */
  held: boolean;
}

/** Lays out a graph. Edges from a node to itself get an empty route. */
export function layOut(request: LayoutRequest): Layout {
  const count = request.ids.length;
  const order = Array.from(request.ids.keys()).sort((a, b) => (request.ids[a]! < request.ids[b]! ? -1 : 1));
  const rank = new Int32Array(count);
  order.forEach((node, place) => (rank[node] = place));
  const drawn = Array.from(request.from.keys())
    .filter((edge) => request.from[edge]! !== request.to[edge]!)
    .sort((a, b) => rank[request.from[a]!]! - rank[request.from[b]!]! || rank[request.to[a]!]! - rank[request.to[b]!]!);
  const edges = withoutCycles(count, {
    from: Int32Array.from(drawn, (edge) => rank[request.from[edge]!]!),
    to: Int32Array.from(drawn, (edge) => rank[request.to[edge]!]!),
  });
  const idOf = (node: number) => request.ids[order[node]!]!;
  const pitch = request.nodeWidth + COLUMN_GAP;
  const layers = assignLayers(count, edges);
  spreadLeaves(layers, edges, (node, input) => {
    const [at, from] = [request.earlier?.get(idOf(node)), request.earlier?.get(idOf(input))];
    return at && from ? Math.round((at.x - from.x) / pitch) : undefined;
  });
  const heights = Float64Array.from(order, (node) => request.heights[node]!);
  const places: Places = new Map();

  const x = new Float64Array(count);
  const y = new Float64Array(count);
  const routes: Float64Array<ArrayBuffer>[] = drawn.map(() => new Float64Array());
  const edgesOf: number[][] = Array.from({ length: count }, () => []);
  edges.from.forEach((node, edge) => edgesOf[node]!.push(edge));

  const parts = connectedParts(count, edges).map((nodes): Part => {
    const graph = partGraph(nodes, edgesOf, edges, layers, heights);
    const names = graph.owner.map((node, local) => (local < nodes.length ? idOf(node) : `${idOf(node)} +${graph.layer[local]! - layers[node]!}`));
    const centres = Float64Array.from(names, (name, local) => {
      const place = request.earlier?.get(name);
      return place ? place.y + graph.height[local]! / 2 : NaN;
    });
    orderColumns(graph, centres);
    const sizes = { height: graph.height, bend: graph.bend, earlier: centres };
    const placed = placeNodes(graph, sizes, NODE_GAP).map((centre, local) => {
      const half = graph.height[local]! / 2;
      return Math.round(centre - half) + half;
    });
    const held = mostFrequent(
      nodes.flatMap((node) => {
        const place = request.earlier?.get(idOf(node));
        return place ? [place.x - layers[node]! * pitch] : [];
      }),
    );
    const shift = held ?? -graph.first * pitch;
    const part: Part = { nodes, names, left: Infinity, top: Infinity, right: -Infinity, bottom: -Infinity, held: held !== undefined };
    nodes.forEach((node, local) => {
      x[node] = layers[node]! * pitch + shift;
      y[node] = placed[local]! - heights[node]! / 2;
    });
    for (const [edge, path] of graph.paths) {
      routes[edge] = route(path, placed, (local) => graph.layer[local]! * pitch + shift, request.nodeWidth);
    }
    placed.forEach((centre, local) => {
      const left = graph.layer[local]! * pitch + shift;
      places.set(names[local]!, { x: left, y: centre - graph.height[local]! / 2 });
      part.left = Math.min(part.left, left);
      part.right = Math.max(part.right, left + request.nodeWidth);
      part.top = Math.min(part.top, centre - graph.height[local]! / 2);
      part.bottom = Math.max(part.bottom, centre + graph.height[local]! / 2);
    });
    return part;
  });

  arrange(parts, (part, dx, dy) => {
    for (const name of part.names) {
      const place = places.get(name)!;
      places.set(name, { x: place.x + dx, y: place.y + dy });
    }
    for (const node of part.nodes) {
      x[node]! += dx;
      y[node]! += dy;
      for (const edge of edgesOf[node]!) {
        const points = routes[edge]!;
        for (let at = 0; at < points.length; at += 2) {
          points[at]! += dx;
          points[at + 1]! += dy;
        }
      }
    }
  });
  return result(request, { order, drawn, rank, edges, x, y, routes, parts, places });
}

interface PartGraph extends Columns {
  height: Float64Array;
  bend: Uint8Array;
  layer: Int32Array;
  /** Node of the whole graph: for a bend, the source of its edges. */
  owner: number[];
  /** The first column. */
  first: number;
  /** Local nodes that each edge passes, ends included. */
  paths: Map<number, number[]>;
}

/** The columns of a part, with bends; its nodes come first. */
function partGraph(nodes: number[], edgesOf: number[][], edges: Edges, layers: Int32Array, heights: Float64Array): PartGraph {
  const local = new Map(nodes.map((node, index) => [node, index]));
  const layer = nodes.map((node) => layers[node]!);
  const owner = nodes.slice();
  const from: number[] = [];
  const to: number[] = [];
  const paths = new Map<number, number[]>();
  for (const node of nodes) {
    const path = [local.get(node)!];
    const last = edgesOf[node]!.reduce((most, edge) => Math.max(most, layers[edges.to[edge]!]!), 0);
    for (let column = layers[node]! + 1; column <= last; column++) {
      const ending = edgesOf[node]!.filter((edge) => layers[edges.to[edge]!] === column).sort((a, b) => a - b);
      const end = path[path.length - 1]!;
      const targets = ending.map((edge) => local.get(edges.to[edge]!)!);
      ending.forEach((edge, at) => paths.set(edge, [...path, targets[at]!]));
      if (column < last) {
        // In the middle of its siblings, which are then on both sides of it in every column.
        targets.splice(targets.length >> 1, 0, layer.length);
        path.push(layer.length);
        layer.push(column);
        owner.push(node);
      }
      for (const target of targets) {
        from.push(end);
        to.push(target);
      }
    }
  }
  const first = layer.reduce((least, value) => Math.min(least, value), Infinity);
  const columns: number[][] = [];
  layer.forEach((value, index) => (columns[value - first] ??= []).push(index));
  const bend = Uint8Array.from(layer, (_, index) => (index < nodes.length ? 0 : 1));
  return {
    columns,
    left: neighbours(layer.length, Int32Array.from(to), Int32Array.from(from)),
    right: neighbours(layer.length, Int32Array.from(from), Int32Array.from(to)),
    height: Float64Array.from(layer, (_, index) => (index < nodes.length ? heights[nodes[index]!]! : BEND_HEIGHT)),
    bend,
    layer: Int32Array.from(layer),
    owner,
    first,
    paths,
  };
}

function mostFrequent(values: number[]): number | undefined {
  const counts = new Map<number, number>();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  let most: number | undefined;
  for (const [value, count] of counts) if (most === undefined || count > counts.get(most)!) most = value;
  return most;
}

/** The points of an edge: it leaves and enters at the sides, and passes columns level. */
function route(path: number[], centres: Float64Array, leftOf: (local: number) => number, width: number): Float64Array<ArrayBuffer> {
  const points: number[] = [];
  path.forEach((local, at) => {
    const left = leftOf(local);
    if (at > 0) points.push(left, centres[local]!);
    if (at < path.length - 1) points.push(left + width, centres[local]!);
  });
  return Float64Array.from(points);
}

/** Puts parts to their places: those of an earlier layout stay where nothing is in their way. */
function arrange(parts: Part[], move: (part: Part, dx: number, dy: number) => void): void {
  const held = parts.filter((part) => part.held).sort((a, b) => a.top - b.top || a.left - b.left);
  const placed: Part[] = [];
  for (const part of held) {
    let dy = 0;
    for (;;) {
      const other = placed.find((one) => overlap(one, part, dy));
      if (!other) break;
      dy = other.bottom + PART_GAP - part.top;
    }
    if (dy) shift(part, 0, dy, move);
    placed.push(part);
  }
  const fresh = parts.filter((part) => !part.held);
  fresh.sort((a, b) => b.nodes.length - a.nodes.length || b.bottom - b.top - (a.bottom - a.top));
  // From top to bottom in columns: most graphs have few large parts and many small ones, which fill the last columns.
  const area = fresh.reduce((sum, part) => sum + (part.right - part.left + PART_GAP) * (part.bottom - part.top + PART_GAP), 0);
  const highest = fresh.reduce((most, part) => Math.max(most, part.bottom - part.top), 0);
  const limit = Math.max(highest, Math.sqrt(area / SHAPE));
  const top = placed.reduce((most, part) => Math.max(most, part.bottom + PART_GAP), placed.length ? -Infinity : 0);
  let left = placed.reduce((least, part) => Math.min(least, part.left), placed.length ? Infinity : 0);
  let right = left;
  let at = top;
  for (const part of fresh) {
    if (at > top && at + part.bottom - part.top > top + limit) {
      at = top;
      left = right + 2 * PART_GAP;
    }
    shift(part, left - part.left, at - part.top, move);
    at = part.bottom + PART_GAP;
    right = Math.max(right, part.right);
  }
}

function overlap(one: Part, other: Part, dy: number): boolean {
  const above = one.bottom + PART_GAP <= other.top + dy || other.bottom + dy + PART_GAP <= one.top;
  const beside = one.right + PART_GAP <= other.left || other.right + PART_GAP <= one.left;
  return !above && !beside;
}

function shift(part: Part, dx: number, dy: number, move: (part: Part, dx: number, dy: number) => void): void {
  move(part, dx, dy);
  part.left += dx;
  part.right += dx;
  part.top += dy;
  part.bottom += dy;
}

interface Placed {
  order: number[];
  drawn: number[];
  rank: Int32Array;
  edges: Edges;
  x: Float64Array;
  y: Float64Array;
  routes: Float64Array<ArrayBuffer>[];
  parts: Part[];
  places: Places;
}

/** The layout in the request's order of nodes and edges; routes begin at the edge's own source. */
function result(request: LayoutRequest, placed: Placed): Layout {
  const x = new Float64Array(placed.order.length);
  const y = new Float64Array(placed.order.length);
  placed.order.forEach((node, place) => {
    x[node] = placed.x[place]!;
    y[node] = placed.y[place]!;
  });
  const routes = request.from.map(() => new Float64Array());
  placed.drawn.forEach((edge, place) => {
    const points = placed.routes[place]!;
    const turned = placed.edges.from[place]! !== placed.rank[request.from[edge]!]!;
    routes[edge] = turned ? turnAround(points) : points;
  });
  const left = placed.parts.reduce((least, part) => Math.min(least, part.left), Infinity);
  const top = placed.parts.reduce((least, part) => Math.min(least, part.top), Infinity);
  const right = placed.parts.reduce((most, part) => Math.max(most, part.right), -Infinity);
  const bottom = placed.parts.reduce((most, part) => Math.max(most, part.bottom), -Infinity);
  if (placed.parts.length === 0) return { x, y, routes, places: placed.places, left: 0, top: 0, width: 0, height: 0 };
  return { x, y, routes, places: placed.places, left, top, width: right - left, height: bottom - top };
}

function turnAround(points: Float64Array<ArrayBuffer>): Float64Array<ArrayBuffer> {
  const turned = new Float64Array(points.length);
  for (let at = 0; at < points.length; at += 2) {
    turned[points.length - 2 - at] = points[at]!;
    turned[points.length - 1 - at] = points[at + 1]!;
  }
  return turned;
}
