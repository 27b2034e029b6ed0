/** Decisions about the number of workers, as events have them. Pure. */
import type { console as api } from "@/lib/api";
import type { LiveEvent } from "@/lib/live/events";
import { iso, moment } from "@/lib/time";

export type ScalingDecision = api.ScalingDecision;

/** Seconds by which times of two decisions differ at least: those of events have milliseconds, others microseconds. */
const APART = 0.002;

/** Return the decision of an event of kind `decision`. */
export function decisionOf(event: LiveEvent): ScalingDecision {
  return { at: iso(event.at), target: String(event.target ?? 0), sentence: event.sentence ?? "" };
}

/** Return decisions, the newest last, with those of events that are later. */
export function decisionsAfter(decisions: readonly ScalingDecision[], events: readonly LiveEvent[]): ScalingDecision[] {
  const newest = moment(decisions.at(-1)?.at) ?? 0;
  const later = events.filter((event) => event.kind === "decision" && event.at > newest + APART);
  return [...decisions, ...later.map(decisionOf)];
}
