/** Events of the server and topics, as docs/design/events.md has them. */
export type EventKind = "repo" | "commit" | "pipeline" | "job" | "datum" | "worker" | "decision" | "log";

/** One change: the whole new state of what it names. Which fields there are depends on the kind. */
export interface LiveEvent {
  kind: EventKind;
  at: number;
  project: string;
  repo?: string;
  type?: string;
  branch?: string;
  commit?: string;
  pipeline?: string;
  job?: string;
  worker?: string;
  state?: string;
  reason?: string;
  description?: string;
  stopped?: boolean;
  version?: number;
  origin?: string;
  created?: number;
  started?: number;
  finished?: number;
  size?: number;
  error?: string;
  restart?: number;
  total?: number;
  processed?: number;
  skipped?: number;
  failed?: number;
  recovered?: number;
  /** Ids by state, of kind `datum`. */
  datums?: Record<string, string[]>;
  more?: number;
  /** When the datums of an event of kind `datum` ran; of an event of kind `log`, `begin` is a position. */
  begin?: number | string;
  end?: number;
  busy?: number;
  /** Of several events of kind `datum` that became one: what each worker did. */
  work?: Work[];
  lines?: number;
  target?: number;
  workers?: number;
  /** Datums that no worker had at a decision. */
  waiting?: number;
  sentence?: string;
  /** Name of a worker's machine, as far as it is known, and id of the job that it begins to run datums of. */
  machine?: string;
  busy_with?: string;
  alerts?: string[];
}

/** What a worker did in a time: datums ran for `busy` seconds of it. */
export interface Work {
  worker: string;
  begin: number;
  end: number;
  busy: number;
  failed: boolean;
}

/** What a page listens to. A list that is left out admits all; `log` only comes when it is named. */
export interface Topic {
  kinds?: readonly EventKind[];
  projects?: readonly string[];
  repos?: readonly string[];
  pipelines?: readonly string[];
  jobs?: readonly string[];
}

const DEFAULT_KINDS: readonly EventKind[] = ["repo", "commit", "pipeline", "job", "datum", "worker", "decision"];
/** The most ids of datums that one event holds. */
const MOST_DATUMS = 256;

/** Return whether a topic admits an event, by the server's rules. */
export function admits(topic: Topic, event: LiveEvent): boolean {
  if (!(topic.kinds ?? DEFAULT_KINDS).includes(event.kind)) return false;
  if (topic.projects && !topic.projects.includes(event.project)) return false;
  if (topic.jobs && !topic.jobs.includes(event.job ?? event.commit ?? "")) return false;
  if (!topic.repos && !topic.pipelines) return true;
  return (topic.repos?.includes(event.repo ?? "") || topic.pipelines?.includes(event.pipeline ?? "")) ?? false;
}

/** Return the query of a stream that has at least what all topics admit; undefined when nobody listens. */
export function unionQuery(topics: readonly Topic[]): string | undefined {
  if (topics.length === 0) return undefined;
  const query = new URLSearchParams();
  const kinds = new Set(topics.flatMap((topic) => topic.kinds ?? DEFAULT_KINDS));
  for (const kind of [...kinds].sort()) query.append("kind", kind);
  for (const [name, lists] of [
    ["project", topics.map((topic) => topic.projects)],
    ["job", topics.map((topic) => topic.jobs)],
  ] as const) {
    for (const value of union(lists)) query.append(name, value);
  }
  // With both, the server admits what either admits; so a topic restricts only when it names one of them.
  if (topics.every((topic) => topic.repos ?? topic.pipelines)) {
    for (const value of union(topics.map((topic) => topic.repos ?? []))) query.append("repo", value);
    for (const value of union(topics.map((topic) => topic.pipelines ?? []))) query.append("pipeline", value);
  }
  return query.toString();
}

function union(lists: readonly (readonly string[] | undefined)[]): string[] {
  if (lists.some((list) => list === undefined)) return [];
  return [...new Set(lists.flatMap((list) => list ?? []))].sort();
}

/** Return what an event names: of several events with one key, the last one counts. */
export function keyOf(event: LiveEvent): string {
  const { kind, project, repo = "", type = "", commit = "", pipeline = "", job = "", worker = "" } = event;
  const own = kind === "datum" ? "" : worker;
  return [kind, project, repo, type, commit, pipeline, job, own].join("\n");
}

/** Return one event for two with the same key: the later one, with the ids of datums of both. */
export function merged(earlier: LiveEvent | undefined, later: LiveEvent): LiveEvent {
  if (earlier?.lines !== undefined && later.lines !== undefined) return { ...later, lines: earlier.lines + later.lines };
  if (!earlier?.datums || !later.datums) return later;
  const datums: Record<string, string[]> = {};
  let more = (earlier.more ?? 0) + (later.more ?? 0);
  let room = MOST_DATUMS;
  for (const state of new Set([...Object.keys(later.datums), ...Object.keys(earlier.datums)])) {
    const ids = [...new Set([...(later.datums[state] ?? []), ...(earlier.datums[state] ?? [])])];
    datums[state] = ids.slice(0, room);
    more += Math.max(0, ids.length - room);
    room = Math.max(0, room - ids.length);
  }
  return { ...later, datums, more, work: [...workOf(earlier), ...workOf(later)].slice(-MOST_DATUMS) };
}

/** Return what workers did by an event of kind `datum`. */
export function workOf(event: LiveEvent): Work[] {
  if (event.work) return event.work;
  const { worker = "", begin, end, busy } = event;
  if (typeof begin !== "number" || end === undefined || busy === undefined) return [];
  return [{ worker, begin, end, busy, failed: (event.datums?.["failed"] ?? event.datums?.["FAILED"] ?? []).length > 0 }];
}

/** Return the number in a position, which orders those of one log; 0 for none. */
export function positionNumber(position: string): number {
  return Number(position.slice(position.indexOf("-") + 1)) || 0;
}

/** Return the epoch of a position: another one means that the server has started again. */
export function epochOf(position: string): string {
  return position.slice(0, Math.max(0, position.indexOf("-")));
}
