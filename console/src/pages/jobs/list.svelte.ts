/** The rows of a list of jobs, kept up to date by events. New jobs are counted and shown when the reader asks. */
import { call } from "@/lib/call";
import { type JobRow, eventKey, jobKey, rowsAfter } from "@/lib/job-rows";
import { listen } from "@/lib/live/client.svelte";
import type { LiveEvent } from "@/lib/live/events";
import { optionalInt } from "@/lib/numbers";
import { TokenPages } from "@/ui/rows.svelte";
import { type Filter, admitsJob, requestOf, topicOf } from "./filter";

const PAGE = 200;

export class JobList {
  readonly pages: TokenPages<JobRow>;
  /** How many jobs there are; undefined before the first page. */
  total = $state<number>();
  /** There are more than `total`. */
  totalIsLeast = $state(false);
  /** Jobs that came since the first page was read. */
  fresh = $state(0);
  readonly #filter: Filter;
  readonly #fresh = new Set<string>();
  #known = new Set<string>();
  #position = $state("");

  /** @param filter which jobs; another filter needs another list. */
  constructor(filter: Filter) {
    this.#filter = filter;
    this.pages = new TokenPages((token, signal) => this.#load(token, signal));
  }

  /** Read the first page and follow events until the returned function is called. Call it in an effect. */
  start(): () => void {
    this.pages.reset();
    return () => this.pages.stop();
  }

  /** Follow events once the first page is there. Call it in an effect, which runs again with each first page. */
  follow(): (() => void) | undefined {
    if (!this.#position) return undefined;
    return listen(topicOf(this.#filter), this.#position, (events) => this.#apply(events), () => this.pages.reset());
  }

  /** Show what is new. */
  refresh(): void {
    this.pages.reset();
  }

  async #load(token: string, signal: AbortSignal) {
    const page = await call("trunkline.console.v1.Console/ListJobRow", { ...requestOf(this.#filter), pageToken: token, number: PAGE, count: token === "" }, signal);
    if (!signal.aborted && token === "") {
      this.total = optionalInt(page.total);
      this.totalIsLeast = page.totalIsLeast;
      this.#fresh.clear();
      this.#known = new Set();
      this.fresh = 0;
      this.#position = page.position;
    }
    for (const row of page.rows) this.#known.add(jobKey(row));
    return { rows: page.rows, next: page.nextPageToken };
  }

  #apply(events: LiveEvent[]): void {
    this.pages.rows = rowsAfter(this.pages.rows, events);
    for (const event of events) {
      const key = eventKey(event);
      if (this.#known.has(key) || !admitsJob(this.#filter, event)) continue;
      // What is not loaded yet is no news: only what is newer than the newest row, or has come into the filter's states.
      if (this.pages.more && !this.#isNew(event)) continue;
      this.#fresh.add(key);
    }
    this.fresh = this.#fresh.size;
  }

  #isNew(event: LiveEvent): boolean {
    const newest = this.pages.rows[0];
    return !newest || (event.created ?? 0) * 1000 >= Date.parse(newest.created ?? "");
  }
}
