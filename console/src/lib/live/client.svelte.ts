/** The tab's side of the hub: listening to topics, and what is known of the stream. */
import { stopClock } from "../clock.svelte";
import type { Resource } from "../resource.svelte";
import { now, setServerTime } from "../time";
import { workerAddress } from "../workers";
import type { LiveEvent, Topic } from "./events";
import { Hub } from "./hub-core";
import hubUrl from "./hub?worker&url";
import type { FromHub, ToHub } from "./protocol";
import { browser } from "./surroundings";

interface Handler {
  topic: Topic;
  events: (events: LiveEvent[]) => void;
  reread: () => void;
}

/** Milliseconds after which the stream of a hidden tab ends, where there is no SharedWorker. */
const HIDDEN = 30_000;
/** Milliseconds that the first connection may take until the page says that there is none. */
const FIRST = 5_000;
/** Milliseconds until another attempt when the hub could not be loaded. */
const AGAIN = 2_000;

const handlers = new Map<number, Handler>();
let nextId = 1;
let send: ((message: ToHub) => void) | undefined;
let live = $state(false);
let begun = $state(false);
/** The first connection should be there by now. */
let late = $state(false);
let asOf = $state(0);
let newVersion = $state(false);
let paused = $state(false);

/** The stream of events, as pages show it. */
export const stream = {
  /** Whether what is shown is up to date; true also while the first connection is awaited. */
  get live(): boolean {
    return live || (!begun && !late);
  },
  /** When the server was last heard, on its clock. */
  get asOf(): number {
    return asOf;
  },
  /** Whether the server has another version of the console. */
  get newVersion(): boolean {
    return newVersion;
  },
  /** Whether the reader has stopped updates. */
  get paused(): boolean {
    return paused;
  },
  set paused(chosen: boolean) {
    paused = chosen;
    if (!chosen) for (const handler of handlers.values()) handler.reread();
  },
};

/**
 * Listen to events; returns what ends it.
 *
 * @param topic what to listen to.
 * @param after position of the snapshot; empty: from now on.
 * @param events gets new events, at most ten times a second, the last one of each thing.
 * @param reread is called when events were missed: read the snapshot again.
 */
export function listen(topic: Topic, after: string, events: (events: LiveEvent[]) => void, reread: () => void): () => void {
  const id = nextId++;
  handlers.set(id, { topic, events, reread });
  hub()({ type: "listen", id, topic, after });
  return () => {
    handlers.delete(id);
    send?.({ type: "unlisten", id });
  };
}

/**
 * Keep a resource up to date by events. Call it while a component is made.
 *
 * @param source has values with the position of their snapshot.
 * @param topic what to listen to; undefined: nothing for now. Reactive.
 * @param apply returns the value with events applied, or undefined to read the snapshot again. Must not change the
 *   value in place.
 */
export function follow<T extends { position: string }>(
  source: Resource<T>,
  topic: () => Topic | undefined,
  apply: (value: T, events: LiveEvent[]) => T | undefined,
): void {
  let position = $state("");
  $effect(() => {
    // Events change the value but not the position of its snapshot: only a new snapshot makes a new listener.
    if (source.value) position = source.value.position;
  });
  $effect(() => {
    const current = topic();
    if (!current || !position) return;
    return listen(
      current,
      position,
      (events) => {
        if (source.value === undefined) return;
        const value = apply(source.value, events);
        if (value === undefined) source.reload();
        else if (value !== source.value) source.set(value);
      },
      () => source.reload(),
    );
  });
}

function hub(): (message: ToHub) => void {
  send ??= connect();
  return send;
}

function connect(): (message: ToHub) => void {
  const toHub = typeof SharedWorker === "function" ? connectShared() : connectOwn();
  if (asOf === 0) watchPage();
  if (document.hidden) toHub({ type: "hidden", hidden: true });
  else if (document.hasFocus()) toHub({ type: "front" });
  return toHub;
}

/** Tell the hub what becomes of the page; once, whatever hubs it has. */
function watchPage(): void {
  asOf = now();
  setTimeout(() => (late = true), FIRST);
  document.addEventListener("visibilitychange", () => send?.({ type: "hidden", hidden: document.hidden }));
  const toFront = (): void => send?.({ type: "front" });
  for (const name of ["focus", "pointerdown"]) addEventListener(name, toFront, { capture: true });
  addEventListener("pagehide", () => send?.({ type: "leave" }));
  addEventListener("pageshow", (event) => {
    if (event.persisted) join(); // the hub has forgotten this tab
  });
}

/** Listen by a new hub to what the one before was asked for, and read again what may have changed meanwhile. */
function join(): void {
  send = undefined;
  for (const [id, { topic, reread }] of handlers) {
    hub()({ type: "listen", id, topic, after: "" });
    reread();
  }
}

function connectShared(): (message: ToHub) => void {
  const worker = new SharedWorker(workerAddress(hubUrl), { type: "module", name: "trunkline-events" });
  worker.port.onmessage = (event: MessageEvent<FromHub>) => receive(event.data);
  worker.port.start();
  worker.onerror = () => setTimeout(join, AGAIN); // its script did not come: the server was away
  return (message) => worker.port.postMessage(message);
}

/** Without SharedWorker: a hub in the page, whose stream ends a while after the tab is hidden. */
function connectOwn(): (message: ToHub) => void {
  let toHub = new Hub(browser).join(receive);
  let timer: ReturnType<typeof setTimeout> | undefined;
  let away = false;
  document.addEventListener("visibilitychange", () => {
    clearTimeout(timer);
    if (document.hidden) {
      timer = setTimeout(() => {
        away = true;
        toHub({ type: "leave" });
      }, HIDDEN);
    } else if (away) {
      away = false;
      toHub = new Hub(browser).join(receive);
      for (const [id, { topic, reread }] of handlers) {
        toHub({ type: "listen", id, topic, after: "" });
        reread();
      }
    }
  });
  return (message) => toHub(message);
}

/** Events that come together, until the next frame. */
let arrived: { id: number; events: LiveEvent[] }[] = [];

/** Apply events when the browser is about to draw: a tab that it draws seldom, or not at all, works as seldom. */
function draw(): void {
  const messages = arrived;
  arrived = [];
  for (const { id, events } of messages) if (!paused) handlers.get(id)?.events(events);
  send?.({ type: "drawn" });
}

function receive(message: FromHub): void {
  switch (message.type) {
    case "events":
      if (arrived.length === 0) requestAnimationFrame(draw);
      arrived.push(message);
      break;
    case "reread":
      if (!paused) handlers.get(message.id)?.reread();
      break;
    case "stream":
      if (message.time > 0 && message.live) setServerTime(message.time);
      begun ||= message.live;
      if (message.live) asOf = now();
      live = message.live;
      stopClock(begun && !live);
      break;
    case "build":
      newVersion = message.entry !== "" && !document.querySelector(`script[src$="${CSS.escape(message.entry)}"]`);
      break;
  }
}
