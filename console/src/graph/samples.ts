/** Graphs for tests and measurements, the same in every run. */
import type { LayoutRequest } from "./layout";

/** Numbers from 0 to below 1 by the generator mulberry32. */
export function randomNumbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let value = Math.imul(state ^ (state >>> 15), 1 | state);
    value = (value + Math.imul(value ^ (value >>> 7), 61 | value)) ^ value;
    return ((value ^ (value >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/**
 * A graph like that of a project: most nodes read one or two of the nodes shortly before them.
 *
 * @param count Number of nodes.
 * @param seed Of the random numbers.
 * @param reach How far back inputs are, in nodes: small for deep graphs, large for wide ones.
 */
export function sampleGraph(count: number, seed: number, reach = 40): LayoutRequest {
  const random = randomNumbers(seed);
  const from: number[] = [];
  const to: number[] = [];
  for (let node = 1; node < count; node++) {
    const inputs = random() < 0.08 ? 0 : random() < 0.7 ? 1 : 2;
    const sources = new Set<number>();
    for (let input = 0; input < inputs; input++) sources.add(Math.max(0, node - 1 - Math.floor(random() * Math.min(node, reach))));
    for (const source of sources) {
      from.push(source);
      to.push(node);
    }
  }
  const ids = Array.from({ length: count }, (_, node) => `n${String(node).padStart(5, "0")}`);
  return { ids, heights: ids.map(() => 64), nodeWidth: 208, from, to };
}
