/** What the hub needs of a browser: the same in a SharedWorker and in a page. */
import type { Surroundings } from "./hub-core";

const NAMES = ["open", "reset", "heartbeat", "end", "repo", "commit", "pipeline", "job", "datum", "worker", "decision", "log"];

export const browser: Surroundings = {
  open(query, receive, fail) {
    const source = new EventSource(`/events?${query}`);
    for (const name of NAMES) {
      source.addEventListener(name, (event) => {
        if (event instanceof MessageEvent) receive(name, event.lastEventId, String(event.data));
      });
    }
    source.onerror = () => fail(source.readyState === EventSource.CLOSED);
    return source;
  },
  later(milliseconds, run) {
    const timer = setTimeout(run, milliseconds);
    return () => clearTimeout(timer);
  },
  async entry() {
    const page = await (await fetch("/ui/", { headers: { accept: "text/html" } })).text();
    return /assets\/[\w.-]+\.js/.exec(page)?.[0] ?? "";
  },
};
