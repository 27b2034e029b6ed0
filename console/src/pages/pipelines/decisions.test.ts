import { describe, expect, it } from "vitest";
import type { LiveEvent } from "@/lib/live/events";
import { decisionOf, decisionsAfter } from "./decisions";

const AT = Date.parse("2026-11-26T10:00:00Z") / 1000;
const event = (at: number, target: number): LiveEvent => ({ kind: "decision", at, project: "p", pipeline: "edges", target, sentence: `${target} for 3 datums` });

describe("decisions", () => {
  it("follow from their events, each once", () => {
    const first = { ...decisionOf(event(AT, 1)), at: "2026-11-26T10:00:00.000412Z" };

    const after = decisionsAfter([first], [event(AT + 0.000412, 1), { ...event(AT + 1, 0), kind: "worker" }, event(AT + 2, 4)]);

    expect(after).toEqual([first, { at: "2026-11-26T10:00:02.000Z", target: "4", sentence: "4 for 3 datums" }]);
  });
});
