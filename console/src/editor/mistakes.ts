/**
 * Mistakes with their places: what does not fit the schema is noticed at once, many at a time; the server's first
 * mistake is put where it belongs. The server decides: what it accepts is not marked.
 */
import { type Entry, type Value, canonical, placeOf } from "./model";
import { type Schema, type SchemaNode, typesOf } from "./schema";

export interface Mistake {
  from: number;
  to: number;
  message: string;
}

/** More are counted, not marked. */
const MOST = 1_000;
/** Finding the nearest name takes a millisecond: only the first ones propose it. */
const MOST_PROPOSALS = 20;
const PATH = /[A-Za-z_]\w*(?:\.\w+|\[\d+\])*/g;

/** Return what does not fit the schema, in the order of the text. */
export function schemaMistakes(root: Value, schema: Schema): Mistake[] {
  const mistakes: Mistake[] = [];
  checkValue(root, schema.root, "", schema, mistakes);
  return mistakes;
}

function checkValue(value: Value, node: SchemaNode, path: string, schema: Schema, mistakes: Mistake[]): void {
  if (mistakes.length >= MOST || value.kind === "null") return;
  const types = typesOf(node);
  if (types.length > 0 && !fits(value, types)) {
    mistakes.push({ from: value.from, to: value.to, message: `${path || "the spec"} is ${described(value)}, but must be ${article(types)}` });
  } else if (value.kind === "object") {
    for (const entry of value.entries) checkEntry(entry, node, path, schema, mistakes);
  } else if (value.kind === "list") {
    const item = schema.item(node);
    for (const [at, one] of value.items.entries()) if (item) checkValue(one, item, `${path}[${at}]`, schema, mistakes);
  } else if (node.enum && !node.enum.includes(value.text)) {
    mistakes.push({ from: value.from, to: value.to, message: `${path} is "${value.text}", but must be one of ${node.enum.join(", ")}` });
  }
}

function checkEntry(entry: Entry, node: SchemaNode, path: string, schema: Schema, mistakes: Mistake[]): void {
  const field = schema.field(node, entry.key);
  const below = path ? `${path}.${entry.key}` : entry.key;
  if (!field) {
    const near = mistakes.length < MOST_PROPOSALS && nearest(entry.key, Object.keys(node.properties ?? {}));
    mistakes.push({ from: entry.keyFrom, to: entry.keyTo, message: `unknown field "${below}"${near ? `; did you mean "${near}"?` : ""}` });
  } else if (entry.value) checkValue(entry.value, field, below, schema, mistakes);
}

function fits(value: Value, types: readonly string[]): boolean {
  switch (value.kind) {
    case "object":
      return types.includes("object");
    case "list":
      return types.includes("array");
    case "string":
      return types.includes("string");
    case "number":
      return types.includes("number") || types.includes("integer");
    default:
      return types.includes("boolean");
  }
}

function described(value: Value): string {
  if (value.kind === "object") return "an object";
  return value.kind === "list" ? "a list" : `the ${value.kind} ${value.text.slice(0, 40)}`;
}

function article(types: readonly string[]): string {
  const words: Record<string, string> = { object: "an object", array: "a list", string: "a string", number: "a number", integer: "an integer", boolean: "true or false" };
  return types.map((type) => words[type] ?? type).join(" or ");
}

/** Return the name that a mistyped one is nearest to, within two changes. */
export function nearest(name: string, names: readonly string[]): string | undefined {
  const wanted = canonical(name).toLowerCase();
  const ranked = names.map((one) => ({ one, distance: distance(wanted, one.toLowerCase(), 2) })).sort((a, b) => a.distance - b.distance);
  return ranked[0] && ranked[0].distance <= 2 ? ranked[0].one : undefined;
}

/** The edit distance of two texts, as Wagner and Fischer compute it; at least `most + 1` when it is beyond `most`. */
function distance(left: string, right: string, most: number): number {
  if (Math.abs(left.length - right.length) > most) return most + 1;
  let row = Array.from({ length: right.length + 1 }, (_, at) => at);
  for (const [at, letter] of [...left].entries()) {
    const next = [at + 1];
    for (const [other, candidate] of [...right].entries()) {
      next.push(Math.min((row[other] ?? 0) + (letter === candidate ? 0 : 1), (row[other + 1] ?? 0) + 1, (next[other] ?? 0) + 1));
    }
    row = next;
  }
  return row[right.length] ?? most + 1;
}

/**
 * Return the place that a sentence of the server is about: a line and column that it names, or else the longest path
 * in it that the text has.
 */
export function serverMistake(message: string, text: string, root: Value | undefined): Mistake {
  const position = /line (\d+), column (\d+)/.exec(message);
  if (position) {
    const lines = text.split("\n");
    const line = Math.min(Number(position[1]), lines.length) - 1;
    const start = lines.slice(0, line).reduce((sum, one) => sum + one.length + 1, 0);
    const from = Math.min(start + Number(position[2]) - 1, text.length);
    return { from, to: Math.max(from, Math.min(start + (lines[line]?.length ?? 0), text.length)), message };
  }
  let best: { from: number; to: number; depth: number } | undefined;
  for (const [path] of root ? message.matchAll(PATH) : []) {
    const parts = path.split(/[.[\]]+/).filter((part) => part !== "");
    const place = root && placeOf(root, parts);
    // Ordinary words of the sentence may be names of fields too: a whole path, or a deeper one, is the better place.
    if (place && place.depth === parts.length && place.depth > (best?.depth ?? 0)) best = place;
  }
  const { from, to } = best ?? keyOf(message, root) ?? { from: 0, to: Math.min(text.length, Math.max(text.indexOf("\n"), 1)) };
  return { from, to, message };
}

/** Return the first key anywhere that the sentence quotes. */
function keyOf(message: string, value: Value | undefined): { from: number; to: number } | undefined {
  for (const entry of value?.entries ?? []) {
    if (message.includes(`"${entry.key}"`)) return { from: entry.keyFrom, to: entry.keyTo };
    const below = keyOf(message, entry.value);
    if (below) return below;
  }
  for (const item of value?.items ?? []) {
    const below = keyOf(message, item);
    if (below) return below;
  }
  return undefined;
}
