/** Colours of code: which parts of a line are comments, strings, numbers, keywords and keys of a language. Pure. */
import { LINE_CHARACTERS } from "./kinds";

export type Role = "comment" | "string" | "number" | "keyword" | "key";

/** A part of a line. */
export interface Piece {
  text: string;
  role?: Role;
}

/** Longer lines have no colours: each part is an element of the page. */
const COLOURED_CHARACTERS = 1_000;

/** What may go on over several lines. */
interface Span {
  open: string;
  close: string;
  role: Role;
  /** Whether a backslash protects the next character. */
  escapes?: boolean;
}

interface Grammar {
  spans: readonly Span[];
  /** Expressions of what ends with its line. */
  comment?: string;
  string?: string;
  key?: string;
  /** A key where the line begins: what stands before it, and the key. */
  start?: RegExp;
  /** What begins a text that goes on to a line with its group `word`. */
  here?: string;
  words: ReadonlySet<string>;
  ignoreCase?: boolean;
}

/** A span that a line continues; `isWhole` when only a line of its own ends it. */
type Open = Omit<Span, "open"> & { isWhole?: boolean };

const words = (text: string): ReadonlySet<string> => new Set(text.split(" "));
const DOUBLE = '"(?:[^"\\\\]|\\\\.)*"?';
const SINGLE = "'(?:[^'\\\\]|\\\\.)*'?";
const CLOSED = '"(?:[^"\\\\]|\\\\.)*"';
const C_COMMENT: Span = { open: "/*", close: "*/", role: "comment" };
const quoted = (quote: string, escapes: boolean): Span => ({ open: quote, close: quote, role: "string", escapes });

const JSON_: Grammar = { spans: [], key: `${CLOSED}(?=\\s*:)`, string: DOUBLE, words: words("true false null") };
const SCRIPT: Grammar = {
  spans: [C_COMMENT, quoted("`", true)],
  comment: "//.*",
  string: `${DOUBLE}|${SINGLE}`,
  words: words(
    "abstract any as async await boolean break case catch class const continue debugger declare default delete do else enum export " +
      "extends false finally for from function get if implements import in instanceof interface keyof let namespace never new null " +
      "number of private protected public readonly return satisfies set static string super switch this throw true try type typeof " +
      "undefined unknown var void while with yield",
  ),
};
const GRAMMARS: Record<string, Grammar> = {
  py: {
    spans: [quoted('"""', true), quoted("'''", true)],
    comment: "#.*",
    string: `${DOUBLE}|${SINGLE}`,
    start: /^(\s*)(@[\w.]+)/,
    words: words(
      "False None True and as assert async await break case class continue def del elif else except finally for from global if import " +
        "in is lambda match nonlocal not or pass raise return self try while with yield",
    ),
  },
  sh: {
    spans: [quoted('"', true), quoted("'", false)],
    comment: "(?<=^|[\\s;&|(])#.*",
    key: "\\$\\w+|\\$\\{[^}]{0,80}\\}|\\\\.",
    here: "(?<!<)<<-?\\s*(?<quote>['\"]?)(?<word>[A-Za-z_]\\w*)\\k<quote>",
    words: words("case do done elif else esac exit export fi for function if in local readonly return select set shift then trap unset until while"),
  },
  yaml: {
    spans: [],
    comment: "(?<=^|\\s)#.*",
    start: /^(\s*(?:-\s+)*)("[^"]*"|'[^']*'|[\w./$]+(?:[ -]+[\w./$]+)*)(?=\s*:(?:\s|$))/,
    string: `(?<![\\w])(?:${DOUBLE}|${SINGLE})`,
    words: words("true false null yes no on off True False"),
  },
  json: JSON_,
  sql: {
    spans: [C_COMMENT, quoted("'", false)],
    comment: "--.*",
    string: '"[^"]*"?',
    words: words(
      "add all alter and any as asc begin between by case cast check column commit constraint create cross default delete desc distinct " +
        "drop else end exists except false for foreign from full function grant group having if in index inner insert intersect into is " +
        "join key left like limit not null offset on or order outer over partition primary recursive references replace returning right " +
        "rollback select set table then true union unique update using values view when where window with",
    ),
    ignoreCase: true,
  },
  r: {
    spans: [quoted('"', true), quoted("'", true)],
    comment: "#.*",
    words: words("break else FALSE for function if in Inf library NA NaN next NULL repeat require return TRUE while"),
  },
  js: SCRIPT,
};
const SAME: Record<string, string> = {
  bash: "sh", yml: "yaml", jsonl: "json", ndjson: "json", mjs: "js", jsx: "js", ts: "js", tsx: "js",
};
const NUMBER = "(?<![\\w.])(?:0[xX][\\da-fA-F_]+|\\d[\\d_]*(?:\\.\\d+)?(?:[eE][+-]?\\d+)?)(?!\\w)";
const escaped = (text: string): string => text.replace(/[.*+?^${}()|[\]\\/]/g, "\\$&");

/** Return what colours the lines of a file by their numbers; undefined when its language has no colours. */
export function colouring(path: string, lines: readonly string[]): ((index: number) => Piece[]) | undefined {
  const end = /\.(\w+)$/.exec(path)?.[1]?.toLowerCase() ?? "";
  const grammar = GRAMMARS[SAME[end] ?? end];
  if (!grammar) return undefined;
  const expression = expressionOf(grammar);
  /** What each line continues, as far as lines were looked at. */
  const opens: (Open | undefined)[] = [undefined];
  const read = (index: number): Line => parts((lines[index] ?? "").slice(0, LINE_CHARACTERS), opens[index], grammar, expression);
  return (index) => {
    while (opens.length <= index) opens.push(read(opens.length - 1).open);
    const { pieces } = read(index);
    return (lines[index] ?? "").length > COLOURED_CHARACTERS ? [{ text: (lines[index] ?? "").slice(0, LINE_CHARACTERS) }] : pieces;
  };
}

interface Line {
  pieces: Piece[];
  /** What the next line continues. */
  open: Open | undefined;
}

function expressionOf(grammar: Grammar): RegExp {
  const never = "(?!)";
  const alternatives = {
    span: grammar.spans.map(({ open }) => escaped(open)).join("|") || never,
    comment: grammar.comment ?? never,
    here: grammar.here ?? never,
    key: grammar.key ?? never,
    string: grammar.string ?? never,
    number: NUMBER,
    name: "[A-Za-z_]\\w*",
  };
  return new RegExp(Object.entries(alternatives).map(([name, source]) => `(?<${name}>${source})`).join("|"), "g");
}

function parts(line: string, continued: Open | undefined, grammar: Grammar, expression: RegExp): Line {
  const pieces: Piece[] = [];
  let open = continued;
  let next: Open | undefined;
  let at = 0;
  const add = (end: number, role?: Role): void => {
    if (end > at) pieces.push(role ? { text: line.slice(at, end), role } : { text: line.slice(at, end) });
    at = end;
  };
  if (open?.isWhole) {
    add(line.length, open.role);
    return { pieces, open: line.trim() === open.close ? undefined : open };
  }
  const start = open ? undefined : grammar.start?.exec(line);
  if (start) {
    add(start[1]?.length ?? 0);
    add(start[0].length, "key");
  }
  while (at < line.length) {
    if (open) {
      const end = closeOf(line, at, open);
      add(end ?? line.length, open.role);
      if (end !== undefined) open = undefined;
      continue;
    }
    expression.lastIndex = at;
    const match = expression.exec(line);
    if (!match) break;
    const { span, comment, here, key, string, number, name = "", word = "" } = match.groups ?? {};
    add(match.index);
    const end = match.index + match[0].length;
    if (span !== undefined) {
      const begun = grammar.spans.find((each) => each.open === span);
      const close = begun && closeOf(line, end, begun);
      add(close ?? line.length, begun?.role);
      if (close === undefined) open = begun;
    } else if (here !== undefined) {
      next = { close: word, role: "string", isWhole: true };
      add(end, "string");
    } else if (comment !== undefined) add(end, "comment");
    else if (key !== undefined) add(end, "key");
    else if (string !== undefined) add(end, "string");
    else if (number !== undefined) add(end, "number");
    else add(end, grammar.words.has(grammar.ignoreCase ? name.toLowerCase() : name) ? "keyword" : undefined);
  }
  add(line.length);
  return { pieces, open: open ?? next };
}

/** Return the end of a span from a place on; undefined when the line does not end it. */
function closeOf(line: string, from: number, { close, escapes }: Open): number | undefined {
  for (let at = from; at < line.length; at++) {
    if (escapes && line[at] === "\\") at++;
    else if (line.startsWith(close, at)) return at + close.length;
  }
  return undefined;
}
