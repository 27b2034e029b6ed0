/**
 * What of a graph is drawn: the nodes that the filter and the focus leave, with groups folded to one card each.
 */
import type { GraphNode, ProjectGraph } from "./model";
import { type Expression, select, walk } from "./selection";

export type Fold = "" | "group" | "state";

export interface ViewOptions {
  selection: Expression;
  /** Id of the node in focus; empty: none. */
  focus: string;
  /** Steps from the focus that are drawn; Infinity: all. */
  depth: number;
  fold: Fold;
  /** Names of groups that are open although groups are folded. */
  open: ReadonlySet<string>;
}

/** A node, or a folded group. */
export interface Card {
  /** Of the node; of a group, "group:" and its name. */
  id: string;
  /** Indexes of nodes of the graph: one, or those of the group. */
  members: readonly number[];
  /** Of a folded group; empty for a node. */
  group: string;
}

export interface View {
  cards: readonly Card[];
  /** Indexes of cards, without doubles. */
  edges: readonly { from: number; to: number }[];
  /** Card of each node; -1 when it is not drawn. */
  cardOf: Int32Array;
}

/** The cards and edges of a graph. */
export function viewOf(graph: ProjectGraph, options: ViewOptions): View {
  const shown = shownNodes(graph, options);
  const cards: Card[] = [];
  const cardOf = new Int32Array(graph.nodes.length).fill(-1);
  const groups = new Map<string, number[]>();
  for (const node of shown) {
    const group = groupOf(graph.nodes[node]!, options);
    const members = groups.get(group);
    if (group !== "" && members) members.push(node);
    else if (group !== "") groups.set(group, [node]);
  }
  for (const node of shown) {
    const group = groupOf(graph.nodes[node]!, options);
    const members = groups.get(group);
    if (members === undefined || members.length < 2) {
      cardOf[node] = cards.length;
      cards.push({ id: graph.nodes[node]!.id, members: [node], group: "" });
    } else if (members[0] === node) {
      for (const member of members) cardOf[member] = cards.length;
      cards.push({ id: `group:${group}`, members, group });
    }
  }
  const seen = new Set<number>();
  const edges: { from: number; to: number }[] = [];
  for (const edge of graph.edges) {
    const from = cardOf[edge.from]!;
    const to = cardOf[edge.to]!;
    const key = from * cards.length + to;
    if (from < 0 || to < 0 || from === to || seen.has(key)) continue;
    seen.add(key);
    edges.push({ from, to });
  }
  return { cards, edges, cardOf };
}

function shownNodes(graph: ProjectGraph, options: ViewOptions): number[] {
  let shown = select(options.selection, graph.nodes);
  const focus = graph.byId.get(options.focus);
  if (focus !== undefined && options.depth !== Infinity) {
    const near = neighbourhood(graph, focus, options.depth);
    shown = new Set([...shown].filter((node) => near.has(node)));
    shown.add(focus);
  }
  return [...shown].sort((a, b) => a - b);
}

/** The nodes up to some steps upstream and downstream of one. */
export function neighbourhood(graph: ProjectGraph, focus: number, depth: number): Set<number> {
  const upstream = walk([focus], depth, (node) => graph.nodes[node]!.inputs);
  return new Set([...upstream, ...walk([focus], depth, (node) => graph.nodes[node]!.outputs)]);
}

function groupOf(node: GraphNode, options: ViewOptions): string {
  if (options.fold === "" || node.id === options.focus) return "";
  const group = options.fold === "group" ? node.attributes["group"]! : node.kind === "pipeline" ? node.attributes["state"]! : node.kind;
  return options.open.has(group) ? "" : group;
}

/** Whether two views have the same cards and edges, whatever the states of their nodes. */
export function sameTopology(one: View, other: View): boolean {
  return (
    one.cards.length === other.cards.length &&
    one.edges.length === other.edges.length &&
    one.cards.every((card, index) => card.id === other.cards[index]!.id) &&
    one.edges.every((edge, index) => edge.from === other.edges[index]!.from && edge.to === other.edges[index]!.to)
  );
}
