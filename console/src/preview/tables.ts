/** Tables of CSV and Parquet files as previews read them, in windows of rows. */

export interface Column {
  name: string;
  type: string;
}

export interface TableInfo {
  columns: Column[];
  /** Columns that are not shown because there are too many. */
  hiddenColumns: number;
  rows: number;
  /** Whether the file has more rows than were read. */
  isCut: boolean;
}

/** What is sent to the worker: open a file first, then ask for rows. */
export type ToTables =
  | { id: number; type: "open"; address: string; size: number; kind: "csv" | "parquet"; separator: string }
  | { id: number; type: "rows"; first: number; last: number };

/** Its answers, with the id of the request. */
export type FromTables = { id: number } & ({ info: TableInfo } | { rows: string[][] } | { problem: string });

/**
 * Return the rows of CSV (RFC 4180; a quote may be left open).
 *
 * @param text of the file.
 * @param separator of cells.
 * @param limit rows at most.
 */
export function parseCsv(text: string, separator: string, limit: number): string[][] {
  const rows: string[][] = [];
  let row: string[] = [];
  let at = 0;
  while (at < text.length && rows.length < limit) {
    let cell = "";
    if (text[at] === '"') {
      at++;
      for (;;) {
        const quote = text.indexOf('"', at);
        if (quote < 0) {
          cell += text.slice(at);
          at = text.length;
          break;
        }
        cell += text.slice(at, quote);
        at = quote + 1;
        if (text[at] !== '"') break;
        cell += '"';
        at++;
      }
    }
    const start = at;
    while (at < text.length && text[at] !== separator && text[at] !== "\n" && text[at] !== "\r") at++;
    row.push(cell + text.slice(start, at));
    if (at >= text.length) break;
    if (text[at] === separator) {
      at++;
      if (at === text.length) row.push("");
      continue;
    }
    at += text[at] === "\r" && text[at + 1] === "\n" ? 2 : 1;
    rows.push(row);
    row = [];
  }
  if (row.length > 0 && rows.length < limit) rows.push(row);
  return rows;
}

/** Return the separator that the first line of a file uses most. */
export function separatorOf(path: string, head: string): string {
  if (path.toLowerCase().endsWith(".tsv")) return "\t";
  const line = head.slice(0, head.indexOf("\n") < 0 ? undefined : head.indexOf("\n"));
  const counts = [",", ";", "\t", "|"].map((sign) => ({ sign, count: line.split(sign).length }));
  return counts.reduce((best, each) => (each.count > best.count ? each : best)).sign;
}
