/** How nodes and groups look: the mark, the words and the numbers of a card. Pure. */
import { bytes, count, counted } from "@/lib/format";
import { middle } from "@/lib/names";
import { type MarkStyle, markOf } from "@/lib/states";
import type { Moment } from "@/lib/time";
import type { Role } from "@/lib/tokens";
import type { CardLook } from "./draw";
import { type GraphNode, isInOrder, type ProjectGraph } from "./model";
import type { Card } from "./view";

/** From what needs a look to what does not: the mark of a group is that of its first member in this order. */
const ORDER: readonly Role[] = ["bad", "wait", "active", "good", "neutral"];

const REPO: MarkStyle = { role: "neutral", shape: "ring", word: "repo" };
const CRON: MarkStyle = { role: "neutral", shape: "roundArrow", word: "cron" };
const OUTSIDE: MarkStyle = { role: "neutral", shape: "dottedRing", word: "of another project" };
const ABSENT: MarkStyle = { role: "neutral", shape: "dottedRing", word: "not part of this run" };

/** The mark of what a node is: of a pipeline its state, of others their kind. */
export function stateMark(node: GraphNode): MarkStyle {
  if (node.outside) return OUTSIDE;
  if (node.kind === "cron") return CRON;
  return node.kind === "repo" ? REPO : markOf("pipeline", node.state);
}

/**
 * The one mark that says most of a node: of a pipeline that is in order, that of its newest job; when a global id is
 * shown, that of the job then.
 *
 * @param node The node.
 * @param past Whether a global id is shown.
 */
export function nodeMark(node: GraphNode, past: boolean): MarkStyle {
  if (node.outside) return OUTSIDE;
  if (node.kind !== "pipeline") return past && node.kind === "repo" && node.headAt === undefined ? ABSENT : stateMark(node);
  if (past) return node.job ? markOf("job", node.job.state) : ABSENT;
  return isInOrder(node) && node.job ? markOf("job", node.job.state) : stateMark(node);
}

/** The mark of a card: that of its member that needs a look most. */
export function cardMark(card: Card, graph: ProjectGraph, past: boolean): MarkStyle {
  const marks = card.members.map((node) => nodeMark(graph.nodes[node]!, past));
  return marks.reduce((first, mark) => (ORDER.indexOf(mark.role) < ORDER.indexOf(first.role) ? mark : first));
}

/**
 * What the canvas draws of a card.
 *
 * @param card The card.
 * @param graph Its nodes.
 * @param past Whether a global id is shown.
 * @param height Pixels.
 */
export function lookOf(card: Card, graph: ProjectGraph, past: boolean, height: number): CardLook {
  const mark = cardMark(card, graph, past);
  const node = graph.nodes[card.members[0]!]!;
  const job = !card.group && node.kind === "pipeline" && !node.outside ? node.job : undefined;
  return {
    mark,
    first: card.group || past ? mark : stateMark(node),
    second: job && markOf("job", job.state),
    height,
    kind: card.group ? "group" : mark === OUTSIDE || mark === ABSENT ? "absent" : "node",
  };
}

/** How many members of a group have which state, what needs a look first: "2 failure, 10 running". */
export function groupText(card: Card, graph: ProjectGraph, past: boolean): string {
  const counts = new Map<string, { mark: MarkStyle; number: number }>();
  for (const node of card.members) {
    const mark = nodeMark(graph.nodes[node]!, past);
    const entry = counts.get(mark.word) ?? { mark, number: 0 };
    counts.set(mark.word, { ...entry, number: entry.number + 1 });
  }
  const sorted = [...counts.values()].sort((a, b) => ORDER.indexOf(a.mark.role) - ORDER.indexOf(b.mark.role));
  return sorted.map(({ mark, number }) => `${count(number)} ${mark.word}`).join(", ");
}

/** The work of a job in few words: "312 of 1,000", with what failed. */
export function jobText(node: GraphNode): string {
  const { job } = node;
  if (!job) return "";
  const done = job.processed + job.skipped;
  const failed = job.failed > 0 ? `, ${count(job.failed)} failed` : "";
  if (job.finished !== undefined || job.total === 0) return `${counted(job.total, "datum", "datums")}${failed}`;
  return `${count(done)} of ${count(job.total)}${failed}`;
}

/** Workers that are ready, and how many there are to be: "3/5"; empty when there are none and none are to be. */
export function workersText(node: GraphNode): string {
  if (node.kind !== "pipeline" || node.outside || (node.ready.size === 0 && node.wanted === 0)) return "";
  return `${count(node.ready.size)}/${count(Math.max(node.wanted, node.ready.size))}`;
}

export function sizeText(node: GraphNode): string {
  return node.headAt === undefined ? "empty" : bytes(node.sizeBytes);
}

/** What the second line of a card says, and the time that follows it. */
export function secondLine(node: GraphNode, past: boolean): { text: string; at?: Moment | undefined } {
  if (node.outside) return { text: `in ${middle(node.project, 20)}` };
  if (node.kind !== "pipeline") return { text: sizeText(node), at: node.headAt };
  if (node.job) return { text: jobText(node), at: node.job.finished };
  return { text: past ? ABSENT.word : node.reason || "no job yet" };
}

/** What the words on a card do not say, for its accessible name: kind and states. */
export function cardText(card: Card, graph: ProjectGraph, past: boolean): string {
  return card.group ? `group of ${counted(card.members.length, "node")}` : stateText(graph.nodes[card.members[0]!]!, past);
}

function stateText(node: GraphNode, past: boolean): string {
  const state = node.kind === "pipeline" || node.outside ? (past ? nodeMark(node, past).word : stateMark(node).word) : "";
  const job = node.kind === "pipeline" && node.job && !past ? `job ${markOf("job", node.job.state).word}` : "";
  return [node.kind, state, job].filter((word) => word !== "").join(", ");
}

/** A node in a sentence, for its accessible name. */
export function nodeText(node: GraphNode, past: boolean): string {
  const words = [node.name, stateText(node, past)];
  if (node.kind === "pipeline") words.push(jobText(node));
  const workers = past ? "" : workersText(node);
  if (workers) words.push(`${workers} workers`);
  if (node.kind !== "pipeline" && !node.outside) words.push(sizeText(node));
  return words.filter((word) => word !== "").join(", ");
}
