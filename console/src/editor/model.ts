/** The values of a spec with their places in the text, from the editor's syntax tree, in JSON or YAML. */
import type { SyntaxNode, Tree } from "@lezer/common";

export type Kind = "object" | "list" | "string" | "number" | "boolean" | "null";

export interface Value {
  kind: Kind;
  from: number;
  to: number;
  /** A scalar as it reads, without quotes. */
  text: string;
  entries: Entry[];
  items: Value[];
}
export interface Entry {
  key: string;
  keyFrom: number;
  keyTo: number;
  value: Value | undefined;
}

const KINDS: Record<string, Kind> = {
  Object: "object",
  BlockMapping: "object",
  FlowMapping: "object",
  Array: "list",
  BlockSequence: "list",
  FlowSequence: "list",
  String: "string",
  QuotedLiteral: "string",
  BlockLiteral: "string",
  Number: "number",
  True: "boolean",
  False: "boolean",
  Null: "null",
};
const WRAPPERS = new Set(["Stream", "Document", "JsonText", "Item", "Tagged", "Anchored"]);

/** Return the value that a text holds; undefined when it holds none. */
export function modelOf(tree: Tree, text: string): Value | undefined {
  return valueOf(tree.topNode, text);
}

function valueOf(node: SyntaxNode, text: string): Value | undefined {
  if (WRAPPERS.has(node.name)) {
    for (const child of childrenOf(node)) {
      const value = valueOf(child, text);
      if (value) return value;
    }
    return undefined;
  }
  const kind = node.name === "Literal" ? plainKind(text.slice(node.from, node.to)) : KINDS[node.name];
  if (!kind) return undefined;
  const value: Value = { kind, from: node.from, to: node.to, text: "", entries: [], items: [] };
  if (kind === "object") value.entries = entriesOf(node, text);
  else if (kind === "list") value.items = childrenOf(node).flatMap((child) => valueOf(child, text) ?? []);
  else value.text = unquoted(text.slice(node.from, node.to));
  return value;
}

function entriesOf(node: SyntaxNode, text: string): Entry[] {
  return childrenOf(node).flatMap((pair) => {
    if (pair.name !== "Pair" && pair.name !== "Property") return [];
    const [key, ...rest] = childrenOf(pair);
    if (!key || (key.name !== "Key" && key.name !== "PropertyName")) return [];
    const value = rest.map((child) => valueOf(child, text)).find((one) => one !== undefined);
    return [{ key: unquoted(text.slice(key.from, key.to)), keyFrom: key.from, keyTo: key.to, value }];
  });
}

function childrenOf(node: SyntaxNode): SyntaxNode[] {
  const children = [];
  for (let child = node.firstChild; child; child = child.nextSibling) children.push(child);
  return children;
}

/** The kind of an unquoted scalar of YAML 1.1, as the server reads it. */
function plainKind(text: string): Kind {
  if (/^(?:~|null|Null|NULL)?$/.test(text)) return "null";
  if (/^(?:true|false|yes|no|on|off)$/i.test(text)) return "boolean";
  return /^[-+]?(?:\d[\d_]*(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?$/.test(text) ? "number" : "string";
}

function unquoted(text: string): string {
  if (text.startsWith('"')) {
    try {
      return JSON.parse(text) as string;
    } catch {
      return text.replace(/^"|"$/g, "");
    }
  }
  return text.startsWith("'") ? text.slice(1, -1).replaceAll("''", "'") : text;
}

/** A name of a field without regard to its spelling: datum_tries and datumTries are one field. */
export function canonical(name: string): string {
  return name.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
}

/**
 * Return the entry or value at a path such as `input.cross[1].pfs.glob`, or the nearest one above it.
 *
 * @param root of the text.
 * @param path its names and indexes.
 * @returns the place of its key, or of an item; undefined when not even the first part is there.
 */
export function placeOf(root: Value, path: readonly string[]): { from: number; to: number; depth: number } | undefined {
  let value: Value | undefined = root;
  let place: { from: number; to: number; depth: number } | undefined;
  for (const [at, part] of path.entries()) {
    if (value?.kind === "list" && /^\d+$/.test(part)) {
      value = value.items[Number(part)];
      if (!value) break;
      place = { from: value.from, to: Math.min(value.to, value.from + 80), depth: at + 1 };
    } else {
      const entry: Entry | undefined = value?.entries.find((one) => canonical(one.key) === canonical(part));
      if (!entry) break;
      place = { from: entry.keyFrom, to: entry.keyTo, depth: at + 1 };
      value = entry.value;
    }
  }
  return place;
}
