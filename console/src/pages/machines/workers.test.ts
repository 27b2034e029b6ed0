import { describe, expect, it } from "vitest";
import type { LiveEvent } from "@/lib/live/events";
import { type Worker, arranged, otherMachines, staffed, workersAfter } from "./workers";

function worker(id: string, values: Partial<Worker> = {}): Worker {
  return {
    id, project: "p", pipeline: "edges", state: "idle", reason: "", created: "2026-11-26T10:00:00Z", ready: null, jobId: "", datumId: "",
    pipelineVersion: "1", machine: "m1", ...values,
  };
}
const EVENT: LiveEvent = { kind: "worker", at: 0, project: "p", pipeline: "edges", worker: "a", state: "idle" };
const MACHINE = {
  group: "", instanceType: "", region: "", spot: false, cpu: 2, memoryBytes: "0", created: null, ready: true, pretended: false,
  workers: [], dollarsPerHour: 0, pipelines: [],
};
const ALL = { project: "", pipeline: "", machine: "", state: "" };

describe("workers", () => {
  it("have the state of their last event, and go when they are gone", () => {
    const rows = [worker("a"), worker("b")];
    expect(workersAfter(rows, [{ ...EVENT, state: "retiring", reason: "idle" }])[0]).toMatchObject({ state: "retiring", reason: "idle" });
    expect(workersAfter(rows, [{ ...EVENT, state: "gone" }]).map((each) => each.id)).toEqual(["b"]);
    expect(workersAfter(rows, [{ ...EVENT, kind: "job" }])).toBe(rows);
  });
  it("come, get a machine and a job, and let go of it, by events alone", () => {
    let rows = workersAfter([], [{ ...EVENT, at: 60, state: "pending", reason: "was requested" }]);
    expect(rows).toMatchObject([{ id: "a", project: "p", pipeline: "edges", state: "pending", created: "1970-01-01T00:01:00.000Z", machine: "" }]);
    rows = workersAfter(rows, [{ ...EVENT, at: 61, state: "idle", machine: "m7" }]);
    rows = workersAfter(rows, [{ ...EVENT, at: 62, state: "busy", busy_with: "0e" }]);
    expect(rows).toMatchObject([{ state: "busy", machine: "m7", jobId: "0e", ready: "1970-01-01T00:01:01.000Z" }]);
    expect(workersAfter(rows, [EVENT])).toMatchObject([{ state: "idle", machine: "m7", jobId: "" }]);
  });
  it("tell of machines that came or went", () => {
    const listed = [{ ...MACHINE, name: "laptop", kind: "local" }, { ...MACHINE, name: "m1", kind: "joined" }];
    expect(otherMachines(listed, [], [{ ...EVENT, machine: "laptop", state: "gone" }])).toBe(false);
    expect(otherMachines(listed, [worker("b")], [{ ...EVENT, machine: "m1", state: "gone" }])).toBe(false);
    expect(otherMachines(listed, [], [{ ...EVENT, machine: "m1", state: "gone" }])).toBe(true);
    expect(otherMachines(listed, [], [{ ...EVENT, machine: "m2" }])).toBe(true);
    expect(staffed(listed, [worker("a"), worker("b")]).map((machine) => machine.workers)).toEqual([[], ["a", "b"]]);
  });
  it("are filtered and ordered", () => {
    const rows = [worker("a", { machine: "m2" }), worker("b", { pipeline: "apply" }), worker("c", { state: "busy" })];
    expect(arranged(rows, ALL, "machine").map((each) => each.id)).toEqual(["b", "c", "a"]);
    expect(arranged(rows, ALL, "pipeline").map((each) => each.id)).toEqual(["b", "a", "c"]);
    expect(arranged(rows, { ...ALL, state: "busy" }, "state").map((each) => each.id)).toEqual(["c"]);
  });
});
