/**
 * The mark of each state: what it is drawn in, its shape and its word. One per state of docs/design/states.md; a state
 * that this console does not know is drawn too, neutral, with its own word.
 */
import type { ShapeName } from "./shapes";
import type { Role } from "./tokens";

export interface MarkStyle {
  role: Role;
  shape: ShapeName;
  word: string;
  /** Whether something happens: only such marks move. */
  moves?: boolean;
}

export const STATES = {
  commit: {
    OPEN: { role: "active", shape: "ring", word: "open" },
    STARTED: { role: "active", shape: "ring", word: "open" },
    READY: { role: "active", shape: "ring", word: "ready" },
    FINISHING: { role: "active", shape: "halfDisc", word: "finishing", moves: true },
    FINISHED: { role: "good", shape: "disc", word: "finished" },
    ERROR: { role: "bad", shape: "cross", word: "failed" },
    FORGOTTEN: { role: "neutral", shape: "dottedRing", word: "data forgotten" },
  },
  job: {
    CREATED: { role: "neutral", shape: "dottedRing", word: "created" },
    STARTING: { role: "wait", shape: "hourglass", word: "starting" },
    RUNNING: { role: "active", shape: "arc", word: "running", moves: true },
    EGRESSING: { role: "active", shape: "arrowOut", word: "egressing", moves: true },
    FINISHING: { role: "active", shape: "halfDisc", word: "finishing", moves: true },
    SUCCESS: { role: "good", shape: "tick", word: "success" },
    FAILURE: { role: "bad", shape: "cross", word: "failure" },
    KILLED: { role: "neutral", shape: "square", word: "killed" },
    UNRUNNABLE: { role: "bad", shape: "brokenLink", word: "unrunnable" },
  },
  datum: {
    UNKNOWN: { role: "neutral", shape: "dot", word: "waiting" },
    STARTING: { role: "active", shape: "triangle", word: "running", moves: true },
    SUCCESS: { role: "good", shape: "tick", word: "success" },
    SKIPPED: { role: "neutral", shape: "doubleChevron", word: "skipped" },
    RECOVERED: { role: "wait", shape: "ringTick", word: "recovered" },
    FAILED: { role: "bad", shape: "cross", word: "failed" },
  },
  worker: {
    PENDING: { role: "wait", shape: "dashedSquare", word: "pending" },
    STARTING: { role: "active", shape: "halfSquare", word: "starting", moves: true },
    IDLE: { role: "neutral", shape: "emptySquare", word: "idle" },
    BUSY: { role: "active", shape: "square", word: "busy", moves: true },
    RETIRING: { role: "neutral", shape: "squareDown", word: "retiring" },
    LOST: { role: "bad", shape: "crossedSquare", word: "lost" },
    ENDED: { role: "bad", shape: "crossedSquare", word: "ended" },
    GONE: { role: "neutral", shape: "dashedSquare", word: "gone" },
  },
  pipeline: {
    STARTING: { role: "wait", shape: "roundArrow", word: "starting" },
    RESTARTING: { role: "wait", shape: "roundArrow", word: "restarting" },
    RUNNING: { role: "active", shape: "play", word: "running" },
    STANDBY: { role: "neutral", shape: "moon", word: "standby" },
    PAUSED: { role: "neutral", shape: "bars", word: "paused" },
    CRASHING: { role: "bad", shape: "warning", word: "crashing" },
    FAILURE: { role: "bad", shape: "octagon", word: "failure" },
  },
} as const satisfies Record<string, Record<string, MarkStyle>>;

export type StateKind = keyof typeof STATES;

/** Return the mark of a state; the API's prefixes (JOB_, PIPELINE_) and lower case are understood. */
export function markOf(kind: StateKind, state: string): MarkStyle {
  const name = state.toUpperCase().replace(/^(?:JOB|PIPELINE|WORKER)_(?:STATE_)?/, "");
  const marks: Record<string, MarkStyle> = STATES[kind];
  return marks[name] ?? { role: "neutral", shape: "dot", word: name ? name.toLowerCase() : "unknown" };
}

/** States of jobs that have not ended, in their order. */
export const LIVE_JOB_STATES = ["CREATED", "STARTING", "RUNNING", "EGRESSING", "FINISHING"] as const;
/** States of jobs that have ended. */
export const ENDED_JOB_STATES = ["SUCCESS", "FAILURE", "KILLED", "UNRUNNABLE"] as const;
