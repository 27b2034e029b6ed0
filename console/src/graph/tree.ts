/**
 * A graph as the rows of a tree: sources first, each with what reads it below it. A node with several inputs stands
 * below each of them, and is open only where it comes first. Pure.
 */
import type { ProjectGraph } from "./model";

export interface TreeRow {
  /** Names the row: the nodes from the root to it. */
  path: string;
  /** Index of the node. */
  node: number;
  /** From 1. */
  level: number;
  /** Whether what is below is shown; undefined: there is nothing below. */
  open: boolean | undefined;
}

/** Up to so many nodes are all open at the begin. */
const OPEN_UP_TO = 150;
/** Rows at most: a graph has more paths than anybody can read. */
const MOST_ROWS = 20_000;

/**
 * The visible rows.
 *
 * @param graph The graph.
 * @param shown The nodes to list.
 * @param toggled Paths of rows that a reader has opened or closed.
 */
export function treeRows(graph: ProjectGraph, shown: ReadonlySet<number>, toggled: ReadonlySet<string>): TreeRow[] {
  const rows: TreeRow[] = [];
  const seen = new Set<number>();
  const byName = (nodes: Iterable<number>) =>
    [...nodes].filter((node) => shown.has(node)).sort((a, b) => (graph.nodes[a]!.name < graph.nodes[b]!.name ? -1 : 1));
  const roots = byName(shown).filter((node) => !graph.nodes[node]!.inputs.some((input) => shown.has(input)));
  const stack = roots.reverse().map((node) => ({ node, level: 1, path: String(node) }));
  for (;;) {
    const next = stack.pop();
    if (!next || rows.length >= MOST_ROWS) return rows;
    const below = byName(graph.nodes[next.node]!.outputs);
    const openAtFirst = shown.size <= OPEN_UP_TO && !seen.has(next.node);
    seen.add(next.node);
    const open = below.length === 0 ? undefined : openAtFirst !== toggled.has(next.path);
    rows.push({ ...next, open });
    // Folded groups may form cycles, nodes do not; a path is still never followed through itself.
    const path = next.path.split("/");
    if (open) for (const node of below.reverse()) if (!path.includes(String(node))) stack.push({ node, level: next.level + 1, path: `${next.path}/${node}` });
  }
}
