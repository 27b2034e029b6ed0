/** What a file is shown as, by its name, and the limits of previews. */

export type PreviewKind =
  | "image" | "text" | "json" | "csv" | "parquet" | "markdown" | "notebook" | "pdf" | "audio" | "video" | "unknown";

const KINDS: Record<string, PreviewKind> = {
  md: "markdown", markdown: "markdown", json: "json", geojson: "json", csv: "csv", tsv: "csv", parquet: "parquet",
  ipynb: "notebook", pdf: "pdf",
};
const IMAGES = "png jpg jpeg gif webp avif bmp ico svg";
const VIDEO = "mp4 m4v webm ogv mov";
const AUDIO = "mp3 m4a wav flac ogg opus";
const TEXT =
  "bash c cc cfg conf cpp css diff go h hpp htm html ini java js jsonl jsx kt log lua mjs ndjson patch php pl proto py" +
  " r rb rs rst sh sql swift tex toml ts tsx txt vtt xhtml xml yaml yml";
for (const [names, kind] of [[IMAGES, "image"], [VIDEO, "video"], [AUDIO, "audio"], [TEXT, "text"]] as const) {
  for (const name of names.split(" ")) KINDS[name] = kind;
}

/** Bytes of text that are read at once; more is read when the reader asks. */
export const TEXT_BYTES = 5_000_000;
/** Bytes of code beyond which it has no colours: all lines before a line are looked at. */
export const COLOURED_BYTES = 1_000_000;
/** Bytes of JSON, notebooks and Markdown, which must be whole. */
export const WHOLE_BYTES = 5_000_000;
/** Images beyond one of these are shown when the reader asks. */
export const IMAGE_BYTES = 25_000_000;
export const IMAGE_PIXELS = 40_000_000;
/** Bytes that are shown of a file of unknown kind. */
export const HEX_BYTES = 4_096;
/** Characters of a line or a cell that are shown. */
export const LINE_CHARACTERS = 10_000;
export const CELL_CHARACTERS = 300;
/** Columns of a table that are shown. */
export const COLUMNS = 200;

/** Return what a file is shown as. */
export function kindOf(path: string): PreviewKind {
  const end = /\.(\w+)$/.exec(path)?.[1] ?? "";
  return KINDS[end.toLowerCase()] ?? "unknown";
}

/** Whether bytes look like text: valid UTF-8 (the last character may be cut) without control characters of binary files. */
export function isText(bytes: Uint8Array): boolean {
  for (const byte of bytes) {
    if (byte < 9 || (byte > 13 && byte < 32 && byte !== 27)) return false;
  }
  try {
    new TextDecoder("utf-8", { fatal: true }).decode(bytes, { stream: true });
    return true;
  } catch {
    return false;
  }
}
