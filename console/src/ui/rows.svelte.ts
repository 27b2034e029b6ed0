/**
 * The rows of a long list that is read in pages, for VirtualList.
 *
 * `OffsetPages` is for lists that the server can read from any offset on: it asks for the pages
 * that are visible and holds the last ones used. `TokenPages` is for lists that can only be read
 * on from the last row: it asks for more when the visible part comes near the end.
 *
 * Rows stand in plain arrays; what is reactive is a version number, which counts loaded pages.
 */

export interface OffsetPage<Row> {
  rows: readonly Row[];
  total: number;
}

export interface TokenPage<Row> {
  rows: readonly Row[];
  /** Empty: there are no more. */
  next: string;
}

/** Pages that are held at most: 16,000 rows of 200 a page. */
const PAGES_HELD = 80;

/** Reads pages by offset, as far as they are visible. */
export class OffsetPages<Row> {
  /** Rows of the whole list, as far as it is known. */
  total = $state(0);
  /** Whether any page has been read. */
  loaded = $state(false);
  /** Why the last page could not be read. */
  error = $state.raw<unknown>(undefined);
  #version = $state(0);
  readonly #load: (offset: number, number: number, signal: AbortSignal) => Promise<OffsetPage<Row>>;
  readonly #size: number;
  /** In the order of their last use. */
  readonly #pages = new Map<number, readonly Row[]>();
  readonly #current = new Set<number>();
  readonly #running = new Map<number, AbortController>();

  /**
   * @param load Reads `number` rows from `offset` on.
   * @param size Rows of a page.
   */
  constructor(load: (offset: number, number: number, signal: AbortSignal) => Promise<OffsetPage<Row>>, size = 200) {
    this.#load = load;
    this.#size = size;
  }

  /** A row, when its page has been read. */
  get(index: number): Row | undefined {
    void this.#version;
    return this.#pages.get(Math.floor(index / this.#size))?.[index % this.#size];
  }

  /** Reads the pages of these rows, and stops reading those that are not visible any more. */
  show(first: number, last: number): void {
    const from = Math.floor(Math.max(0, first) / this.#size);
    const to = Math.floor(Math.max(0, first, last) / this.#size);
    for (const [page, abort] of this.#running) {
      if (page >= from && page <= to) continue;
      abort.abort();
      this.#running.delete(page);
    }
    for (let page = from; page <= to; page++) {
      if (!this.#running.has(page) && !this.#current.has(page)) void this.#read(page);
    }
  }

  /** Reads the pages of these rows again, and others when they are shown. Old rows stay until then. */
  reset(first: number, last: number): void {
    this.stop();
    this.#current.clear();
    this.show(first, last);
  }

  /** Ends what is being read. */
  stop(): void {
    for (const abort of this.#running.values()) abort.abort();
    this.#running.clear();
  }

  async #read(page: number): Promise<void> {
    const abort = new AbortController();
    this.#running.set(page, abort);
    try {
      const answer = await this.#load(page * this.#size, this.#size, abort.signal);
      if (abort.signal.aborted) return;
      this.#pages.delete(page);
      this.#pages.set(page, answer.rows);
      this.#current.add(page);
      this.total = answer.total;
      this.error = undefined;
      this.loaded = true;
      this.#forget();
    } catch (error) {
      if (!abort.signal.aborted) this.error = error;
    } finally {
      if (this.#running.get(page) === abort) this.#running.delete(page);
      this.#version++;
    }
  }

  #forget(): void {
    for (const page of this.#pages.keys()) {
      if (this.#pages.size <= PAGES_HELD) return;
      this.#pages.delete(page);
      this.#current.delete(page);
    }
  }
}

/** Reads pages one after the other, as the end of the list comes near. */
export class TokenPages<Row> {
  /** The rows that have been read. */
  rows = $state.raw<readonly Row[]>([]);
  /** Whether there are more than these. */
  more = $state(true);
  /** Whether the first page has been read. */
  loaded = $state(false);
  /** Why the last page could not be read. */
  error = $state.raw<unknown>(undefined);
  readonly #load: (token: string, signal: AbortSignal) => Promise<TokenPage<Row>>;
  #next = "";
  #running: AbortController | undefined;

  /** @param load Reads the page of a token; the first has an empty one. */
  constructor(load: (token: string, signal: AbortSignal) => Promise<TokenPage<Row>>) {
    this.#load = load;
  }

  /** Reads on when fewer than two screens of rows are left below these. */
  show(first: number, last: number): void {
    const screen = Math.max(1, last - first + 1);
    if (this.more && !this.#running && this.error === undefined && last + 2 * screen >= this.rows.length) {
      void this.#read(false);
    }
  }

  /** Reads from the first row on again. Old rows stay until then. */
  reset(): void {
    this.stop();
    void this.#read(true);
  }

  /** Reads on after an error. */
  retry(): void {
    this.error = undefined;
    void this.#read(!this.loaded);
  }

  /** Ends what is being read. */
  stop(): void {
    this.#running?.abort();
    this.#running = undefined;
  }

  async #read(first: boolean): Promise<void> {
    const abort = new AbortController();
    this.#running = abort;
    try {
      const page = await this.#load(first ? "" : this.#next, abort.signal);
      if (abort.signal.aborted) return;
      this.rows = first ? page.rows : [...this.rows, ...page.rows];
      this.#next = page.next;
      this.more = page.next !== "";
      this.loaded = true;
      this.error = undefined;
    } catch (error) {
      if (!abort.signal.aborted) this.error = error;
    } finally {
      if (this.#running === abort) this.#running = undefined;
    }
  }
}
