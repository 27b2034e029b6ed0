import { expect, it } from "vitest";
import { lanesOf } from "./lanes";

const graph = (text: string): { id: string; parent: string }[] => text.split(" ").map((pair) => ({ id: pair[0] ?? "", parent: pair[1] ?? "" }));

it("puts a line of commits into one lane", () => {
  const { rows, width } = lanesOf(graph("cb ba a"));
  expect(rows.map(({ lane }) => lane)).toEqual([0, 0, 0]);
  expect(width).toBe(1);
  expect(rows[1]?.lines).toEqual([
    { from: 0, to: 0, touches: "top" },
    { from: 0, to: 0, touches: "bottom" },
  ]);
  expect(rows[2]?.lines).toEqual([{ from: 0, to: 0, touches: "top" }]);
});

it("gives branches lanes of their own, which meet at their common parent and become free", () => {
  const { rows, width } = lanesOf(graph("da ca ba a e"));
  expect(rows.map(({ lane }) => lane)).toEqual([0, 1, 2, 0, 0]);
  expect(width).toBe(3);
  expect(rows[3]?.lines).toEqual([0, 1, 2].map((from) => ({ from, to: 0, touches: "top" })));
});

it("draws lines to commits that are not in the list to its end", () => {
  const { rows } = lanesOf(graph("cx bx"));
  expect(rows[1]?.lines).toEqual([
    { from: 0, to: 0, touches: "none" },
    { from: 1, to: 1, touches: "bottom" },
  ]);
});
