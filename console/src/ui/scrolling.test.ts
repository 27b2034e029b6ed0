import { describe, expect, it } from "vitest";
import { anchor, endOf, type Geometry, MAX_RANGE, moveBar, positionOf, scrollRange, visibleRows } from "./scrolling";

const short: Geometry = { count: 100, rowHeight: 32, viewport: 600 };
const long: Geometry = { count: 1_000_000, rowHeight: 32, viewport: 600 };

describe("a list that fits the browser's limit", () => {
  it("has its own height and moves with the bar", () => {
    expect(scrollRange(short)).toBe(3200);
    expect(moveBar({ position: 0, bar: 0 }, 1234, short)).toEqual({ position: 1234, bar: 1234 });
    expect(visibleRows(1234, short)).toEqual({ first: 38, last: 57 });
  });

  it("is not scrolled when all rows are visible", () => {
    const three = { ...short, count: 3 };
    expect(endOf(three)).toBe(0);
    expect(anchor(500, three)).toEqual({ position: 0, bar: 0 });
    expect(visibleRows(0, three, 5)).toEqual({ first: 0, last: 2 });
  });

  it("draws nothing when it is empty", () => {
    const range = visibleRows(0, { ...short, count: 0 });
    expect(range.last).toBeLessThan(range.first);
  });
});

describe("a list of a million rows", () => {
  it("stays below the limit of browsers at a zoom of 400 %", () => {
    expect(scrollRange(long)).toBe(MAX_RANGE);
    expect(MAX_RANGE * 4).toBeLessThan(33_554_432);
  });

  it("shows the last row when the bar is at its end", () => {
    const state = moveBar({ position: 0, bar: 0 }, MAX_RANGE - long.viewport, long);
    expect(visibleRows(state.position, long).last).toBe(999_999);
  });

  it("shows the first row when the bar is at its begin", () => {
    const state = moveBar(anchor(endOf(long), long), 0, long);
    expect(visibleRows(state.position, long).first).toBe(0);
  });

  it("moves by a wheel's own pixels", () => {
    const before = anchor(16_000_000, long);
    const after = moveBar(before, before.bar + 100, long);
    expect(after.position - before.position).toBe(100);
  });

  it("goes to the share of a dragged bar", () => {
    const state = moveBar({ position: 0, bar: 0 }, (MAX_RANGE - long.viewport) / 2, long);
    expect(state.position).toBeCloseTo(endOf(long) / 2, 3);
  });

  it("reaches the first row by a wheel from anywhere near it", () => {
    let state = anchor(20_000, long);
    for (let turn = 0; turn < 400 && state.position > 0; turn++) {
      state = moveBar(state, Math.max(0, state.bar - 100), long);
    }
    expect(state).toEqual({ position: 0, bar: 0 });
  });

  it("reaches the last row by a wheel from anywhere near it", () => {
    let state = anchor(endOf(long) - 20_000, long);
    for (let turn = 0; turn < 400 && state.position < endOf(long); turn++) {
      state = moveBar(state, Math.min(MAX_RANGE - long.viewport, state.bar + 100), long);
    }
    expect(state.position).toBe(endOf(long));
  });

  it("shows every row at every position once and in order", () => {
    for (let index = 0; index < long.count; index += 9_973) {
      const position = positionOf(index, "start", 0, long);
      const range = visibleRows(position, long);
      expect(range.first).toBeLessThanOrEqual(index);
      expect(range.last).toBeGreaterThanOrEqual(index);
      expect(range.last - range.first).toBeLessThanOrEqual(20);
    }
  });
});

describe("showing a row", () => {
  it("does not move when the row is visible", () => {
    expect(positionOf(10, "nearest", 300, short)).toBe(300);
  });

  it("moves as little as needed", () => {
    expect(positionOf(5, "nearest", 300, short)).toBe(160);
    expect(positionOf(40, "nearest", 300, short)).toBe(40 * 32 + 32 - 600);
  });

  it("puts the row to the middle", () => {
    expect(positionOf(50, "center", 0, short)).toBe(50 * 32 + 16 - 300);
  });
});
