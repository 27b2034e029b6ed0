/**
 * Which column each node of a graph stands in: one more than the last of its inputs.
 *
 * Longest path layering (Sugiyama, Tagawa and Toda, "Methods for visual understanding of
 * hierarchical system structures", 1981), with two changes: edges that close a cycle count as if
 * they led the other way, since folded groups can form cycles; and a node with more outputs than
 * inputs moves to the right as far as its outputs allow, so that a repo stands beside its readers.
 */

/** Edges of nodes 0 to count - 1, as pairs in two arrays of the same length. */
export interface Edges {
  from: Int32Array;
  to: Int32Array;
}

/** Neighbours of each node: those of node n are items[start[n]] to items[start[n + 1] - 1]. */
export interface Neighbours {
  start: Int32Array;
  items: Int32Array;
}

/**
 * Neighbours by node.
 *
 * @param count Number of nodes.
 * @param from One end of each edge.
 * @param to The other end: what is listed.
 */
export function neighbours(count: number, from: Int32Array, to: Int32Array): Neighbours {
  const start = new Int32Array(count + 1);
  for (const node of from) start[node + 1]!++;
  for (let node = 0; node < count; node++) start[node + 1]! += start[node]!;
  const next = start.slice();
  const items = new Int32Array(from.length);
  for (let edge = 0; edge < from.length; edge++) items[next[from[edge]!]!++] = to[edge]!;
  return { start, items };
}

/** The edges with those turned around that close a cycle, found by a depth-first walk. */
export function withoutCycles(count: number, edges: Edges): Edges {
  const out = neighbours(count, edges.from, edges.to);
  const order = neighbours(count, edges.from, Int32Array.from(edges.from.keys()));
  const result = { from: edges.from.slice(), to: edges.to.slice() };
  const next = out.start.slice();
  const onPath = new Uint8Array(count);
  const seen = new Uint8Array(count);
  for (let root = 0; root < count; root++) {
    if (seen[root]!) continue;
    const path = [root];
    seen[root] = onPath[root] = 1;
    while (path.length > 0) {
      const node = path[path.length - 1]!;
      if (next[node]! === out.start[node + 1]!) {
        onPath[node] = 0;
        path.pop();
        continue;
      }
      const place = next[node]!++;
      const target = out.items[place]!;
      if (onPath[target]!) {
        const edge = order.items[place]!;
        result.from[edge] = target;
        result.to[edge] = node;
      } else if (!seen[target]!) {
        seen[target] = onPath[target] = 1;
        path.push(target);
      }
    }
  }
  return result;
}

/** The column of each node, from 0. The edges have no cycle. */
export function assignLayers(count: number, edges: Edges): Int32Array {
  const out = neighbours(count, edges.from, edges.to);
  const open = new Int32Array(count);
  for (const node of edges.to) open[node]!++;
  const inputs = open.slice();
  const layers = new Int32Array(count);
  const order: number[] = [];
  for (let node = 0; node < count; node++) if (open[node]! === 0) order.push(node);
  for (let at = 0; at < order.length; at++) {
    const node = order[at]!;
    for (let place = out.start[node]!; place < out.start[node + 1]!; place++) {
      const target = out.items[place]!;
      layers[target] = Math.max(layers[target]!, layers[node]! + 1);
      if (--open[target]! === 0) order.push(target);
    }
  }
  for (const node of order.reverse()) {
    const outputs = out.start[node + 1]! - out.start[node]!;
    if (outputs <= inputs[node]!) continue;
    let least = Infinity;
    for (let place = out.start[node]!; place < out.start[node + 1]!; place++) {
      least = Math.min(least, layers[out.items[place]!]!);
    }
    layers[node] = least - 1;
  }
  return layers;
}

/** Up to so many leaves of a node stand in one column. */
const LEAVES_PER_COLUMN = 24;

/**
 * Spreads the leaves of a node with very many over several columns, so that they form a block and not a line.
 *
 * @param layers The column of each node; changed.
 * @param edges Without cycles.
 * @param earlier Column of a node relative to that of its input in an earlier layout; undefined for a new node.
 */
export function spreadLeaves(layers: Int32Array, edges: Edges, earlier: (node: number, input: number) => number | undefined): void {
  const count = layers.length;
  const out = neighbours(count, edges.from, edges.to);
  const inputs = new Int32Array(count);
  for (const node of edges.to) inputs[node]! += 1;
  for (let node = 0; node < count; node++) {
    const targets = out.items.subarray(out.start[node]!, out.start[node + 1]!);
    const leaves = [...targets].filter((target) => inputs[target] === 1 && out.start[target] === out.start[target + 1]);
    if (leaves.length <= LEAVES_PER_COLUMN) continue;
    // About as wide as high; a card is three times as wide as it is high.
    const rows = Math.max(LEAVES_PER_COLUMN, Math.ceil(Math.sqrt(leaves.length * 2)));
    const used: number[] = [];
    const fresh: number[] = [];
    for (const leaf of leaves.sort((a, b) => a - b)) {
      const column = earlier(leaf, node);
      if (column === undefined || column < 1) fresh.push(leaf);
      else {
        layers[leaf] = layers[node]! + column;
        used[column] = (used[column] ?? 0) + 1;
      }
    }
    let column = 1;
    for (const leaf of fresh) {
      while ((used[column] ?? 0) >= rows) column++;
      layers[leaf] = layers[node]! + column;
      used[column] = (used[column] ?? 0) + 1;
    }
  }
}

/** The nodes of each connected part, in the order of their first nodes. */
export function connectedParts(count: number, edges: Edges): number[][] {
  const parent = Int32Array.from({ length: count }, (_, node) => node);
  const rootOf = (node: number): number => {
    while (parent[node]! !== node) node = parent[node] = parent[parent[node]!]!;
    return node;
  };
  for (let edge = 0; edge < edges.from.length; edge++) {
    const a = rootOf(edges.from[edge]!);
    const b = rootOf(edges.to[edge]!);
    parent[Math.max(a, b)] = Math.min(a, b);
  }
  const parts = new Map<number, number[]>();
  for (let node = 0; node < count; node++) {
    const root = rootOf(node);
    const part = parts.get(root);
    if (part) part.push(node);
    else parts.set(root, [node]);
  }
  return [...parts.values()];
}
