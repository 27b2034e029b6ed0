/** Reads Jupyter notebooks (nbformat 4): cells, and outputs that are text or images. Scripts and HTML are left out. */

export interface Output {
  text: string;
  /** Bytes of a PNG or JPEG image. */
  image?: { type: "image/png" | "image/jpeg"; base64: string };
  isError: boolean;
}

export interface Cell {
  kind: "markdown" | "code" | "raw";
  source: string;
  outputs: Output[];
  /** Outputs that are not shown, such as HTML with scripts. */
  left: number;
}

/** Cells that are shown at most. */
const MOST = 500;

/** Return the cells of a notebook; undefined when the value is none. */
export function notebookCells(value: unknown): { cells: Cell[]; isCut: boolean } | undefined {
  if (!isRecord(value) || !Array.isArray(value.cells)) return undefined;
  const cells = value.cells.slice(0, MOST).map((cell: unknown): Cell => {
    const record = isRecord(cell) ? cell : {};
    const kind = record.cell_type === "markdown" || record.cell_type === "code" ? record.cell_type : "raw";
    const all = Array.isArray(record.outputs) ? record.outputs.map(output) : [];
    const outputs = all.filter((each) => each !== undefined);
    return { kind, source: joined(record.source), outputs, left: all.length - outputs.length };
  });
  return { cells, isCut: value.cells.length > MOST };
}

function output(value: unknown): Output | undefined {
  if (!isRecord(value)) return undefined;
  if (value.output_type === "stream") return { text: joined(value.text), isError: value.name === "stderr" };
  if (value.output_type === "error") return { text: `${joined(value.ename)}: ${joined(value.evalue)}`, isError: true };
  const data = isRecord(value.data) ? value.data : {};
  for (const type of ["image/png", "image/jpeg"] as const) {
    if (data[type] !== undefined) return { text: joined(data["text/plain"]), image: { type, base64: joined(data[type]) }, isError: false };
  }
  return data["text/plain"] === undefined ? undefined : { text: joined(data["text/plain"]), isError: false };
}

/** Return a text that may be a list of lines. */
function joined(value: unknown): string {
  if (Array.isArray(value)) return value.map((line) => (typeof line === "string" ? line : "")).join("");
  return typeof value === "string" ? value : "";
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return value !== null && typeof value === "object" && !Array.isArray(value);
}
