/**
 * Layouts of views, made in a worker so that the page answers meanwhile, and kept: who comes back to a graph that has
 * not changed sees it where it was.
 */
import { workerAddress } from "@/lib/workers";
import { layOut, type Layout, type LayoutRequest, type Places } from "./layout";
import workerUrl from "./layout-worker?worker&url";
import type { View } from "./view";

/** Pixels of a card, and the height of that of a folded group. */
export const CARD_WIDTH = 200;
export const CARD_HEIGHT = 60;
export const GROUP_HEIGHT = 76;
/** Layouts that are kept. */
const KEPT = 12;

const kept = new Map<string, { ids: readonly string[]; layout: Layout }>();
const waiting = new Map<number, { request: LayoutRequest; resolve: (layout: Layout) => void }>();
let worker: Worker | undefined;
let nextId = 1;

/** Starts the worker, which takes a moment, while the graph is still being read. */
export function prepareLayouts(): void {
  worker ??= start();
}

/**
 * The layout of a view.
 *
 * @param key Of the topology and of everything that chooses what of it is drawn.
 * @param view The cards and edges.
 * @param earlier Where things are now: they stay there as far as they can.
 */
export async function layoutOf(key: string, view: View, earlier: Places | undefined): Promise<Layout> {
  const request = requestOf(view, earlier);
  const known = kept.get(key);
  // Repos without edges come and go without another topology.
  if (known?.ids.length === request.ids.length && known.ids.every((id, at) => id === request.ids[at])) return known.layout;
  const layout = await inWorker(request);
  kept.delete(key);
  kept.set(key, { ids: request.ids, layout });
  for (const oldest of kept.keys()) {
    if (kept.size <= KEPT) break;
    kept.delete(oldest);
  }
  return layout;
}

/** What the layout of a view is made from. */
export function requestOf(view: View, earlier?: Places): LayoutRequest {
  return {
    ids: view.cards.map((card) => card.id),
    heights: view.cards.map((card) => (card.group ? GROUP_HEIGHT : CARD_HEIGHT)),
    nodeWidth: CARD_WIDTH,
    from: view.edges.map((edge) => edge.from),
    to: view.edges.map((edge) => edge.to),
    ...(earlier ? { earlier } : {}),
  };
}

function inWorker(request: LayoutRequest): Promise<Layout> {
  worker ??= start();
  const id = nextId++;
  return new Promise((resolve) => {
    waiting.set(id, { request, resolve });
    worker?.postMessage({ id, request });
  });
}

function start(): Worker {
  const started = new Worker(workerAddress(workerUrl), { type: "module", name: "graph-layout" });
  started.addEventListener("message", (event: MessageEvent<{ id: number; layout: Layout }>) => answer(event.data.id, event.data.layout));
  // A worker that cannot be started: the page does it itself.
  started.addEventListener("error", () => {
    for (const [id, { request }] of waiting) answer(id, layOut(request));
  });
  return started;
}

function answer(id: number, layout: Layout): void {
  waiting.get(id)?.resolve(layout);
  waiting.delete(id);
}
