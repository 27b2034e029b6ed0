/**
 * The order of nodes within their columns, with few crossings of edges.
 *
 * Barycentre sweeps (Sugiyama, Tagawa and Toda, 1981) from left to right and back; crossings are
 * counted by an accumulator tree (Barth, Jünger and Mutzel, "Simple and efficient bilayer cross
 * counting", 2002), and the best order is used. Nodes with a rank, which are those of an earlier
 * layout, are in the order of their ranks at any time.
 */
import type { Neighbours } from "./layers";

/** Columns of nodes whose edges lead from each column to the next one. */
export interface Columns {
  /** Nodes by column. */
  columns: number[][];
  /** Neighbours in the column before. */
  left: Neighbours;
  /** Neighbours in the column after. */
  right: Neighbours;
}

/** Sweeps at most; after four without fewer crossings there are no more. */
const SWEEPS = 24;
const PATIENCE = 4;

/**
 * Orders the columns in place.
 *
 * @param graph The columns.
 * @param ranks Rank of each node that has one; NaN for others.
 */
export function orderColumns(graph: Columns, ranks: Float64Array): void {
  const places = new Float64Array(ranks.length);
  startOrder(graph, ranks, places);
  let best = graph.columns.map((column) => column.slice());
  let fewest = countCrossings(graph, places);
  for (let sweep = 0, idle = 0; sweep < SWEEPS && idle < PATIENCE && fewest > 0; sweep++, idle++) {
    const rightwards = sweep % 2 === 0;
    const { length } = graph.columns;
    for (let step = 1; step < length; step++) {
      const column = graph.columns[rightwards ? step : length - 1 - step]!;
      sortColumn(column, rightwards ? graph.left : graph.right, places, sweep % 4 > 1);
      keepRanks(column, ranks);
      column.forEach((node, place) => (places[node] = place));
    }
    const crossings = countCrossings(graph, places);
    if (crossings >= fewest) continue;
    fewest = crossings;
    best = graph.columns.map((column) => column.slice());
    idle = -1;
  }
  graph.columns = best;
}

/** Puts nodes into the order of a depth-first walk from the left, so that neighbours stay together. */
function startOrder(graph: Columns, ranks: Float64Array, places: Float64Array): void {
  const columnOf = new Int32Array(ranks.length);
  graph.columns.forEach((column, index) => column.forEach((node) => (columnOf[node] = index)));
  const seen = new Uint8Array(ranks.length);
  const ordered: number[][] = graph.columns.map(() => []);
  for (const column of graph.columns) {
    for (const root of column) {
      const stack = [root];
      while (stack.length > 0) {
        const node = stack.pop()!;
        if (seen[node]!) continue;
        seen[node] = 1;
        ordered[columnOf[node]!]!.push(node);
        for (let at = graph.right.start[node + 1]! - 1; at >= graph.right.start[node]!; at--) stack.push(graph.right.items[at]!);
      }
    }
  }
  for (const column of ordered) {
    keepRanks(column, ranks);
    column.forEach((node, place) => (places[node] = place));
  }
  graph.columns = ordered;
}

function sortColumn(column: number[], fixed: Neighbours, places: Float64Array, tiesReversed: boolean): void {
  const centres = new Map<number, number>();
  for (const node of column) {
    const start = fixed.start[node]!;
    const end = fixed.start[node + 1]!;
    let sum = 0;
    for (let at = start; at < end; at++) sum += places[fixed.items[at]!]!;
    centres.set(node, end > start ? sum / (end - start) : places[node]!);
  }
  const sign = tiesReversed ? -1 : 1;
  column.sort((a, b) => centres.get(a)! - centres.get(b)! || sign * (places[a]! - places[b]!));
}

/** Gives the places of ranked nodes to ranked nodes in the order of their ranks. */
function keepRanks(column: number[], ranks: Float64Array): void {
  const ranked = column.filter((node) => !Number.isNaN(ranks[node]!)).sort((a, b) => ranks[a]! - ranks[b]!);
  if (ranked.length < 2) return;
  let next = 0;
  for (let place = 0; place < column.length; place++) {
    if (!Number.isNaN(ranks[column[place]!]!)) column[place] = ranked[next++]!;
  }
}

/** Number of crossings of straight edges between neighbouring columns. */
export function countCrossings(graph: Columns, places: Float64Array): number {
  let crossings = 0;
  for (let index = 1; index < graph.columns.length; index++) {
    const size = graph.columns[index]!.length;
    let first = 1;
    while (first < size) first *= 2;
    const tree = new Int32Array(2 * first);
    for (const node of graph.columns[index - 1]!) {
      const targets = Array.from(
        graph.right.items.subarray(graph.right.start[node]!, graph.right.start[node + 1]!),
        (target) => places[target]!,
      ).sort((a, b) => a - b);
      // All edges of the node are counted before they are added: they do not cross each other.
      for (const target of targets) {
        for (let at = first + target; at > 1; at >>= 1) if (at % 2 === 0) crossings += tree[at + 1]!;
      }
      for (const target of targets) for (let at = first + target; at >= 1; at >>= 1) tree[at]!++;
    }
  }
  return crossings;
}
