/** The page's side of the worker for tables: one worker per file that is shown. */
import { CallError } from "@/lib/call";
import { workerAddress } from "@/lib/workers";
import type { FromTables, TableInfo, ToTables } from "./tables";
import workerUrl from "./tables-worker?worker&url";
import type { PreviewFile } from "./read";

/** Seconds after which a table that is not read is given up: a file can be made so that it never ends. */
const PATIENCE = 30;

type Answer = Exclude<FromTables, { problem: string }>;

export class TableReader {
  readonly #worker = new Worker(workerAddress(workerUrl), { type: "module" });
  readonly #waiting = new Map<number, { resolve: (answer: Answer) => void; reject: (error: CallError) => void }>();
  #next = 1;

  constructor() {
    this.#worker.onmessage = (event: MessageEvent<FromTables>) => {
      const answer = event.data;
      const waiting = this.#waiting.get(answer.id);
      this.#waiting.delete(answer.id);
      if ("problem" in answer) waiting?.reject(new CallError("DATA_LOSS", `The table cannot be read: ${answer.problem}. Download the file instead.`, ""));
      else waiting?.resolve(answer);
    };
    this.#worker.onerror = () => this.#fail("the reader of tables could not be started");
  }

  /** Read what the table is like. */
  async open(file: PreviewFile, kind: "csv" | "parquet"): Promise<TableInfo> {
    const separator = file.path.toLowerCase().endsWith(".tsv") ? "\t" : "";
    const answer = await this.#ask((id) => ({ id, type: "open", address: file.address, size: file.size, kind, separator }));
    return (answer as { info: TableInfo }).info;
  }

  /** Read rows from one to another. */
  async rows(first: number, last: number): Promise<string[][]> {
    return ((await this.#ask((id) => ({ id, type: "rows", first, last }))) as { rows: string[][] }).rows;
  }

  /** End the worker. */
  close(): void {
    this.#worker.terminate();
    this.#waiting.clear();
  }

  #ask(request: (id: number) => ToTables): Promise<Answer> {
    const id = this.#next++;
    const timer = setTimeout(() => this.#fail(`it took longer than ${PATIENCE} seconds`), PATIENCE * 1000);
    const answer = new Promise<Answer>((resolve, reject) => this.#waiting.set(id, { resolve, reject }));
    this.#worker.postMessage(request(id));
    return answer.finally(() => clearTimeout(timer));
  }

  #fail(why: string): void {
    for (const { reject } of this.#waiting.values()) reject(new CallError("DATA_LOSS", `The table cannot be read: ${why}. Download the file instead.`, ""));
    this.close();
  }
}
