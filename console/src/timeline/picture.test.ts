import { expect, test } from "vitest";
import { barAt, type Lane, moved, pictureAfter, pictureOf, ticks, zoomed } from "./picture";

const LANE = { workerId: "w", machine: "m", busy: btoa("\u00ff\u0000"), failures: [], bars: [], hasBars: true, datums: "3" };
const ANSWER = { from: "2026-11-26T12:00:00Z", until: "2026-11-26T12:00:10Z", width: "2", lanes: [LANE], lanesTotal: "1", position: "a-1" };

test("an answer becomes bytes and numbers", () => {
  const [lane] = pictureOf(ANSWER).lanes;
  expect([...(lane as Lane).busy]).toEqual([255, 0]);
  expect(lane?.datums).toBe(3);
});

test("events add what workers did, also those of a new worker", () => {
  const picture = pictureOf(ANSWER);
  const event = { kind: "datum", at: 1, project: "p", worker: "new", begin: picture.until, end: picture.until + 5, busy: 5, datums: {} } as const;
  const after = pictureAfter(picture, [event]);
  expect(after.lanes.map((lane) => lane.workerId)).toEqual(["w", "new"]);
  expect(after.until).toBe(picture.until + 5);
  expect(pictureAfter(picture, [])).toBe(picture);
});

test("zooming keeps the moment under the pointer in its place", () => {
  const extent = zoomed({ from: 100, until: 200 }, 0.5, 125);
  expect(extent).toEqual({ from: 112.5, until: 162.5 });
  expect(zoomed(extent, 2, 125)).toEqual({ from: 100, until: 200 });
  expect(moved({ from: 0, until: 10 }, 0.5)).toEqual({ from: 5, until: 15 });
});

test("an axis has at most so many ticks, in round steps", () => {
  for (const length of [0.05, 3, 70, 4_000, 90_000, 9e6]) {
    const { at, step } = ticks({ from: 1_000.3, until: 1_000.3 + length }, 8);
    expect(at.length).toBeLessThanOrEqual(9);
    expect(at.length).toBeGreaterThan(1);
    expect((at[0] ?? 0) % step).toBeCloseTo(0, 6);
  }
});

test("the shortest bar under the pointer is meant", () => {
  const bar = (begin: number, end: number) => ({ position: begin, begin, end, state: "SUCCESS", count: 1, failed: 0 });
  const lane = { ...(pictureOf(ANSWER).lanes[0] as Lane), bars: [bar(0, 10), bar(4, 5)] };
  expect(barAt(lane, 4.5, 0)?.position).toBe(4);
  expect(barAt(lane, 8, 0)?.position).toBe(0);
  expect(barAt(lane, 12, 0)).toBeUndefined();
});
