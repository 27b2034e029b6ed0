/**
 * The overview after events, without asking the server again. Events have the new state of a job and not the one
 * before; what that was follows from the snapshot's rows, from earlier events, and from when the job began.
 */
import type { console as api } from "@/lib/api";
import { type JobRow, eventKey, isLive, isWorking, jobKey, rowAfter, rowsAfter } from "@/lib/job-rows";
import type { LiveEvent } from "@/lib/live/events";
import { int } from "@/lib/numbers";
import { iso, moment } from "@/lib/time";

export type Overview = api.Overview;

/** Rows of each list that are held. */
const HELD = 50;
/** Jobs that ended, and workers that went, that are remembered: an event that comes again must not count twice. */
export const ENDED = 5_000;

/** Values by key. Those that are over are forgotten, the oldest first, when there are more than `ENDED`. */
class Recent<Value> {
  private readonly current = new Map<string, Value>();
  private readonly over = new Map<string, Value>();

  get size(): number {
    return this.current.size + this.over.size;
  }

  get(key: string): Value | undefined {
    return this.current.get(key) ?? this.over.get(key);
  }

  set(key: string, value: Value, isOver: boolean): void {
    this.current.delete(key);
    this.over.delete(key);
    (isOver ? this.over : this.current).set(key, value);
    if (this.over.size <= ENDED) return;
    for (const oldest of this.over.keys()) {
      this.over.delete(oldest);
      return;
    }
  }
}

/** What was learned since a snapshot. */
export class Memory {
  /** States of jobs by their keys; empty: deleted. */
  readonly jobs = new Recent<string>();
  /** Whether workers that came or went are there. */
  readonly workers = new Recent<boolean>();

  constructor(overview: Overview) {
    for (const row of [...overview.running, ...overview.failed]) this.jobs.set(jobKey(row), row.state, !isLive(row.state));
  }

  /** Return the state of a job before an event; empty when it did not exist. */
  stateBefore(event: LiveEvent, overview: Overview): string {
    const known = this.jobs.get(eventKey(event));
    if (known !== undefined) return known;
    const at = moment(overview.at) ?? 0;
    if ((event.created ?? 0) > at) return "";
    return (event.started ?? Infinity) <= at ? "RUNNING" : "CREATED";
  }
}

/** Return the overview after events. */
export function overviewAfter(overview: Overview, events: readonly LiveEvent[], memory: Memory): Overview {
  let after = overview;
  for (const event of events) {
    if (event.kind === "job") after = afterJob(after, event, memory);
    else if (event.kind === "datum") after = { ...after, running: rowsAfter(after.running, [event]) as JobRow[] };
    else if (event.kind === "pipeline") after = afterPipeline(after, event);
    else if (event.kind === "worker") after = afterWorker(after, event, memory);
  }
  return after;
}

function afterJob(overview: Overview, event: LiveEvent, memory: Memory): Overview {
  const key = eventKey(event);
  const before = memory.stateBefore(event, overview);
  const state = event.state === "DELETED" ? "" : (event.state ?? "");
  memory.jobs.set(key, state, !isLive(state));
  const old = overview.running.find((row) => jobKey(row) === key);
  const row = rowAfter(old, event);
  const after = { ...overview, projects: projectsAfter(overview.projects, event.project, before, state) };
  after.runningTotal = moved(overview.runningTotal, isWorking(before), isWorking(state));
  after.failedTotal = moved(overview.failedTotal, before === "FAILURE", state === "FAILURE");
  const others = overview.running.filter((each) => each !== old);
  after.running = !row || !isWorking(state) ? others : old ? overview.running.map((each) => (each === old ? row : each)) : [row, ...others].slice(0, HELD);
  if (state === "FAILURE" && before !== "FAILURE" && row) after.failed = [row, ...overview.failed].slice(0, HELD);
  else if (state === "") after.failed = overview.failed.filter((each) => jobKey(each) !== key);
  if (!isLive(state)) return withoutWait(after, (wait) => wait.project === event.project && wait.jobId === event.job && wait.pipeline === event.pipeline);
  return after;
}

function afterPipeline(overview: Overview, event: LiveEvent): Overview {
  const isSame = (wait: api.WaitingPipeline): boolean => wait.project === event.project && wait.pipeline === event.pipeline;
  const broken = event.state === "FAILURE" || event.state === "CRASHING";
  const waits = broken || (event.state === "RUNNING" && Boolean(event.reason) && !event.stopped);
  if (!waits) return withoutWait(overview, isSame);
  const old = overview.waiting.find(isSame);
  const kind = event.state === "FAILURE" ? "FAILED" : event.state === "CRASHING" ? "CRASHING" : "WAITING_FOR_WORKERS";
  const wait: api.WaitingPipeline = {
    project: event.project,
    pipeline: event.pipeline ?? "",
    kind,
    sentence: event.reason ?? "",
    since: old?.kind === kind ? old.since : iso(event.at),
    jobId: old?.jobId ?? "",
  };
  if (old) return { ...overview, waiting: overview.waiting.map((each) => (each === old ? wait : each)) };
  return { ...overview, waiting: [wait, ...overview.waiting].slice(0, HELD), waitingTotal: String(int(overview.waitingTotal) + 1) };
}

function afterWorker(overview: Overview, event: LiveEvent, memory: Memory): Overview {
  const id = event.worker ?? "";
  const state = (event.state ?? "").toLowerCase();
  const there = state !== "gone";
  const before = memory.workers.get(id) ?? state !== "pending";
  memory.workers.set(id, there, !there);
  let after = overview;
  if (before !== there) {
    after = {
      ...overview,
      workers: moved(overview.workers, before, there),
      projects: overview.projects.map((project) =>
        project.name === event.project ? { ...project, workers: moved(project.workers, before, there) } : project,
      ),
    };
  }
  if (state !== "idle" && state !== "busy") return after;
  return withoutWait(after, (wait) => wait.kind === "WAITING_FOR_WORKERS" && wait.project === event.project && wait.pipeline === event.pipeline);
}

function withoutWait(overview: Overview, matches: (wait: api.WaitingPipeline) => boolean): Overview {
  const rest = overview.waiting.filter((wait) => !matches(wait));
  const gone = overview.waiting.length - rest.length;
  if (gone === 0) return overview;
  return { ...overview, waiting: rest, waitingTotal: String(Math.max(rest.length, int(overview.waitingTotal) - gone)) };
}

function projectsAfter(projects: api.ProjectSummary[], name: string, before: string, state: string): api.ProjectSummary[] {
  if (before === state) return projects;
  return projects.map((project) => {
    if (project.name !== name) return project;
    const liveJobs = { ...project.liveJobs };
    const endedJobs = { ...project.endedJobs };
    if (before) add(isLive(before) ? liveJobs : endedJobs, before, -1);
    if (state) add(isLive(state) ? liveJobs : endedJobs, state, 1);
    return { ...project, liveJobs, endedJobs };
  });
}

function add(counts: Record<string, string>, state: string, change: number): void {
  counts[state] = String(Math.max(0, int(counts[state]) + change));
}

function moved(total: string, before: boolean, after: boolean): string {
  return String(Math.max(0, int(total) + Number(after) - Number(before)));
}
