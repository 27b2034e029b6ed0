import { describe, expect, it } from "vitest";
import type { LiveEvent } from "@/lib/live/events";
import { type Worker, arranged, workersAfter } from "./workers";

function worker(id: string, values: Partial<Worker> = {}): Worker {
  return {
    id, project: "p", pipeline: "edges", state: "idle", reason: "", created: "2026-11-26T10:00:00Z", ready: null, jobId: "", datumId: "",
    pipelineVersion: "1", machine: "m1", ...values,
  };
}
const EVENT: LiveEvent = { kind: "worker", at: 0, project: "p", pipeline: "edges", worker: "a", state: "idle" };
const ALL = { project: "", pipeline: "", machine: "", state: "" };

describe("workers", () => {
  it("have the state of their last event, and go when they are gone", () => {
    const rows = [worker("a"), worker("b")];
    expect(workersAfter(rows, [{ ...EVENT, state: "retiring", reason: "idle" }]).workers[0]).toMatchObject({ state: "retiring", reason: "idle" });
    expect(workersAfter(rows, [{ ...EVENT, state: "gone" }]).workers.map((each) => each.id)).toEqual(["b"]);
    expect(workersAfter(rows, [EVENT]).workers).toBe(rows);
  });
  it("are to be read again when one comes or gets work", () => {
    expect(workersAfter([], [EVENT]).stale).toBe(true);
    expect(workersAfter([worker("a")], [{ ...EVENT, state: "busy" }]).stale).toBe(true);
    expect(workersAfter([worker("a")], [EVENT]).stale).toBe(false);
  });
  it("are filtered and ordered", () => {
    const rows = [worker("a", { machine: "m2" }), worker("b", { pipeline: "apply" }), worker("c", { state: "busy" })];
    expect(arranged(rows, ALL, "machine").map((each) => each.id)).toEqual(["b", "c", "a"]);
    expect(arranged(rows, ALL, "pipeline").map((each) => each.id)).toEqual(["b", "a", "c"]);
    expect(arranged(rows, { ...ALL, state: "busy" }, "state").map((each) => each.id)).toEqual(["c"]);
  });
});
