/** Workers as the page of machines shows them: after events, filtered, in an order. Pure. */
import type { control } from "@/lib/api";
import type { LiveEvent } from "@/lib/live/events";
import { iso } from "@/lib/time";

export type Worker = control.WorkerInfo;
/** Kinds of machines that cost the same without work. */
export const OURS: readonly string[] = ["local", "joined"];
export const ORDERS = ["machine", "pipeline", "state"] as const;
export type Order = (typeof ORDERS)[number];

/** Return workers after events; those that are gone leave the list. */
export function workersAfter(workers: readonly Worker[], events: readonly LiveEvent[]): readonly Worker[] {
  const own = events.filter((event) => event.kind === "worker" && event.worker);
  if (own.length === 0) return workers;
  const byId = new Map(workers.map((worker) => [worker.id, worker]));
  for (const event of own) {
    const id = event.worker ?? "";
    if (event.state?.toLowerCase() === "gone") byId.delete(id);
    else byId.set(id, workerAfter(byId.get(id), event));
  }
  return [...byId.values()];
}

/** Return a worker after an event about it, which is its first one when it is not known. */
function workerAfter(worker: Worker | undefined, event: LiveEvent): Worker {
  const at = iso(event.at);
  const state = (event.state ?? "").toLowerCase();
  const before: Worker = worker ?? {
    id: event.worker ?? "", project: event.project, pipeline: event.pipeline ?? "", state, reason: "", created: at, ready: null,
    jobId: "", datumId: "", pipelineVersion: "0", machine: "",
  };
  const works = state === "busy" || state === "retiring";
  return {
    ...before,
    state,
    reason: event.reason ?? "",
    ready: before.ready ?? (state === "idle" || state === "busy" ? at : null),
    machine: event.machine ?? before.machine,
    jobId: event.busy_with ?? (works ? before.jobId : ""),
    // Which datum it is at, events do not say.
    datumId: works && event.busy_with === undefined ? before.datumId : "",
  };
}

/** Return the machines with the workers that are on them now. */
export function staffed(machines: readonly control.MachineInfo[], workers: readonly Worker[]): control.MachineInfo[] {
  const on = new Map<string, string[]>();
  for (const { id, machine } of workers) on.set(machine, [...(on.get(machine) ?? []), id]);
  return machines.map((machine) => ({ ...machine, workers: on.get(machine.name) ?? [] }));
}

/**
 * Return whether events tell of machines that came or went: one that is not listed, or one whose last worker has gone
 * and that is not always there.
 */
export function otherMachines(machines: readonly control.MachineInfo[], workers: readonly Worker[], events: readonly LiveEvent[]): boolean {
  const byName = new Map(machines.map((machine) => [machine.name, machine]));
  const inUse = new Set(workers.map((worker) => worker.machine));
  return events.some(({ machine }) => {
    if (!machine) return false;
    const listed = byName.get(machine);
    return !listed || (listed.kind !== "local" && !inUse.has(machine));
  });
}

/** Which workers are shown; empty texts admit all. */
export interface WorkerFilter {
  project: string;
  pipeline: string;
  machine: string;
  state: string;
}

/** Return the workers that a filter admits, in an order; within it, by their age. */
export function arranged(workers: readonly Worker[], filter: WorkerFilter, order: Order): Worker[] {
  const admitted = workers.filter(
    (worker) =>
      (!filter.project || worker.project === filter.project) &&
      (!filter.pipeline || worker.pipeline === filter.pipeline) &&
      (!filter.machine || worker.machine === filter.machine) &&
      (!filter.state || worker.state === filter.state),
  );
  const keyOf = (worker: Worker): string =>
    order === "machine" ? worker.machine : order === "state" ? worker.state : `${worker.project}/${worker.pipeline}`;
  return admitted.toSorted((one, other) => keyOf(one).localeCompare(keyOf(other)) || (one.created ?? "").localeCompare(other.created ?? ""));
}
