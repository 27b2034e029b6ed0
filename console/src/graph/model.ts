/**
 * The graph of a project: nodes with their states, and what depends on what. Made from the answer of InspectGraph and
 * kept up to date by events; values are replaced and never changed.
 */
import type { console as api } from "@/lib/api";
import type { LiveEvent } from "@/lib/live/events";
import { int } from "@/lib/numbers";
import { type Moment, moment } from "@/lib/time";
import { groupNames } from "./groups";
import type { Selectable } from "./selection";

/** The newest job of a pipeline, or that of the global id that is shown. */
export interface NodeJob {
  id: string;
  state: string;
  reason: string;
  created: Moment | undefined;
  finished: Moment | undefined;
  total: number;
  processed: number;
  skipped: number;
  failed: number;
}

/** Its attribute `state` is what its mark shows: of a pipeline that is in order, the state of its newest job. */
export interface GraphNode extends Selectable {
  /** project/repo:NAME or project/pipeline:NAME. */
  id: string;
  project: string;
  kind: "repo" | "cron" | "pipeline";
  /** Of pipelines, as in events; that of the job when a global id is shown. */
  state: string;
  reason: string;
  job: NodeJob | undefined;
  /** Ids of the workers that are ready. */
  ready: ReadonlySet<string>;
  wanted: number;
  limit: number;
  /** Of repos: the newest finished commit of its default branch. */
  sizeBytes: number;
  headAt: Moment | undefined;
  /** Of another project: only its name is known. */
  outside: boolean;
  stopped: boolean;
  /** Of the pipeline, as far as an event has had it; an update may change its inputs. */
  version: number | undefined;
}

export interface ProjectGraph {
  /** Id of the newest event that is included. */
  position: string;
  /** Changes when nodes or edges come or go. */
  etag: string;
  nodes: readonly GraphNode[];
  edges: readonly { from: number; to: number; branch: string }[];
  byId: ReadonlyMap<string, number>;
}

/**
 * The graph of an answer.
 *
 * @param answer Of InspectGraph.
 * @param before The graph whose etag the question had; the answer leaves out its edges.
 */
export function graphOf(answer: api.Graph, before?: ProjectGraph): ProjectGraph {
  const byId = new Map(answer.nodes.map((node, index) => [node.id, index]));
  const links = answer.unchanged && before ? namedEdges(before) : answer.edges;
  const edges = links.flatMap((edge) => {
    const from = byId.get(edge.from);
    const to = byId.get(edge.to);
    return from === undefined || to === undefined ? [] : [{ from, to, branch: edge.branch }];
  });
  const inputs: Set<number>[] = answer.nodes.map(() => new Set());
  const outputs: Set<number>[] = answer.nodes.map(() => new Set());
  for (const { from, to } of edges) {
    inputs[to]!.add(from);
    outputs[from]!.add(to);
  }
  const groups = groupNames(answer.nodes.map((node) => node.name));
  const nodes = answer.nodes.map((node, index) => withState(nodeOf(node, groups[index]!, [...inputs[index]!], [...outputs[index]!])));
  return { position: answer.position, etag: answer.etag, nodes, edges, byId };
}

function namedEdges(graph: ProjectGraph): api.GraphEdge[] {
  return graph.edges.map(({ from, to, branch }) => ({ from: graph.nodes[from]!.id, to: graph.nodes[to]!.id, branch }));
}

function nodeOf(node: api.GraphNode, group: string, inputs: number[], outputs: number[]): GraphNode {
  const kind = node.kind === "repo" || node.kind === "cron" ? node.kind : "pipeline";
  return {
    id: node.id,
    project: node.project,
    kind,
    name: node.name,
    state: node.state,
    reason: node.reason,
    attributes: { kind, state: "", work: node.work, group },
    inputs,
    outputs,
    job: node.job ? jobOf(node.job) : undefined,
    ready: new Set(node.readyWorkerIds),
    wanted: int(node.workersWanted),
    limit: int(node.workersLimit),
    sizeBytes: int(node.sizeBytes),
    headAt: moment(node.headAt),
    outside: node.outside,
    stopped: node.stopped,
    version: undefined,
  };
}

/**
 * Whether nothing is to be said of a pipeline itself, so that its newest job says how it is. It is not when a global id
 * is shown: then the state of the node is that of a job.
 */
export function isInOrder(node: GraphNode): boolean {
  return !node.stopped && (node.state === "RUNNING" || node.state === "STANDBY");
}

function withState(node: GraphNode): GraphNode {
  const state = isInOrder(node) && node.job ? node.job.state : node.state;
  return { ...node, attributes: { ...node.attributes, state: state.toLowerCase() } };
}

function jobOf(row: api.JobRow): NodeJob {
  return {
    id: row.jobId,
    state: row.state,
    reason: row.reason,
    created: moment(row.created),
    finished: moment(row.finished),
    total: int(row.total),
    processed: int(row.processed),
    skipped: int(row.skipped),
    failed: int(row.failed),
  };
}

/** What events make of a graph. */
export interface Applied {
  graph: ProjectGraph;
  /** Nodes or edges may have come or gone: the graph is to be read again. */
  topology: boolean;
}

/** Applies events in their order. Those that the graph includes already do no harm. */
export function applyEvents(before: ProjectGraph, events: readonly LiveEvent[]): Applied {
  let graph = before;
  let topology = false;
  let nodes: GraphNode[] | undefined;
  for (const event of events) {
    if (event.kind === "repo") {
      graph = withRepo(nodes ? { ...graph, nodes } : graph, event);
      nodes = undefined;
      continue;
    }
    const index = graph.byId.get(nodeIdOf(event));
    const node = index === undefined ? undefined : (nodes ?? graph.nodes)[index];
    if (changesTopology(event, node)) topology = true;
    if (index === undefined || node === undefined || node.outside) continue;
    const changed = applied(node, event);
    if (changed === node) continue;
    nodes ??= [...graph.nodes];
    nodes[index] = withState(changed);
  }
  return { graph: nodes ? { ...graph, nodes } : graph, topology };
}

/** A repo that comes has no edges: those of a pipeline come with the pipeline, which is read. One that goes takes its own. */
function withRepo(graph: ProjectGraph, event: LiveEvent): ProjectGraph {
  const { project, repo: name = "", type = "user" } = event;
  const id = nodeIdOf(event);
  const index = graph.byId.get(id);
  if (type !== "user" || name === "") return graph;
  if (event.state === "DELETED") return index === undefined || graph.nodes[index]!.outside ? graph : without(graph, index);
  if (index !== undefined || graph.byId.has(`${project}/pipeline:${name}`)) return graph;
  const node: GraphNode = {
    id, project, kind: "repo", name, state: "", reason: "", attributes: { kind: "repo", state: "", work: "", group: "" }, inputs: [], outputs: [],
    job: undefined, ready: new Set(), wanted: 0, limit: 0, sizeBytes: 0, headAt: undefined, outside: false, stopped: false, version: undefined,
  };
  return arranged(graph, [...graph.nodes, node], graph.edges);
}

function without(graph: ProjectGraph, gone: number): ProjectGraph {
  const move = (index: number): number => (index > gone ? index - 1 : index);
  const moved = (indexes: readonly number[]): number[] => indexes.filter((index) => index !== gone).map(move);
  const nodes = graph.nodes.toSpliced(gone, 1).map((node) => ({ ...node, inputs: moved(node.inputs), outputs: moved(node.outputs) }));
  const edges = graph.edges.filter(({ from, to }) => from !== gone && to !== gone).map((edge) => ({ ...edge, from: move(edge.from), to: move(edge.to) }));
  return arranged(graph, nodes, edges);
}

let arrangements = 0;
/** A graph with other nodes: they have other groups, and the graph an etag that the server does not know. */
function arranged(graph: ProjectGraph, nodes: readonly GraphNode[], edges: ProjectGraph["edges"]): ProjectGraph {
  const groups = groupNames(nodes.map((node) => node.name));
  return {
    position: graph.position,
    etag: `events-${arrangements++}`,
    nodes: nodes.map((node, index) => ({ ...node, attributes: { ...node.attributes, group: groups[index]! } })),
    edges,
    byId: new Map(nodes.map((node, index) => [node.id, index])),
  };
}

function nodeIdOf(event: LiveEvent): string {
  return event.pipeline !== undefined ? `${event.project}/pipeline:${event.pipeline}` : `${event.project}/repo:${event.repo ?? ""}`;
}

function changesTopology(event: LiveEvent, node: GraphNode | undefined): boolean {
  if (event.kind !== "pipeline") return false;
  if (node === undefined || event.state === "DELETED") return true;
  return node.version === undefined ? event.state === "STARTING" || event.state === "RESTARTING" : event.version !== node.version;
}

function applied(node: GraphNode, event: LiveEvent): GraphNode {
  switch (event.kind) {
    case "pipeline": {
      if (event.state === "DELETED") return node;
      const state = event.state ?? node.state;
      return { ...node, state, reason: event.reason ?? "", stopped: event.stopped ?? node.stopped, version: event.version };
    }
    case "job":
      return withJob(node, event);
    case "datum":
      if (node.job?.id !== event.job) return node;
      return { ...node, job: { ...node.job!, processed: event.processed ?? 0, failed: event.failed ?? 0 } };
    case "worker":
      return withWorker(node, event);
    case "decision":
      return event.target === undefined ? node : { ...node, wanted: event.target };
    case "commit":
      if (node.kind === "pipeline" || event.type !== "user" || event.state !== "FINISHED") return node;
      return { ...node, sizeBytes: event.size ?? node.sizeBytes, headAt: event.finished ?? event.at };
    default:
      return node;
  }
}

function withJob(node: GraphNode, event: LiveEvent): GraphNode {
  const shown = node.job;
  if (event.state === "DELETED") return shown?.id === event.job ? { ...node, job: undefined } : node;
  // An older job that ends late does not hide the newest one.
  if (shown && shown.id !== event.job && (shown.created ?? 0) > (event.created ?? 0)) return node;
  const job: NodeJob = {
    id: event.job ?? "",
    state: event.state ?? "",
    reason: event.reason ?? "",
    created: event.created,
    finished: event.finished ?? undefined,
    total: event.total ?? 0,
    processed: event.processed ?? 0,
    skipped: event.skipped ?? 0,
    failed: event.failed ?? 0,
  };
  return { ...node, job };
}

function withWorker(node: GraphNode, event: LiveEvent): GraphNode {
  const id = event.worker ?? "";
  const state = event.state?.toUpperCase();
  const isReady = state === "IDLE" || state === "BUSY";
  if (node.ready.has(id) === isReady) return node;
  const ready = new Set(node.ready);
  if (isReady) ready.add(id);
  else ready.delete(id);
  return { ...node, ready };
}
