import { describe, expect, it } from "vitest";
import { type JobRow, datumParts, rowAfter, rowsAfter, runSeconds, secondsLeft } from "./job-rows";
import type { LiveEvent } from "./live/events";

function row(values: Partial<JobRow> = {}): JobRow {
  return {
    project: "default", pipeline: "edges", jobId: "1a", state: "RUNNING", reason: "", created: "2026-11-26T10:00:00Z",
    started: "2026-11-26T10:00:10Z", finished: null, total: "100", processed: "20", skipped: "30", failed: "0",
    recovered: "0", version: "1", restart: "0", ...values,
  };
}
const START = Date.parse("2026-11-26T10:00:10Z") / 1000;
const JOB: LiveEvent = { kind: "job", at: START, project: "default", pipeline: "edges", job: "1a" };

describe("rows of jobs", () => {
  it("take as long as the datums that are left, at the pace so far", () => {
    expect(secondsLeft(row(), START + 40)).toBe(100);
    expect(secondsLeft(row({ processed: "0" }), START + 40)).toBeUndefined();
    expect(secondsLeft(row({ state: "SUCCESS" }), START + 40)).toBeUndefined();
  });
  it("have run until now, or until their end", () => {
    expect(runSeconds(row(), START + 5)).toBe(5);
    expect(runSeconds(row({ finished: "2026-11-26T10:00:12Z" }), START + 500)).toBe(2);
    expect(runSeconds(row({ started: null }), START)).toBeUndefined();
  });
  it("show failed datums first", () => {
    expect(datumParts(row({ failed: "1" })).map((part) => part.word)).toEqual(["failed", "recovered", "processed", "skipped"]);
  });
  it("have the counters of an event of datums, and keep the rest", () => {
    const after = rowAfter(row(), { ...JOB, kind: "datum", processed: 21, failed: 2, recovered: 1 });
    expect(after).toMatchObject({ processed: "21", failed: "2", recovered: "1", skipped: "30", state: "RUNNING" });
  });
  it("are made of an event of a job, and keep their cost", () => {
    const ended = { ...JOB, state: "SUCCESS", created: START - 10, started: START, finished: START + 1, total: 3 };
    expect(rowAfter(row({ dollars: 2 }), ended)).toMatchObject({ state: "SUCCESS", total: "3", dollars: 2, finished: "2026-11-26T10:00:11.000Z" });
  });
  it("go when their job is deleted, and stay the same array when events are of others", () => {
    const rows = [row(), row({ jobId: "2b" })];
    expect(rowsAfter(rows, [{ ...JOB, job: "3c", state: "CREATED" }])).toBe(rows);
    expect(rowsAfter(rows, [{ ...JOB, state: "DELETED" }]).map((each) => each.jobId)).toEqual(["2b"]);
  });
});
