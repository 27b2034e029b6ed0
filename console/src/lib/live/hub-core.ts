/**
 * The hub: the browser's only stream of events, for all tabs (docs/design/console.md). It knows neither SharedWorker nor
 * EventSource: hub.ts and client.ts bring them, tests bring others.
 */
import { type LiveEvent, type Topic, admits, epochOf, keyOf, merged, positionNumber, unionQuery } from "./events";
import type { FromHub, ToHub } from "./protocol";

/** A connection to /events. */
export interface Stream {
  close(): void;
}
/** What the hub needs of its surroundings. */
export interface Surroundings {
  /** Open a stream; `receive` gets each block, `fail` each loss of the connection; `ended` when it will not retry. */
  open(query: string, receive: (name: string, id: string, data: string) => void, fail: (ended: boolean) => void): Stream;
  /** Call later; returns what cancels it. */
  later(milliseconds: number, run: () => void): () => void;
  /** Return the name of the entry script that the server has now. */
  entry(): Promise<string>;
}

interface Listener {
  topic: Topic;
  /** Position of its snapshot, which shows all earlier events; empty: none. */
  after: string;
  pending: Map<string, LiveEvent>;
  /** Too much has changed while the tab was hidden. */
  overflowed: boolean;
}
interface Tab {
  send: (message: FromHub) => void;
  listeners: Map<number, Listener>;
  hidden: boolean;
  /** It has events that it has not drawn yet: what comes meanwhile waits here, the last event of each thing. */
  drawing: boolean;
}
interface Recent {
  number: number;
  event: LiveEvent;
}

/** Milliseconds between two messages to a tab, and those in which the first one collects what comes together. */
const PACE = 100;
const GATHER = 10;
/** Milliseconds by which tabs get their events after the one that the reader uses: the processor is for that one first. */
const BEHIND = 50;
/** Milliseconds to collect changes of topics, as when a page is left for another. */
const SETTLE = 20;
/** Milliseconds without a connection until tabs show it: a restart of the server is shorter. */
const PATIENCE = 2_000;
/** Milliseconds until another attempt when the browser makes none. */
const RETRY = 3_000;
/** Changed keys of a hidden tab beyond which it reads its snapshot again. */
const MOST_PENDING = 1_000;
/** Events kept for listeners that come with an older position. */
const MOST_RECENT = 2_000;

export class Hub {
  readonly #surroundings: Surroundings;
  readonly #tabs = new Set<Tab>();
  /** The tab that the reader uses. */
  #front: Tab | undefined;
  #stream: Stream | undefined;
  /** Streams that are closed when the present one has begun. */
  #replaced: Stream[] = [];
  #query: string | undefined;
  /** Position of the newest event that this stream has shown, and that of which `recent` is complete. */
  #position = "";
  #recentFrom = 0;
  #recent: Recent[] = [];
  /** The oldest position that a new listener needs, if that is before `#position`. */
  #wanted: string | undefined;
  #live = false;
  /** Whether the connection was lost since the stream began: another server may be there next. */
  #interrupted = false;
  #heartbeat = 15;
  #settling = false;
  #gathering = false;
  /** A message was sent less than `PACE` ago; whether there is more to send then. */
  #resting = false;
  #waiting = false;
  #cancelPatience: (() => void) | undefined;
  #cancelSilence: (() => void) | undefined;
  #time = 0;

  constructor(surroundings: Surroundings) {
    this.#surroundings = surroundings;
  }

  /** Admit a tab; returns what takes its messages. */
  join(send: (message: FromHub) => void): (message: ToHub) => void {
    const tab: Tab = { send, listeners: new Map(), hidden: false, drawing: false };
    this.#tabs.add(tab);
    send(this.#state());
    return (message) => this.#receive(tab, message);
  }

  #receive(tab: Tab, message: ToHub): void {
    switch (message.type) {
      case "listen":
        tab.listeners.set(message.id, { topic: message.topic, after: message.after, pending: new Map(), overflowed: false });
        this.#catchUp(tab, message.id, message.after);
        break;
      case "unlisten":
        tab.listeners.delete(message.id);
        break;
      case "hidden":
        tab.hidden = message.hidden;
        if (!message.hidden) this.#serve(tab);
        return;
      case "front":
        this.#front = tab;
        return;
      case "drawn":
        tab.drawing = false;
        if (hasNews(tab)) this.#flushSoon();
        return;
      case "leave":
        this.#tabs.delete(tab);
        if (this.#front === tab) this.#front = undefined;
        break;
    }
    this.#settle();
  }

  /** Give a new listener what came after its position. */
  #catchUp(tab: Tab, id: number, after: string): void {
    const listener = tab.listeners.get(id);
    if (!after || !listener) return;
    const number = positionNumber(after);
    // A stream that has not begun would begin now, after what has happened since the snapshot.
    if (this.#position && epochOf(after) === epochOf(this.#position) && number >= this.#recentFrom && this.#covers()) {
      for (const recent of this.#recent) if (recent.number > number) this.#add(listener, recent.event);
      this.#flushSoon();
    } else if (this.#wanted === undefined || number < positionNumber(this.#wanted)) this.#wanted = after;
  }

  /** Return whether the stream has what all listeners want. */
  #covers(): boolean {
    return this.#union() === this.#query && this.#stream !== undefined;
  }

  #union(): string | undefined {
    return unionQuery([...this.#tabs].flatMap((tab) => [...tab.listeners.values()].map((listener) => listener.topic)));
  }

  #settle(): void {
    if (this.#settling) return;
    this.#settling = true;
    this.#surroundings.later(SETTLE, () => {
      this.#settling = false;
      const query = this.#union();
      if (query === this.#query && this.#wanted === undefined) return;
      if (query === undefined) this.#close();
      else this.#open(query);
    });
  }

  #close(): void {
    this.#closeReplaced();
    this.#stream?.close();
    this.#stream = undefined;
    this.#query = undefined;
    this.#position = "";
    this.#recent = [];
    this.#cancelSilence?.();
    if (this.#cancelPatience) this.#stale(); // nobody waits for its return
    this.#cancelPatience?.();
    this.#cancelPatience = undefined;
  }

  /** Open a stream after what all listeners have, and close the one before when the new one has begun: no gap. */
  #open(query: string): void {
    if (this.#stream) this.#replaced.push(this.#stream);
    const after = this.#oldest();
    this.#wanted = undefined;
    this.#position = after; // another attempt begins there too
    this.#query = query;
    this.#recent = [];
    this.#recentFrom = positionNumber(after);
    const stream = this.#surroundings.open(
      after ? `${query}&after=${after}` : query,
      (name, id, data) => {
        if (this.#stream !== stream) return;
        this.#closeReplaced();
        this.#take(name, id, data);
      },
      (ended) => this.#stream === stream && this.#lost(ended),
    );
    this.#stream = stream;
  }

  /** Return the position of the stream so far, or that of a new snapshot if it is older: the stream may lag behind it. */
  #oldest(): string {
    const wanted = this.#wanted;
    if (wanted === undefined) return this.#position;
    const comparable = this.#position !== "" && epochOf(wanted) === epochOf(this.#position);
    return comparable && positionNumber(this.#position) < positionNumber(wanted) ? this.#position : wanted;
  }

  #closeReplaced(): void {
    for (const stream of this.#replaced) stream.close();
    this.#replaced = [];
  }

  #take(name: string, id: string, data: string): void {
    if (name === "end") return; // the loss of the connection follows
    if (this.#recentFrom === 0) this.#recentFrom = positionNumber(id);
    if (id) this.#position = id;
    this.#alive();
    const fields = JSON.parse(data) as Record<string, unknown>;
    if (typeof fields["heartbeat"] === "number") this.#heartbeat = fields["heartbeat"];
    if (typeof fields["time"] === "number") this.#time = fields["time"];
    if (name === "open" || name === "heartbeat") this.#tell(this.#state());
    else if (name === "reset") this.#rereadAll();
    else this.#pass(fields as unknown as LiveEvent, positionNumber(id));
    if (name === "open" && this.#interrupted) {
      this.#interrupted = false;
      this.#announceBuild();
    }
  }

  #pass(event: LiveEvent, number: number): void {
    this.#recent.push({ number, event });
    if (this.#recent.length > MOST_RECENT) {
      const dropped = this.#recent.splice(0, MOST_RECENT / 2);
      this.#recentFrom = dropped.at(-1)?.number ?? this.#recentFrom;
    }
    for (const tab of this.#tabs) {
      for (const listener of tab.listeners.values()) {
        const shown = epochOf(listener.after) === epochOf(this.#position) && number <= positionNumber(listener.after);
        if (!shown) this.#add(listener, event);
      }
    }
    this.#flushSoon();
  }

  #add(listener: Listener, event: LiveEvent): void {
    if (listener.overflowed || !admits(listener.topic, event)) return;
    const key = keyOf(event);
    const earlier = listener.pending.get(key);
    listener.pending.delete(key);
    listener.pending.set(key, merged(earlier, event));
    if (listener.pending.size > MOST_PENDING) {
      listener.overflowed = true;
      listener.pending.clear();
    }
  }

  #flushSoon(): void {
    if (this.#resting) this.#waiting = true;
    if (this.#resting || this.#gathering) return;
    this.#gathering = true;
    this.#surroundings.later(GATHER, () => {
      this.#gathering = false;
      this.#flushAndRest();
    });
  }

  #flushAndRest(): void {
    const front = this.#front;
    if (front) this.#serve(front);
    const serveOthers = (): void => {
      for (const tab of this.#tabs) if (tab !== front) this.#serve(tab);
    };
    if (front && !front.hidden) this.#surroundings.later(BEHIND, serveOthers);
    else serveOthers();
    this.#resting = true;
    this.#waiting = false;
    this.#surroundings.later(PACE, () => {
      this.#resting = false;
      if (this.#waiting) this.#flushAndRest();
    });
  }

  /** Send a tab what waits for it, unless it is hidden or still draws. */
  #serve(tab: Tab): void {
    if (tab.hidden || tab.drawing) return;
    for (const [id, listener] of tab.listeners) {
      const events = [...listener.pending.values()];
      const reread = listener.overflowed;
      listener.pending.clear();
      listener.overflowed = false;
      if (reread) tab.send({ type: "reread", id });
      else if (events.length > 0) {
        tab.drawing = true;
        tab.send({ type: "events", id, events });
      }
    }
  }

  #rereadAll(): void {
    this.#recent = [];
    this.#recentFrom = positionNumber(this.#position);
    for (const tab of this.#tabs) {
      for (const listener of tab.listeners.values()) {
        listener.overflowed = true;
        listener.pending.clear();
      }
    }
    this.#flushSoon();
  }

  /** Note that the server has spoken. */
  #alive(): void {
    this.#cancelPatience?.();
    this.#cancelPatience = undefined;
    this.#cancelSilence?.();
    this.#cancelSilence = this.#surroundings.later(2 * this.#heartbeat * 1_000, () => this.#stale());
    this.#live = true;
  }

  #lost(ended: boolean): void {
    this.#interrupted = true;
    this.#cancelPatience ??= this.#surroundings.later(PATIENCE, () => this.#stale());
    if (!ended || this.#query === undefined) return;
    const query = this.#query;
    this.#stream?.close();
    this.#surroundings.later(RETRY, () => {
      if (this.#query === query) this.#open(query);
    });
  }

  #stale(): void {
    if (!this.#live) return;
    this.#live = false;
    this.#tell(this.#state());
  }

  #announceBuild(): void {
    this.#surroundings.entry().then(
      (entry) => this.#tell({ type: "build", entry }),
      () => undefined, // the stream says what is wrong
    );
  }

  #state(): FromHub {
    return { type: "stream", live: this.#live, time: this.#time, position: this.#position };
  }

  #tell(message: FromHub): void {
    for (const tab of this.#tabs) tab.send(message);
  }
}

function hasNews(tab: Tab): boolean {
  return [...tab.listeners.values()].some((listener) => listener.overflowed || listener.pending.size > 0);
}
