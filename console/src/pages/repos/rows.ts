/** The rows of the list of repos, and what events make of them. Pure. */
import type { console as api } from "@/lib/api";
import type { LiveEvent } from "@/lib/live/events";
import { int } from "@/lib/numbers";
import { moment } from "@/lib/time";

export interface Row {
  name: string;
  description: string;
  branches: number;
  size: number;
  /** When the newest commit of master was finished, in seconds since 1970. */
  headAt: number | undefined;
  /** A pipeline writes it. */
  isOutput: boolean;
}

/** Return a row of an answer. */
export function rowOf(row: api.RepoRow): Row {
  const { name, description, isOutput } = row;
  return { name, description, branches: int(row.branches), size: int(row.sizeBytes), headAt: moment(row.headAt), isOutput };
}

/** Return the rows after events of repos, commits and pipelines, by name; the same array when nothing is different. */
export function rowsAfter(rows: readonly Row[], events: readonly LiveEvent[]): readonly Row[] {
  const changed = new Map<string, Row | undefined>();
  let byName: Map<string, Row> | undefined;
  for (const event of events) {
    const name = event.kind === "pipeline" ? event.pipeline : (event.type ?? "user") === "user" ? event.repo : undefined;
    if (name === undefined) continue;
    byName ??= new Map(rows.map((row) => [row.name, row]));
    const before = changed.has(name) ? changed.get(name) : byName.get(name);
    const after = rowAfter(before, event, name);
    if (after !== before) changed.set(name, after);
  }
  if (changed.size === 0) return rows;
  const kept = rows.flatMap((row) => (changed.has(row.name) ? (changed.get(row.name) ?? []) : row));
  const added = [...changed.values()].filter((row): row is Row => row !== undefined && !byName?.has(row.name));
  return added.length === 0 ? kept : [...kept, ...added].sort((a, b) => (a.name < b.name ? -1 : 1));
}

function rowAfter(row: Row | undefined, event: LiveEvent, name: string): Row | undefined {
  const isDeleted = event.state === "DELETED";
  if (event.kind === "repo") {
    if (isDeleted) return undefined;
    return row ?? { name, description: event.description ?? "", branches: 0, size: 0, headAt: undefined, isOutput: false };
  }
  if (row === undefined) return undefined;
  if (event.kind === "pipeline") return row.isOutput === !isDeleted ? row : { ...row, isOutput: !isDeleted };
  if (event.kind !== "commit" || isDeleted) return row;
  const branches = event.branch ? Math.max(row.branches, 1) : row.branches;
  if (event.state !== "FINISHED" || event.branch !== "master") return branches === row.branches ? row : { ...row, branches };
  return { ...row, branches, size: event.size ?? row.size, headAt: event.finished ?? event.at };
}
