/** The jobs of a run on one line of time: where each bar begins and how wide it is. Pure. */
import type { JobRow } from "@/lib/job-rows";
import { moment } from "@/lib/time";

export interface Span {
  row: JobRow;
  /** Shares of the width, 0 to 1. */
  waitFrom: number;
  runFrom: number;
  end: number;
}

export interface Spans {
  /** Seconds since 1970. */
  from: number;
  until: number;
  spans: Span[];
}

/**
 * Return the bars of jobs, those that began first at the top.
 *
 * @param rows jobs of one global id.
 * @param now where bars of live jobs end, in seconds since 1970.
 */
export function spansOf(rows: readonly JobRow[], now: number): Spans {
  const times = rows.map((row) => {
    const created = moment(row.created) ?? now;
    const end = Math.max(created, moment(row.finished) ?? now);
    return { row, created, started: Math.min(end, moment(row.started) ?? end), end };
  });
  const from = Math.min(now, ...times.map((time) => time.created));
  const until = Math.max(from + 0.001, ...times.map((time) => time.end));
  const share = (at: number): number => (at - from) / (until - from);
  const spans = times
    .toSorted((one, other) => one.started - other.started || one.created - other.created || one.row.pipeline.localeCompare(other.row.pipeline))
    .map(({ row, created, started, end }) => ({ row, waitFrom: share(created), runFrom: share(started), end: share(end) }));
  return { from, until, spans };
}
