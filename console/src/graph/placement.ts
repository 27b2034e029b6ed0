/**
 * Heights of ordered nodes: near their neighbours, without overlaps.
 *
 * Within a column the sum of weighted squared distances to the wished heights is least under the
 * condition that nodes keep their order and distance. That is isotonic regression, solved exactly
 * by pooling adjacent violators (Ayer et al., "An empirical distribution function for sampling
 * with incomplete information", 1955). Sweeps over the columns use the results of their neighbours.
 */
import type { Columns } from "./order";

/** Weights of edges by how many of their ends are bends: long edges are to be straight. */
const WEIGHTS = [1, 2, 8];
/** Weight of the place that a node had in an earlier layout. */
const HELD = 1e6;
const SWEEPS = 10;

/** What is placed, by node. */
export interface Sizes {
  /** Pixels. */
  height: Float64Array;
  /** 1 for a bend of an edge. */
  bend: Uint8Array;
  /** Centre in an earlier layout; NaN for new nodes. */
  earlier: Float64Array;
}

/**
 * The centre of each node.
 *
 * @param graph The ordered columns.
 * @param sizes What is placed.
 * @param gap Pixels between nodes of a column.
 */
export function placeNodes(graph: Columns, sizes: Sizes, gap: number): Float64Array {
  const centres = new Float64Array(sizes.height.length);
  for (const column of graph.columns) {
    let top = 0;
    for (const node of column) {
      centres[node] = top + sizes.height[node]! / 2;
      top += sizes.height[node]! + gap;
    }
    for (const node of column) centres[node]! -= top / 2;
  }
  const { length } = graph.columns;
  for (let sweep = 0; sweep < SWEEPS; sweep++) {
    const rightwards = sweep % 2 === 0;
    // The first sweeps follow one side, so that distant columns get near; the others both.
    const sides = sweep > 3 ? [graph.left, graph.right] : [rightwards ? graph.left : graph.right];
    for (let step = 0; step < length; step++) {
      placeColumn(graph.columns[rightwards ? step : length - 1 - step]!, sides, centres, sizes, gap);
    }
  }
  return centres;
}

function placeColumn(column: number[], sides: Columns["left"][], centres: Float64Array, sizes: Sizes, gap: number): void {
  const wishes = new Float64Array(column.length);
  const weights = new Float64Array(column.length);
  const offsets = new Float64Array(column.length);
  column.forEach((node, place) => {
    let sum = 0;
    let weight = 0;
    if (!Number.isNaN(sizes.earlier[node]!)) {
      weight = HELD;
      sum = HELD * sizes.earlier[node]!;
    }
    for (const side of sides) {
      for (let at = side.start[node]!; at < side.start[node + 1]!; at++) {
        const other = side.items[at]!;
        const edge = WEIGHTS[sizes.bend[node]! + sizes.bend[other]!]!;
        weight += edge;
        sum += edge * centres[other]!;
      }
    }
    if (place > 0) {
      const before = column[place - 1]!;
      const apart = sizes.bend[node]! && sizes.bend[before]! ? gap / 2 : gap;
      offsets[place] = offsets[place - 1]! + (sizes.height[before]! + sizes.height[node]!) / 2 + apart;
    }
    weights[place] = weight || 1e-3;
    wishes[place] = (weight ? sum / weight : centres[node]!) - offsets[place]!;
  });
  const values = isotonic(wishes, weights);
  column.forEach((node, place) => (centres[node] = values[place]! + offsets[place]!));
}

/** The rising values with the least weighted squared distance to the wishes. */
export function isotonic(wishes: Float64Array, weights: Float64Array): Float64Array {
  const means: number[] = [];
  const sums: number[] = [];
  const ends: number[] = [];
  for (let at = 0; at < wishes.length; at++) {
    let mean = wishes[at]!;
    let sum = weights[at]!;
    while (means.length > 0 && means[means.length - 1]! > mean) {
      const weight = sums.pop()!;
      mean = (means.pop()! * weight + mean * sum) / (weight + sum);
      sum += weight;
      ends.pop();
    }
    means.push(mean);
    sums.push(sum);
    ends.push(at + 1);
  }
  const result = new Float64Array(wishes.length);
  let at = 0;
  means.forEach((mean, block) => {
    while (at < ends[block]!) result[at++] = mean;
  });
  return result;
}
