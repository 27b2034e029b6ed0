import { describe, expect, it } from "vitest";
import type { LiveEvent } from "@/lib/live/events";
import { ENDED, Memory, type Overview, overviewAfter } from "./overview";

const AT = Date.parse("2026-11-26T10:00:00Z") / 1000;
const EMPTY: Overview = {
  position: "a-1", at: "2026-11-26T10:00:00Z", failed: [], failedTotal: "0", running: [], runningTotal: "0", waiting: [],
  waitingTotal: "0", dollarsPerHour: 0, unpricedWorkers: "0", workers: "0", pretended: false,
  projects: [
    { name: "p", description: "", created: null, repos: "1", pipelines: "1", pipelineStates: {}, liveJobs: {}, endedJobs: {}, workers: "0" },
  ],
};

function job(state: string, more: Partial<LiveEvent> = {}): LiveEvent {
  return { kind: "job", at: AT + 2, project: "p", pipeline: "edges", job: "1a", state, created: AT + 1, ...more };
}

function after(events: LiveEvent[], overview = EMPTY): Overview {
  return overviewAfter(overview, events, new Memory(overview));
}

describe("the overview", () => {
  it("counts a job that comes, works and fails", () => {
    const running = after([job("CREATED"), job("STARTING"), job("RUNNING")]);
    expect([running.runningTotal, running.running.length, running.projects[0]?.liveJobs["RUNNING"]]).toEqual(["1", 1, "1"]);

    const failed = after([job("CREATED"), job("RUNNING"), job("FAILURE", { reason: "no model", finished: AT + 3 })]);
    expect([failed.runningTotal, failed.failedTotal, failed.failed[0]?.reason]).toEqual(["0", "1", "no model"]);
    expect(failed.projects[0]?.endedJobs["FAILURE"]).toBe("1");
  });
  it("counts each event once, however often it comes", () => {
    const memory = new Memory(EMPTY);
    const once = overviewAfter(EMPTY, [job("RUNNING")], memory);
    expect(overviewAfter(once, [job("RUNNING"), job("RUNNING")], memory).runningTotal).toBe("1");
  });
  it("knows that an older job was counted by the snapshot", () => {
    const overview = { ...EMPTY, runningTotal: "7" };
    expect(after([job("SUCCESS", { created: AT - 50, started: AT - 40 })], overview).runningTotal).toBe("6");
  });
  it("remembers what is live and a limited number of jobs and workers that are gone", () => {
    const memory = new Memory(EMPTY);
    const numbers = Array.from({ length: ENDED + 50 }, (_, number) => String(number));
    overviewAfter(EMPTY, [job("RUNNING", { job: "live" })], memory);
    overviewAfter(EMPTY, numbers.map((id) => job("SUCCESS", { job: id })), memory);
    overviewAfter(EMPTY, numbers.map((id): LiveEvent => ({ kind: "worker", at: AT, project: "p", pipeline: "edges", worker: id, state: "gone" })), memory);

    expect([memory.jobs.size, memory.workers.size]).toEqual([ENDED + 1, ENDED]);
    expect(memory.stateBefore(job("SUCCESS", { job: "live" }), EMPTY)).toBe("RUNNING");
    expect(memory.stateBefore(job("SUCCESS", { job: String(ENDED) }), EMPTY)).toBe("SUCCESS");
  });
  it("has a pipeline that waits until a worker is there", () => {
    const pipeline: LiveEvent = { kind: "pipeline", at: AT, project: "p", pipeline: "edges", state: "RUNNING", reason: "no room" };
    const waits = after([pipeline]);
    expect(waits.waiting).toMatchObject([{ pipeline: "edges", sentence: "no room", kind: "WAITING_FOR_WORKERS" }]);
    expect(waits.waitingTotal).toBe("1");

    const worker: LiveEvent = { kind: "worker", at: AT, project: "p", pipeline: "edges", worker: "w", state: "idle" };
    expect(after([pipeline, worker])).toMatchObject({ waiting: [], waitingTotal: "0", workers: "0" });
  });
  it("counts workers that come and go", () => {
    const worker: LiveEvent = { kind: "worker", at: AT, project: "p", pipeline: "edges", worker: "w", state: "pending" };
    expect(after([worker]).workers).toBe("1");
    expect(after([worker, { ...worker, state: "gone" }]).projects[0]?.workers).toBe("0");
  });
});
