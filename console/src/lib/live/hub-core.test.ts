import { beforeEach, describe, expect, it } from "vitest";
import type { LiveEvent } from "./events";
import { Hub, type Surroundings } from "./hub-core";
import type { FromHub } from "./protocol";

/** A browser whose streams and time the test moves. */
class Browser implements Surroundings {
  time = 0;
  waiting: { at: number; run: () => void }[] = [];
  streams: { query: string; receive: (name: string, id: string, data: string) => void; fail: (ended: boolean) => void; open: boolean }[] = [];

  open(query: string, receive: (name: string, id: string, data: string) => void, fail: (ended: boolean) => void) {
    const stream = { query, receive, fail, open: true };
    this.streams.push(stream);
    return { close: () => void (stream.open = false) };
  }

  later(milliseconds: number, run: () => void): () => void {
    const entry = { at: this.time + milliseconds, run };
    this.waiting.push(entry);
    return () => {
      this.waiting = this.waiting.filter((other) => other !== entry);
    };
  }

  entry = () => Promise.resolve("assets/index-b.js");

  pass(milliseconds: number): void {
    const end = this.time + milliseconds;
    for (;;) {
      const next = this.waiting.filter((entry) => entry.at <= end).sort((a, b) => a.at - b.at)[0];
      if (!next) break;
      this.time = next.at;
      this.waiting = this.waiting.filter((entry) => entry !== next);
      next.run();
    }
    this.time = end;
  }

  get newest() {
    const stream = this.streams.at(-1);
    if (!stream) throw new Error("no stream is open");
    return stream;
  }

  say(name: string, number: number, data: object, epoch = "e"): void {
    this.newest.receive(name, `${epoch}-${number}`, JSON.stringify(data));
  }
}

function job(id: string, state: string): LiveEvent {
  return { kind: "job", at: 1, project: "p", pipeline: "x", job: id, state };
}

describe("the hub", () => {
  let browser: Browser;
  let hub: Hub;

  beforeEach(() => {
    browser = new Browser();
    hub = new Hub(browser);
  });

  /** A tab that draws at once what it gets, unless it is slow. */
  function tab(slow = false) {
    const messages: FromHub[] = [];
    const send = hub.join((message) => {
      messages.push(message);
      if (message.type === "events" && !slow) send({ type: "drawn" });
    });
    return { messages, send, events: () => messages.filter((m) => m.type === "events").flatMap((m) => m.events) };
  }

  function openWith(number: number): void {
    browser.pass(50);
    browser.say("open", number, { time: 100, heartbeat: 15 });
  }

  it("has one stream for all tabs", () => {
    const first = tab();
    const second = tab();
    first.send({ type: "listen", id: 1, topic: { kinds: ["job"] }, after: "e-5" });
    second.send({ type: "listen", id: 1, topic: { kinds: ["job"] }, after: "e-5" });
    openWith(5);
    browser.say("job", 6, job("a", "RUNNING"));
    browser.pass(100);
    expect(browser.streams).toHaveLength(1);
    expect(browser.newest.query).toBe("kind=job&after=e-5");
    expect(first.events()).toEqual(second.events());
  });

  it("begins after the oldest snapshot of those that came before the stream had begun", () => {
    const one = tab();
    one.send({ type: "listen", id: 1, topic: {}, after: "" });
    browser.pass(50);
    one.send({ type: "listen", id: 2, topic: {}, after: "e-7" });
    one.send({ type: "listen", id: 3, topic: {}, after: "e-5" });
    browser.pass(50);
    expect(browser.newest.query).toContain("after=e-5");
  });

  it("leaves out nothing of what a snapshot misses that is older than the newest one", () => {
    const one = tab();
    one.send({ type: "listen", id: 1, topic: { kinds: ["job"] }, after: "e-5" });
    openWith(5);
    one.send({ type: "listen", id: 2, topic: { kinds: ["job", "commit"] }, after: "e-7" });
    browser.pass(50);
    expect(browser.newest.query).toContain("after=e-5");
    browser.say("open", 5, { time: 100, heartbeat: 15 });
    browser.say("job", 6, job("a", "FAILURE"));
    browser.say("job", 8, job("b", "RUNNING"));
    browser.pass(10);
    expect(one.messages.filter((message) => message.type === "events")).toEqual([
      { type: "events", id: 1, events: [job("a", "FAILURE"), job("b", "RUNNING")] },
      { type: "events", id: 2, events: [job("b", "RUNNING")] },
    ]);
  });

  it("begins at the same place when its first attempt fails", () => {
    const one = tab();
    one.send({ type: "listen", id: 1, topic: {}, after: "e-5" });
    browser.pass(50);
    browser.newest.fail(true);
    browser.pass(5_000);
    expect(browser.streams).toHaveLength(2);
    expect(browser.newest.query).toContain("after=e-5");
  });

  it("sends the last event of each thing at once, and then once per 100 ms", () => {
    const one = tab();
    one.send({ type: "listen", id: 1, topic: {}, after: "" });
    openWith(5);
    browser.say("job", 6, job("a", "STARTING"));
    browser.say("job", 7, job("b", "RUNNING"));
    browser.say("job", 8, job("a", "RUNNING"));
    browser.pass(10);
    expect(one.events()).toEqual([job("b", "RUNNING"), job("a", "RUNNING")]);
    browser.say("job", 9, job("a", "SUCCESS"));
    browser.pass(90);
    expect(one.events()).toHaveLength(2);
    browser.pass(10);
    expect(one.events().at(-1)).toEqual(job("a", "SUCCESS"));
    browser.pass(1_000);
    browser.say("job", 10, job("b", "SUCCESS"));
    browser.pass(10);
    expect(one.events().at(-1)).toEqual(job("b", "SUCCESS"));
  });

  it("resumes after the last position when topics change, and closes the old stream when the new one has begun", () => {
    const one = tab();
    one.send({ type: "listen", id: 1, topic: { kinds: ["job"] }, after: "" });
    openWith(5);
    browser.say("job", 6, job("a", "RUNNING"));
    one.send({ type: "listen", id: 2, topic: { kinds: ["worker"] }, after: "e-6" });
    browser.pass(50);
    expect(browser.newest.query).toBe("kind=job&kind=worker&after=e-6");
    expect(browser.streams[0]?.open).toBe(true);
    browser.say("open", 6, { time: 100, heartbeat: 15 });
    expect(browser.streams[0]?.open).toBe(false);
  });

  it("gives a listener with an older position what it missed", () => {
    const one = tab();
    one.send({ type: "listen", id: 1, topic: { kinds: ["job"] }, after: "" });
    openWith(5);
    browser.say("job", 6, job("a", "RUNNING"));
    browser.pass(100);
    const two = tab();
    two.send({ type: "listen", id: 1, topic: { kinds: ["job"] }, after: "e-5" });
    browser.pass(100);
    expect(two.events()).toEqual([job("a", "RUNNING")]);
    two.send({ type: "listen", id: 2, topic: { kinds: ["job"] }, after: "e-2" });
    browser.pass(50);
    expect(browser.newest.query).toBe("kind=job&after=e-2");
  });

  it("sends a tab nothing more until it has drawn, and then the last event of each thing", () => {
    const [one, slow] = [tab(), tab(true)];
    for (const each of [one, slow]) each.send({ type: "listen", id: 1, topic: {}, after: "" });
    openWith(1);
    for (const [number, state] of ["CREATED", "STARTING", "RUNNING", "SUCCESS"].entries()) {
      browser.say("job", 2 + number, job("a", state));
      browser.pass(200);
    }
    expect(one.events().map(({ state }) => state)).toEqual(["CREATED", "STARTING", "RUNNING", "SUCCESS"]);
    expect(slow.events().map(({ state }) => state)).toEqual(["CREATED"]);
    slow.send({ type: "drawn" });
    browser.pass(200);
    expect(slow.events().map(({ state }) => state)).toEqual(["CREATED", "SUCCESS"]);
  });

  it("serves the tab that the reader uses before the others", () => {
    const [behind, front] = [tab(), tab()];
    for (const each of [behind, front]) each.send({ type: "listen", id: 1, topic: {}, after: "" });
    openWith(1);
    front.send({ type: "front" });
    browser.say("job", 2, job("a", "RUNNING"));
    browser.pass(10);
    expect([front.events().length, behind.events().length]).toEqual([1, 0]);
    browser.pass(50);
    expect(behind.events()).toHaveLength(1);
  });

  it("tells a hidden tab to read again when too much has changed", () => {
    const one = tab();
    one.send({ type: "listen", id: 1, topic: {}, after: "" });
    openWith(1);
    one.send({ type: "hidden", hidden: true });
    for (let number = 2; number < 1_500; number++) browser.say("job", number, job(`j${number}`, "RUNNING"));
    browser.pass(1_000);
    expect(one.events()).toEqual([]);
    one.send({ type: "hidden", hidden: false });
    expect(one.messages.at(-1)).toEqual({ type: "reread", id: 1 });
  });

  it("says that the stream is stale after two heartbeats of silence, and live again", () => {
    const one = tab();
    one.send({ type: "listen", id: 1, topic: {}, after: "" });
    openWith(1);
    browser.pass(29_000);
    browser.say("heartbeat", 1, { time: 129 });
    browser.pass(29_000);
    expect(one.messages.at(-1)).toMatchObject({ type: "stream", live: true });
    browser.pass(2_000);
    expect(one.messages.at(-1)).toMatchObject({ type: "stream", live: false });
    browser.say("heartbeat", 1, { time: 160 });
    expect(one.messages.at(-1)).toMatchObject({ type: "stream", live: true, time: 160 });
  });

  it("keeps quiet about a restart that is short, and announces the build of the new server", async () => {
    const one = tab();
    one.send({ type: "listen", id: 1, topic: {}, after: "" });
    openWith(1);
    browser.newest.fail(false);
    browser.pass(1_000);
    browser.say("open", 1, { time: 101, heartbeat: 15 }); // nothing has happened: the newest event is an old one
    browser.pass(5_000);
    await Promise.resolve();
    expect(one.messages).not.toContainEqual(expect.objectContaining({ type: "stream", live: false, time: 100 }));
    expect(one.messages).toContainEqual({ type: "build", entry: "assets/index-b.js" });
  });

  it("connects again itself when the browser gives up", () => {
    const one = tab();
    one.send({ type: "listen", id: 1, topic: {}, after: "" });
    openWith(7);
    browser.newest.fail(true);
    browser.pass(3_000);
    expect(browser.streams).toHaveLength(2);
    expect(browser.newest.query).toContain("after=e-7");
    expect(one.messages.at(-1)).toMatchObject({ type: "stream", live: false });
  });

  it("tells all to read again after a reset, and ends the stream when the last tab leaves", () => {
    const one = tab();
    one.send({ type: "listen", id: 3, topic: {}, after: "e-1" });
    browser.pass(50);
    browser.say("open", 900, { time: 100, heartbeat: 15 });
    browser.say("reset", 900, { reason: "expired" });
    browser.pass(100);
    expect(one.messages.at(-1)).toEqual({ type: "reread", id: 3 });
    one.send({ type: "leave" });
    browser.pass(50);
    expect(browser.newest.open).toBe(false);
  });

  it("adds up the ids of datums of one job", () => {
    const one = tab();
    one.send({ type: "listen", id: 1, topic: { kinds: ["datum"] }, after: "" });
    openWith(1);
    const datum = (id: string, processed: number): LiveEvent => ({ kind: "datum", at: 1, project: "p", pipeline: "x", job: "a", processed, datums: { SUCCESS: [id] }, more: 0 });
    browser.say("datum", 2, datum("d1", 1));
    browser.say("datum", 3, datum("d2", 2));
    browser.pass(100);
    expect(one.events()).toEqual([{ ...datum("d2", 2), datums: { SUCCESS: ["d2", "d1"] }, work: [] }]);
  });
});
