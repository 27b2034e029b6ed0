import { expect, it } from "vitest";
import { diffLines, diffRows } from "./diff";

/** Return pseudo-random numbers below a bound, the same in each run. */
function numbers(seed: number): (bound: number) => number {
  let state = seed;
  return (bound) => {
    state = (state * 1_103_515_245 + 12_345) & 0x7fffffff;
    return (state >> 8) % bound;
  };
}

function check(old: string[], now: string[]): number {
  const lines = diffLines(old, now);
  expect(lines.filter(({ kind }) => kind !== "added").map((line) => old[line.old])).toEqual(old);
  expect(lines.filter(({ kind }) => kind !== "removed").map((line) => now[line.now])).toEqual(now);
  for (const line of lines) if (line.kind === "same") expect(old[line.old]).toBe(now[line.now]);
  return lines.filter(({ kind }) => kind !== "same").length;
}

/** Return the fewest changes, by the table of common subsequences. */
function fewest(old: string[], now: string[]): number {
  const table = Array.from({ length: old.length + 1 }, () => new Array<number>(now.length + 1).fill(0));
  old.forEach((line, a) => now.forEach((other, b) => (table[a + 1]![b + 1] = line === other ? table[a]![b]! + 1 : Math.max(table[a]![b + 1]!, table[a + 1]![b]!))));
  return old.length + now.length - 2 * table[old.length]![now.length]!;
}

it("is a shortest script that leads from one text to the other", () => {
  const random = numbers(7);
  for (let round = 0; round < 300; round++) {
    const text = (): string[] => Array.from({ length: random(12) }, () => "abc"[random(3)]!);
    const [old, now] = [text(), text()];
    expect(check(old, now)).toBe(fewest(old, now));
  }
});

it("ends soon for texts that have nothing in common", () => {
  const lines = (word: string): string[] => Array.from({ length: 20_000 }, (_, at) => `${word} ${at}`);
  expect(check(lines("a"), lines("b"))).toBe(40_000);
});

it("shows changes with the lines around them, or beside each other", () => {
  const old = Array.from({ length: 20 }, (_, at) => `line ${at}`);
  const now = [...old.slice(0, 10), "other", ...old.slice(11)];
  const unified = diffRows(diffLines(old, now), false, false);
  expect(unified.map((row) => ("hidden" in row ? row.hidden : "line"))).toEqual([7, ...new Array<string>(8).fill("line"), 6]);
  const split = diffRows(diffLines(old, now), true, true);
  expect(split).toHaveLength(20);
  expect(split[10]).toEqual({ left: { kind: "removed", old: 10, now: -1 }, right: { kind: "added", old: -1, now: 10 } });
});
