/** The workers of a pipeline after events, and the curve of their numbers. Pure. */
import type { console as api } from "@/lib/api";
import type { LiveEvent } from "@/lib/live/events";
import { iso } from "@/lib/time";

/** States of workers by their ids. */
export type Staff = ReadonlyMap<string, string>;
/** Points that are added to a curve at most. */
const MOST = 2_000;

/** Return the workers after events; the same ones when no event is about a worker. */
export function staffAfter(staff: Staff, events: readonly LiveEvent[]): Staff {
  if (!events.some((event) => event.kind === "worker")) return staff;
  const after = new Map(staff);
  for (const { kind, worker = "", state = "" } of events) {
    if (kind !== "worker") continue;
    if (state.toUpperCase() === "GONE") after.delete(worker);
    else after.set(worker, state.toUpperCase());
  }
  return after;
}

/** Return how many can run datums at once. */
export function readyOf(staff: Staff): number {
  return numberOf(staff, "IDLE") + numberOf(staff, "BUSY");
}

/** Return a curve of workers with a point for what is so now, unless its last point says it already. */
export function extended(points: readonly api.ScalingPoint[], staff: Staff, at: number, decision: LiveEvent | undefined): readonly api.ScalingPoint[] {
  const last = points.at(-1);
  const point: api.ScalingPoint = {
    at: iso(at),
    asked: decision?.target ?? last?.asked ?? 0,
    existing: staff.size,
    ready: readyOf(staff),
    busy: numberOf(staff, "BUSY"),
    ...(typeof decision?.waiting === "number" ? { queue: decision.waiting } : last?.queue !== undefined ? { queue: last.queue } : {}),
  };
  const names = ["asked", "existing", "ready", "busy", "queue"] as const;
  if (last && names.every((name) => last[name] === point[name])) return points;
  return [...points.slice(-MOST), point];
}

function numberOf(staff: Staff, state: string): number {
  let number = 0;
  for (const each of staff.values()) if (each === state) number += 1;
  return number;
}
