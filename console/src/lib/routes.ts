/**
 * The one list of addresses: the router, all links, and the test of all pages are made from it. Names in paths are
 * percent-encoded by segment here and nowhere else.
 */
export const BASE = "/ui";

/** `:name` is one segment; `:name*` takes the rest of the path, slashes included. */
export const ROUTES = {
  home: "/",
  dag: "/p/:project",
  repos: "/p/:project/repos",
  repo: "/p/:project/repos/:repo",
  commits: "/p/:project/repos/:repo/commits",
  tree: "/p/:project/repos/:repo/tree/:ref/:path*",
  compare: "/p/:project/repos/:repo/compare/:range/:path*",
  pipelines: "/p/:project/pipelines",
  pipeline: "/p/:project/pipelines/:pipeline",
  create: "/p/:project/new",
  edit: "/p/:project/pipelines/:pipeline/edit",
  projectJobs: "/p/:project/jobs",
  jobCompare: "/p/:project/jobs/compare/:pipeline/:range",
  job: "/p/:project/jobs/:pipeline/:job",
  datum: "/p/:project/jobs/:pipeline/:job/datums/:datum",
  jobs: "/jobs",
  runs: "/runs",
  run: "/runs/:run",
  logs: "/logs",
  machines: "/machines",
  settings: "/settings",
  settingsPart: "/settings/:part",
} as const;

export type RouteName = keyof typeof ROUTES;

type Names<Path extends string> = Path extends `${string}:${infer Name}/${infer Rest}`
  ? Plain<Name> | Names<Rest>
  : Path extends `${string}:${infer Name}`
    ? Plain<Name>
    : never;
type Plain<Name extends string> = Name extends `${infer Base}*` ? Base : Name;
/** The names in the path of a route. */
export type RouteParams<Name extends RouteName> = Record<Names<(typeof ROUTES)[Name]>, string>;
/** Values of the query; those that are undefined or empty are left out. */
export type Query = Record<string, string | number | readonly string[] | undefined>;

export interface Match {
  name: RouteName;
  params: Record<string, string>;
}

/**
 * Return the address of a page.
 *
 * @param name of the route.
 * @param params the names in its path.
 * @param query its parameters.
 */
export function link<Name extends RouteName>(
  name: Name,
  ...[params, query]: keyof RouteParams<Name> extends never
    ? [params?: Record<string, never>, query?: Query]
    : [params: RouteParams<Name>, query?: Query]
): string {
  const values = (params ?? {}) as Record<string, string>;
  const path = ROUTES[name]
    .split("/")
    .map((part) => (part.startsWith(":") ? encoded(part, values) : part))
    .join("/");
  return BASE + path + queryText(query);
}

function encoded(part: string, values: Record<string, string>): string {
  const rest = part.endsWith("*");
  const value = values[part.slice(1, rest ? -1 : undefined)] ?? "";
  return rest ? value.replace(/^\//, "").split("/").map(segment).join("/") : segment(value);
}

/** Browsers take "." and ".." for steps in a path, encoded or not; no name may be either. */
function segment(value: string): string {
  return encodeURIComponent(value);
}

/** Return a query with its question mark; empty without values. */
export function queryText(query: Query | undefined): string {
  const pairs = new URLSearchParams();
  for (const [key, value] of Object.entries(query ?? {})) {
    for (const one of Array.isArray(value) ? value : [value]) {
      if (one !== undefined && one !== "") pairs.append(key, String(one));
    }
  }
  const text = pairs.toString();
  return text && `?${text}`;
}

/** Return the address of raw bytes of a file. */
export function fileLink(project: string, repo: string, ref: string, path: string, query?: Query): string {
  const names = [project, repo, ref, ...path.replace(/^\//, "").split("/")].map(segment).join("/");
  return `/files/${names}${queryText(query)}`;
}

/** Return the address of the text of a whole log. */
export function logTextLink(log: { project: string; pipeline: string; jobId: string; datumId: string; workerId: string }): string {
  const { project, pipeline, jobId: job, datumId: datum, workerId: worker } = log;
  return `/files/.log/${segment(project || "default")}/${segment(pipeline)}${queryText({ job, datum, worker })}`;
}

const PATTERNS = (Object.keys(ROUTES) as RouteName[]).map((name) => ({ name, parts: ROUTES[name].slice(1).split("/") }));

/** Return the route of a path such as /ui/p/images; undefined when there is none. */
export function match(pathname: string): Match | undefined {
  if (pathname !== BASE && !pathname.startsWith(`${BASE}/`)) return undefined;
  const path = pathname.slice(BASE.length + 1);
  const parts = path.split("/");
  for (const { name, parts: pattern } of PATTERNS) {
    const params = matched(pattern, parts);
    if (params) return { name, params };
  }
  return path.endsWith("/") ? match(pathname.slice(0, -1)) : undefined;
}

function matched(pattern: string[], parts: string[]): Record<string, string> | undefined {
  const last = pattern.at(-1) ?? "";
  const takesRest = last.endsWith("*");
  if (takesRest ? parts.length < pattern.length - 1 : parts.length !== pattern.length) return undefined;
  const params: Record<string, string> = {};
  for (const [at, part] of pattern.entries()) {
    const text = parts[at] ?? "";
    const value = takesRest && at === pattern.length - 1 ? parts.slice(at).map(decoded).join("/") : decoded(text);
    if (!part.startsWith(":")) {
      if (part !== text) return undefined;
    } else if (value === "" && !part.endsWith("*")) return undefined;
    else params[part.replace(/^:|\*$/g, "")] = value;
  }
  return params;
}

function decoded(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}
