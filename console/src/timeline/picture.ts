/**
 * What the workers of a job did when, as the server sums it up, with what events have added since. Pure; plain and typed
 * arrays, because a picture may have a million cells.
 */
import type { console as api } from "@/lib/api";
import { type LiveEvent, workOf } from "@/lib/live/events";
import { bytesOf, int } from "@/lib/numbers";
import { moment } from "@/lib/time";

/** A datum, or several that follow each other. */
export interface Bar {
  position: number;
  begin: number;
  end: number;
  state: string;
  count: number;
  failed: number;
}
export interface Lane {
  workerId: string;
  machine: string;
  datums: number;
  /** The share of each slice in which a datum ran, 0 to 255. */
  busy: Uint8Array;
  /** Slices with failures, and how many. */
  failures: readonly (readonly [number, number])[];
  /** Undefined: too many are in range. */
  bars: readonly Bar[] | undefined;
  /** What events have told since. */
  added: readonly Bar[];
}
export interface Picture {
  from: number;
  until: number;
  lanes: readonly Lane[];
  lanesTotal: number;
  position: string;
}
export interface Extent {
  from: number;
  until: number;
}

/** Return the picture of an answer. */
export function pictureOf(answer: api.Timeline): Picture {
  return {
    from: moment(answer.from) ?? 0,
    until: moment(answer.until) ?? 0,
    lanes: answer.lanes.map(laneOf),
    lanesTotal: int(answer.lanesTotal),
    position: answer.position,
  };
}

function laneOf(lane: api.Lane): Lane {
  return {
    workerId: lane.workerId,
    machine: lane.machine,
    datums: int(lane.datums),
    busy: bytesOf(lane.busy),
    failures: lane.failures.map((slice) => [int(slice.slice), int(slice.failed)] as const),
    bars: lane.hasBars ? lane.bars.map(barOf) : undefined,
    added: [],
  };
}

function barOf(bar: api.TimelineBar): Bar {
  const begin = moment(bar.begin) ?? 0;
  return { position: int(bar.position), begin, end: begin + bar.seconds, state: bar.state, count: int(bar.count), failed: int(bar.failed) };
}

/** Return a picture after events of kind `datum`; a worker that it does not have becomes a lane. */
export function pictureAfter(picture: Picture, events: readonly LiveEvent[]): Picture {
  const lanes = new Map(picture.lanes.map((lane) => [lane.workerId, lane]));
  let until = picture.until;
  let changed = false;
  for (const event of events) {
    for (const work of workOf(event)) {
      const lane = lanes.get(work.worker) ?? {
        workerId: work.worker, machine: "", datums: 0, busy: new Uint8Array(), failures: [], bars: [], added: [],
      };
      const bar = { position: -1, begin: work.begin, end: work.end, state: work.failed ? "FAILED" : "SUCCESS", count: 0, failed: work.failed ? 1 : 0 };
      lanes.set(work.worker, { ...lane, added: [...lane.added, bar] });
      until = Math.max(until, work.end);
      changed = true;
    }
  }
  return changed ? { ...picture, until, lanes: [...lanes.values()] } : picture;
}

/** Return the share of a range in which a lane's datums ran, from 0 to 1. */
export function busyShare(lane: Lane): number {
  return lane.busy.length === 0 ? 0 : lane.busy.reduce((total, share) => total + share, 0) / (255 * lane.busy.length);
}

/** Return a range zoomed around a moment, or moved; never shorter than 10 ms. */
export function zoomed(extent: Extent, factor: number, around: number): Extent {
  const length = Math.max(0.01, (extent.until - extent.from) * factor);
  const share = (around - extent.from) / Math.max(1e-9, extent.until - extent.from);
  const from = around - share * length;
  return { from, until: from + length };
}

/** Return a range moved by a share of its length. */
export function moved(extent: Extent, share: number): Extent {
  const step = (extent.until - extent.from) * share;
  return { from: extent.from + step, until: extent.until + step };
}

const STEPS = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 43_200, 86_400];

/** Return the moments of the ticks of an axis, at most so many, in round steps. */
export function ticks(extent: Extent, most: number): { step: number; at: number[] } {
  const length = extent.until - extent.from;
  const step = STEPS.find((candidate) => length / candidate <= most) ?? Math.ceil(length / most / 86_400) * 86_400;
  const at = [];
  for (let tick = Math.ceil(extent.from / step) * step; tick <= extent.until; tick += step) at.push(tick);
  return { step, at };
}

/** Return the bar at a moment of a lane, among those that are drawn; the shortest when several are. */
export function barAt(lane: Lane, at: number, tolerance: number): Bar | undefined {
  let best: Bar | undefined;
  for (const bar of lane.bars ?? []) {
    if (at < bar.begin - tolerance || at > bar.end + tolerance) continue;
    if (!best || bar.failed > best.failed || bar.end - bar.begin < best.end - best.begin) best = bar;
  }
  return best;
}
