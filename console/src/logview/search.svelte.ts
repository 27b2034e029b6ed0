/** A search in a whole log: the server sends hits as it finds them and counts all. */
import type { console as api } from "@/lib/api";
import { type CallError, type Partly, asCallError, callStream, isAbort } from "@/lib/call";
import { int } from "@/lib/numbers";

export class LogSearch {
  /** Positions of the first hits. */
  positions = $state.raw<readonly string[]>([]);
  /** All hits so far. */
  total = $state(0);
  done = $state(true);
  error = $state.raw<CallError>();
  /** Number of the hit that is shown; -1 before the first. */
  current = $state(-1);
  #running: AbortController | undefined;

  /** Begin to look for something else; returns when the first hits are there, or none is. */
  async start(request: Partly<api.SearchLogRequest>): Promise<void> {
    this.stop();
    this.positions = [];
    this.total = 0;
    this.current = -1;
    this.error = undefined;
    if (!request.text) {
      this.done = true;
      return;
    }
    const controller = new AbortController();
    this.#running = controller;
    this.done = false;
    const hits = callStream("trunkline.console.v1.Console/SearchLog", request, controller.signal);
    await this.#take(hits, true);
    void this.#take(hits, false);
  }

  /** End the search; the server stops too. */
  stop(): void {
    this.#running?.abort();
  }

  /** Move to the next or an earlier hit, around the ends; returns its position. */
  move(step: number): string | undefined {
    const count = this.positions.length;
    if (count === 0) return undefined;
    this.current = this.current < 0 ? (step > 0 ? 0 : count - 1) : (this.current + step + count) % count;
    return this.positions[this.current];
  }

  async #take(hits: AsyncGenerator<api.LogHits, void, undefined>, one: boolean): Promise<void> {
    try {
      for (;;) {
        const { done, value } = await hits.next();
        if (done) break;
        this.positions = [...this.positions, ...value.lines.map((line) => line.position)];
        this.total = int(value.total);
        this.done = value.done;
        if (one) return;
      }
      this.done = true;
    } catch (error) {
      if (isAbort(error)) return;
      this.error = asCallError(error);
      this.done = true;
    }
  }
}
