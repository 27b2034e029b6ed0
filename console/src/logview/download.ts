/** Saves a log as a text file: read in windows of lines, so that it may be cancelled. */
import type { console as api } from "@/lib/api";
import { call } from "@/lib/call";
import { int } from "@/lib/numbers";

/** Lines read at a time. */
const WINDOW = 2_000;

/** Read all lines of a log and save them. */
export async function download(log: api.LogName, signal: AbortSignal): Promise<void> {
  const parts: string[] = [];
  let read = 0;
  for (;;) {
    const window = await call("trunkline.console.v1.Console/ReadLog", { log, line: read, after: WINDOW, full: true }, signal);
    parts.push(...window.lines.map((line) => `${line.at ?? ""} ${line.text}\n`));
    read += window.lines.length;
    if (window.lines.length === 0 || read >= int(window.linesTotal)) break;
  }
  const address = URL.createObjectURL(new Blob(parts, { type: "text/plain" }));
  const anchor = document.createElement("a");
  anchor.href = address;
  anchor.download = `${[log.pipeline, log.jobId.slice(0, 8), log.datumId.slice(0, 8)].filter(Boolean).join("-")}.log`;
  anchor.click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}
