/** Workers as the page of machines shows them: after events, filtered, in an order. Pure. */
import type { control } from "@/lib/api";
import type { LiveEvent } from "@/lib/live/events";

export type Worker = control.WorkerInfo;
export const ORDERS = ["machine", "pipeline", "state"] as const;
export type Order = (typeof ORDERS)[number];

/** What events make of workers. */
export interface Applied {
  workers: readonly Worker[];
  /** A worker came, or got a machine or work: the list is to be read again for what events do not have. */
  stale: boolean;
}

/** Return workers after events; those that are gone leave the list. */
export function workersAfter(workers: readonly Worker[], events: readonly LiveEvent[]): Applied {
  const byId = new Map(workers.map((worker) => [worker.id, worker]));
  let stale = false;
  let changed = false;
  for (const event of events) {
    if (event.kind !== "worker" || !event.worker) continue;
    const worker = byId.get(event.worker);
    const state = (event.state ?? "").toLowerCase();
    if (state === "gone") changed = byId.delete(event.worker) || changed;
    else if (!worker) stale = true;
    else if (worker.state !== state || worker.reason !== (event.reason ?? "")) {
      byId.set(worker.id, { ...worker, state, reason: event.reason ?? "" });
      changed = true;
      if (state === "busy" || !worker.machine) stale = true;
    }
  }
  return { workers: changed ? [...byId.values()] : workers, stale };
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
