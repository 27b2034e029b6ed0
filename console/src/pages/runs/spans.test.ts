import { describe, expect, it } from "vitest";
import type { JobRow } from "@/lib/job-rows";
import { spansOf } from "./spans";

function row(pipeline: string, created: number, started?: number, finished?: number): JobRow {
  const time = (at?: number): string | null => (at === undefined ? null : new Date(at * 1000).toISOString());
  return {
    project: "p", pipeline, jobId: "1a", state: "", reason: "", created: time(created), started: time(started), finished: time(finished),
    total: "0", processed: "0", skipped: "0", failed: "0", recovered: "0", version: "1", restart: "0",
  };
}

describe("the spans of a run", () => {
  it("have a wait and a run, in the order of their begin", () => {
    const { from, until, spans } = spansOf([row("late", 0, 6, 10), row("early", 0, 2, 4)], 20);
    expect([from, until]).toEqual([0, 10]);
    expect(spans.map((span) => [span.row.pipeline, span.waitFrom, span.runFrom, span.end])).toEqual([
      ["early", 0, 0.2, 0.4],
      ["late", 0, 0.6, 1],
    ]);
  });
  it("of live jobs end now, and those that have not begun only wait", () => {
    expect(spansOf([row("waits", 0)], 4).spans).toMatchObject([{ waitFrom: 0, runFrom: 1, end: 1 }]);
  });
  it("of no jobs are none", () => {
    expect(spansOf([], 4).spans).toEqual([]);
  });
});
