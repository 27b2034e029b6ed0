/** Reads tables away from the page: CSV as a whole up to a limit, Parquet by ranges in windows of rows. */
import { parquetMetadataAsync, parquetReadObjects, parquetSchema } from "hyparquet";
import type { AsyncBuffer, FileMetaData } from "hyparquet";
import { compressors } from "hyparquet-compressors";
import { CELL_CHARACTERS, COLUMNS, TEXT_BYTES } from "./kinds";
import { type PreviewFile, readBytes, textOf } from "./read";
import { type Column, type FromTables, type TableInfo, type ToTables, parseCsv, separatorOf } from "./tables";

interface Table {
  info: TableInfo;
  rows: (first: number, last: number) => Promise<string[][]>;
}

/** Rows of CSV that are read at most. */
const CSV_ROWS = 100_000;
/** Bytes of a Parquet file's footer and of one read that are held at most. */
const READ_BYTES = 64_000_000;
let table: Promise<Table> | undefined;

onmessage = (event: MessageEvent<ToTables>) => void answer(event.data);

async function answer(request: ToTables): Promise<void> {
  let reply: FromTables;
  try {
    if (request.type === "open") {
      const file = { address: request.address, path: "", size: request.size };
      table = request.kind === "csv" ? openCsv(file, request.separator) : openParquet(file);
      reply = { id: request.id, info: (await table).info };
    } else {
      if (!table) throw new Error("no file is open");
      reply = { id: request.id, rows: await (await table).rows(request.first, request.last) };
    }
  } catch (error) {
    reply = { id: request.id, problem: error instanceof Error ? error.message : String(error) };
  }
  postMessage(reply);
}

async function openCsv(file: PreviewFile, separator: string): Promise<Table> {
  const bytes = await readBytes(file, 0, TEXT_BYTES);
  const text = textOf(bytes).replace(/^\ufeff/, "");
  const rows = parseCsv(text, separator || separatorOf(file.path, text), CSV_ROWS + 1);
  const isCut = bytes.length < file.size || rows.length > CSV_ROWS;
  if (isCut) rows.pop();
  const names = rows.shift() ?? [];
  const width = rows.slice(0, 1000).reduce((most, row) => Math.max(most, row.length), names.length);
  const columns = Array.from({ length: Math.min(width, COLUMNS) }, (_, at) => ({ name: names[at] ?? "", type: "" }));
  const info = { columns, hiddenColumns: width - columns.length, rows: rows.length, isCut };
  return { info, rows: (first, last) => Promise.resolve(rows.slice(first, last).map((row) => row.slice(0, COLUMNS).map(cut))) };
}

async function openParquet(file: PreviewFile): Promise<Table> {
  const buffer: AsyncBuffer = {
    byteLength: file.size,
    async slice(start, end = file.size) {
      const from = start < 0 ? file.size + start : start;
      if (end - from > READ_BYTES) throw new Error(`a part of the file has ${end - from} bytes, too many for a preview`);
      const bytes = await readBytes(file, from, end - from);
      return bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
    },
  };
  const metadata: FileMetaData = await parquetMetadataAsync(buffer);
  const children = parquetSchema(metadata).children;
  const columns: Column[] = children
    .slice(0, COLUMNS)
    .map(({ element }) => ({ name: element.name, type: (element.logical_type?.type ?? element.converted_type ?? element.type ?? "group").toLowerCase() }));
  const names = columns.map(({ name }) => name);
  const info = { columns, hiddenColumns: children.length - columns.length, rows: Number(metadata.num_rows), isCut: false };
  return {
    info,
    async rows(first, last) {
      const rows = await parquetReadObjects({ file: buffer, metadata, compressors, columns: names, rowStart: first, rowEnd: last });
      return rows.map((row) => names.map((name) => cut(cell(row[name]))));
    },
  };
}

function cell(value: unknown): string {
  if (value === null || value === undefined) return "";
  if (value instanceof Date) return value.toISOString();
  if (value instanceof Uint8Array) return Array.from(value.subarray(0, 32), (byte) => byte.toString(16).padStart(2, "0")).join("");
  if (typeof value === "object") return JSON.stringify(value, (_, part: unknown) => (typeof part === "bigint" ? Number(part) : part));
  return String(value as string | number | bigint | boolean);
}

function cut(text: string): string {
  return text.length > CELL_CHARACTERS ? `${text.slice(0, CELL_CHARACTERS)}…` : text;
}
