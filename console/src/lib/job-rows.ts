/** Rows of jobs as lists show them: their progress, the parts of their bar, and what events change in them. Pure. */
import type { console as api } from "./api";
import type { LiveEvent } from "./live/events";
import { int } from "./numbers";
import { link } from "./routes";
import { LIVE_JOB_STATES } from "./states";
import { iso, moment } from "./time";
import type { Role } from "./tokens";

export type JobRow = api.JobRow;

export interface Part {
  value: number;
  role: Role;
  word: string;
  hatched?: boolean;
}

/** States of jobs that are at work: live ones whose inputs are there. */
export const WORKING_JOB_STATES = LIVE_JOB_STATES.filter((state) => state !== "CREATED");

/** Identify a job among all of a server: jobs of one global id share their id. */
export function jobKey(row: { project: string; pipeline: string; jobId: string }): string {
  return `${row.project}/${row.pipeline}@${row.jobId}`;
}

/** Return the key of the job that an event is about. */
export function eventKey(event: LiveEvent): string {
  return jobKey({ project: event.project, pipeline: event.pipeline ?? "", jobId: event.job ?? "" });
}

/** Return the address of a job's page. */
export function jobLink(row: JobRow): string {
  return link("job", { project: row.project, pipeline: row.pipeline, job: row.jobId });
}

/** Return whether a job has not ended. */
export function isLive(state: string): boolean {
  return (LIVE_JOB_STATES as readonly string[]).includes(state);
}

/** Return whether a job is at work. */
export function isWorking(state: string): boolean {
  return (WORKING_JOB_STATES as readonly string[]).includes(state);
}

/** Return the datums of a job that have a result, skipped ones included. */
export function finishedDatums(row: JobRow): number {
  return int(row.processed) + int(row.skipped) + int(row.failed) + int(row.recovered);
}

/** Return the parts of the bar of a job's datums; failed ones stand first, where they are seen. */
export function datumParts(row: JobRow): Part[] {
  return [
    { value: int(row.failed), role: "bad", word: "failed" },
    { value: int(row.recovered), role: "wait", word: "recovered" },
    { value: int(row.processed), role: "good", word: "processed" },
    { value: int(row.skipped), role: "neutral", word: "skipped", hatched: true },
  ];
}

/** Return about how many seconds a running job still takes, at its pace so far; undefined before a pace is known. */
export function secondsLeft(row: JobRow, now: number): number | undefined {
  const started = moment(row.started);
  const ran = int(row.processed) + int(row.failed) + int(row.recovered);
  const left = int(row.total) - finishedDatums(row);
  if (row.state !== "RUNNING" || started === undefined || ran === 0 || left <= 0) return undefined;
  return (Math.max(0, now - started) / ran) * left;
}

/** Return how long a job has run, or ran, in seconds; undefined before its start. */
export function runSeconds(row: JobRow, now: number): number | undefined {
  const begin = moment(row.started) ?? (row.finished ? moment(row.created) : undefined);
  return begin === undefined ? undefined : Math.max(0, (moment(row.finished) ?? now) - begin);
}

/** Return a job after an event of kind `job` or `datum`; of an unknown job only a `job` event makes a row. */
export function rowAfter(row: JobRow | undefined, event: LiveEvent): JobRow | undefined {
  if (event.kind === "datum") {
    return row && { ...row, ...counters(event) };
  }
  if (event.kind !== "job" || !event.job || !event.pipeline) return row;
  return {
    project: event.project,
    pipeline: event.pipeline,
    jobId: event.job,
    state: event.state ?? "",
    reason: event.reason ?? "",
    created: time(event.created),
    started: time(event.started),
    finished: time(event.finished),
    total: String(event.total ?? 0),
    skipped: String(event.skipped ?? 0),
    ...counters(event),
    version: String(event.version ?? 0),
    restart: String(event.restart ?? 0),
    ...(row?.dollars === undefined ? {} : { dollars: row.dollars }),
  };
}

/** Return rows after events; undefined events change nothing, deleted jobs go, and unknown jobs are left out. */
export function rowsAfter(rows: readonly JobRow[], events: readonly LiveEvent[]): readonly JobRow[] {
  const changed = new Map<string, LiveEvent[]>();
  for (const event of events) {
    if (event.kind !== "job" && event.kind !== "datum") continue;
    const key = eventKey(event);
    changed.set(key, [...(changed.get(key) ?? []), event]);
  }
  if (!rows.some((row) => changed.has(jobKey(row)))) return rows;
  const result: JobRow[] = [];
  for (const row of rows) {
    const own = changed.get(jobKey(row)) ?? [];
    if (own.at(-1)?.state === "DELETED") continue;
    result.push(own.reduce((current, event) => rowAfter(current, event) ?? current, row));
  }
  return result;
}

function counters(event: LiveEvent): Pick<JobRow, "processed" | "failed" | "recovered"> {
  return {
    processed: String(event.processed ?? 0),
    failed: String(event.failed ?? 0),
    recovered: String(event.recovered ?? 0),
  };
}

function time(seconds: number | null | undefined): string | null {
  return seconds === undefined || seconds === null ? null : iso(seconds);
}
