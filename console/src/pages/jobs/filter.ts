/** The filter of a list of jobs: from and to the address, to the API, and whether it admits an event. Pure. */
import type { Topic, LiveEvent } from "@/lib/live/events";
import type { Query } from "@/lib/routes";
import { command } from "@/lib/shell";
import { iso, parseMoment } from "@/lib/time";

export interface Filter {
  /** Empty: all projects. */
  projects: readonly string[];
  pipelines: readonly string[];
  states: readonly string[];
  run: string;
  /** As in the address: RFC 3339, or relative, such as -24h. */
  from: string;
  until: string;
}

/** What reads the query of an address. */
interface Source {
  query(name: string): string;
  queryAll(name: string): string[];
}

/**
 * Return the filter that an address has.
 *
 * @param source the query.
 * @param project in the path; empty for all.
 */
export function filterOf(source: Source, project: string): Filter {
  return {
    projects: project ? [project] : source.queryAll("project"),
    pipelines: source.queryAll("pipeline"),
    states: source.queryAll("state").map((state) => state.toUpperCase()),
    run: source.query("run"),
    from: source.query("from"),
    until: source.query("until"),
  };
}

/** Return a query without any part of the filter. */
export const CLEARED: Query = { project: undefined, pipeline: undefined, state: undefined, run: undefined, from: undefined, until: undefined };

/** Return whether a filter restricts anything but the project in the path. */
export function isFiltered(filter: Filter, project: string): boolean {
  return (
    filter.pipelines.length > 0 || filter.states.length > 0 || Boolean(filter.run || filter.from || filter.until) || (!project && filter.projects.length > 0)
  );
}

/** Return the fields of ListJobRow for a filter. */
export function requestOf(filter: Filter) {
  const [from, until] = [parseMoment(filter.from), parseMoment(filter.until)];
  return {
    projects: filter.projects,
    pipelines: filter.pipelines,
    states: filter.states,
    commitSet: filter.run,
    ...(from === undefined ? {} : { from: iso(from) }),
    ...(until === undefined ? {} : { until: iso(until) }),
  };
}

/** Return what to listen to for a filter. */
export function topicOf(filter: Filter): Topic {
  return {
    kinds: ["job", "datum"],
    ...(filter.projects.length > 0 ? { projects: filter.projects } : {}),
    ...(filter.pipelines.length > 0 ? { pipelines: filter.pipelines } : {}),
    ...(filter.run ? { jobs: [filter.run] } : {}),
  };
}

/** Return whether a list has the job of an event, which the topic of the filter admits. */
export function admitsJob(filter: Filter, event: LiveEvent): boolean {
  if (event.kind !== "job" || event.state === "DELETED") return false;
  const until = parseMoment(filter.until);
  if (until !== undefined && (event.created ?? 0) >= until) return false;
  return filter.states.length === 0 || filter.states.includes(event.state ?? "");
}

/** Return the command that lists the same jobs. */
export function commandOf(filter: Filter): string {
  const options = filter.states.flatMap((state) => ["--state", state.toLowerCase()]);
  const [project, ...others] = filter.projects;
  const where = project && others.length === 0 ? ["--project", project] : ["-A"];
  const [pipeline] = filter.pipelines;
  return command("trunkline", "list", "job", ...(filter.run ? [filter.run] : []), ...(pipeline ? ["-p", pipeline] : []), ...options, ...where);
}
