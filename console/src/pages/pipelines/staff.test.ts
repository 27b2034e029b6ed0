import { describe, expect, it } from "vitest";
import type { LiveEvent } from "@/lib/live/events";
import { extended, readyOf, staffAfter } from "./staff";

const EVENT: LiveEvent = { kind: "worker", at: 0, project: "p", pipeline: "edges", worker: "a", state: "IDLE" };

describe("the workers of a pipeline", () => {
  it("are followed by their events", () => {
    const staff = new Map([["a", "PENDING"], ["b", "BUSY"]]);
    const after = staffAfter(staff, [EVENT, { ...EVENT, worker: "b", state: "GONE" }, { ...EVENT, worker: "c", state: "STARTING" }]);
    expect([...after]).toEqual([["a", "IDLE"], ["c", "STARTING"]]);
    expect(readyOf(after)).toBe(1);
    expect(staffAfter(staff, [{ ...EVENT, kind: "decision" }])).toBe(staff);
  });
  it("extend the curve when their numbers, or what is asked for, change", () => {
    const staff = new Map([["a", "IDLE"], ["b", "BUSY"]]);
    const decision: LiveEvent = { ...EVENT, kind: "decision", target: 5, waiting: 12 };
    const one = extended([], staff, 60, decision);
    expect(one).toEqual([{ at: "1970-01-01T00:01:00.000Z", asked: 5, existing: 2, ready: 2, busy: 1, queue: 12 }]);
    expect(extended(one, staff, 61, undefined)).toBe(one);
    expect(extended(one, new Map(), 61, undefined)).toMatchObject([{ existing: 2 }, { asked: 5, existing: 0, ready: 0, busy: 0, queue: 12 }]);
  });
});
