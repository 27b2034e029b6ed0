/** Where the cursor is in a spec that may be incomplete: the path, and whether a field's name or a value is written. */
export interface Cursor {
  /** Names and indexes of the objects and lists around it. */
  path: string[];
  /** Whether the name of a field is written; else its value, whose name is the last part of the path. */
  isKey: boolean;
  /** Where the word at the cursor begins. */
  from: number;
  /** Names of the object that are there already. */
  siblings: string[];
}
interface Level {
  isList: boolean;
  index: number;
  key: string;
  siblings: string[];
}

/** Return whether a text is JSON; anything else is YAML. */
export function isJson(text: string): boolean {
  return /^\s*[{[]/.test(text);
}

/** Return where the cursor is; undefined where nothing can be completed. */
export function cursorAt(text: string, at: number): Cursor | undefined {
  return isJson(text) ? jsonCursor(text, at) : yamlCursor(text, at);
}

const TOKEN = /"(?:[^"\\]|\\.)*"?|[{}[\],:]|[^\s"{}[\],:]+/g;

function jsonCursor(text: string, at: number): Cursor | undefined {
  const levels: Level[] = [];
  let isKey = false;
  for (const token of text.slice(0, at).matchAll(TOKEN)) {
    const [word] = token;
    const level = levels.at(-1);
    const end = token.index + word.length;
    if (end === at && !/^[{}[\],:]$/.test(word)) return cursorOf(levels, isKey, token.index);
    if (word === "{" || word === "[") {
      levels.push({ isList: word === "[", index: 0, key: "", siblings: [] });
      isKey = word === "{";
    } else if (word === "}" || word === "]") {
      levels.pop();
      isKey = false;
    } else if (word === ",") {
      if (level) level.index += 1;
      isKey = level?.isList === false;
    } else if (word === ":") isKey = false;
    else if (isKey && level) {
      level.key = word.replace(/^"|"$/g, "");
      level.siblings.push(level.key);
      isKey = false;
    }
  }
  return levels.length > 0 ? cursorOf(levels, isKey, at) : undefined;
}

function cursorOf(levels: readonly Level[], isKey: boolean, from: number): Cursor {
  const parts = levels.map((level) => (level.isList ? String(level.index) : level.key));
  return { path: isKey ? parts.slice(0, -1) : parts, isKey, from, siblings: levels.at(-1)?.siblings ?? [] };
}

/** A line of YAML: spaces and dashes, then a key with what follows it. */
const PAIR = /^((?:\s|- )*)(?:"([^"]*)"|'([^']*)'|([^\s:#'"{}[\]-][^:#]*?))\s*:(?:\s|$)/;

/** YAML in blocks, by indentation; within brackets and quotes nothing is completed. */
function yamlCursor(text: string, at: number): Cursor | undefined {
  const above = text.slice(0, at).split("\n");
  const line = above.pop() ?? "";
  if (/[{["'#]/.test(line)) return undefined;
  const pair = PAIR.exec(line);
  const prefix = pair?.[1] ?? /^(?:\s|- )*/.exec(line)?.[0] ?? "";
  const { path, siblings } = blockPath(above, prefix);
  if (pair) path.push(keyOf(pair));
  return { path, isKey: !pair, from: at - (/[\w-]*$/.exec(line)?.[0].length ?? 0), siblings };
}

/** Return the path of the block that a line with this prefix is in, and the keys beside it above. */
function blockPath(above: readonly string[], prefix: string): { path: string[]; siblings: string[] } {
  const path: string[] = [];
  const siblings: string[] = [];
  // The next parent is left of `limit`; that of a list may be exactly above its dashes.
  let limit = prefix.length;
  let ofList = false;
  const leave = (before: string): void => {
    for (let dash = before.lastIndexOf("- "); dash >= 0; dash = before.slice(0, dash).lastIndexOf("- ")) {
      path.unshift("0");
      limit = dash;
      ofList = true;
    }
  };
  leave(prefix);
  for (const line of [...above].reverse()) {
    const pair = PAIR.exec(line);
    if (!pair) continue;
    const before = pair[1] ?? "";
    if (before.length < limit || (ofList && before.length === limit)) {
      path.unshift(keyOf(pair));
      limit = before.length;
      ofList = false;
      leave(before);
    } else if (!ofList && before.length === limit) {
      if (path.length === 0) siblings.push(keyOf(pair));
      leave(before);
    }
  }
  return { path, siblings };
}

function keyOf(pair: RegExpExecArray): string {
  return pair[2] ?? pair[3] ?? pair[4] ?? "";
}
