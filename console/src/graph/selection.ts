/**
 * The language that selects nodes of a graph: in the filter of the graph's page, and in its address as `q`.
 *
 *     resize                 the node of this name; without one, those whose names contain it
 *     "resize"  re*          exactly this name; a pattern, `*` stands for anything
 *     +resize  resize+       with everything upstream; downstream
 *     2+resize+1             with two steps upstream and one downstream
 *     state:failure kind:repo work:spout group:train
 *     a and (b or not c)     in this order of precedence: not, and, or
 *     roots(a) sinks(a)      those of a without inputs in it; without outputs in it
 *     *                      everything
 *
 * `parse` reads a text and `select` evaluates it; both are pure. Words in any case; `and` may not be left out.
 */

/** What a selection can ask of a node. */
export interface Selectable {
  name: string;
  /** By key of an attribute, in lower case: state, kind, work, group. */
  attributes: Readonly<Record<string, string>>;
  /** Indexes of the nodes before and after it. */
  inputs: readonly number[];
  outputs: readonly number[];
}

export type Expression =
  | { kind: "all" }
  | { kind: "name"; text: string; exact: boolean }
  | { kind: "attribute"; key: string; text: string }
  | { kind: "walk"; of: Expression; up: number; down: number }
  | { kind: "ends"; of: Expression; roots: boolean }
  | { kind: "not"; of: Expression }
  | { kind: "and" | "or"; left: Expression; right: Expression };

export const ATTRIBUTES = ["state", "kind", "work", "group"] as const;

/** A text that is not a selection. */
export class SelectionError extends Error {
  /**
   * @param message What is wrong, and what is expected.
   * @param at Index of the first character that is wrong.
   */
  constructor(
    message: string,
    readonly at: number,
  ) {
    super(message);
  }
}

interface Token {
  type: "word" | "quoted" | "+" | "(" | ")" | ":" | "end";
  text: string;
  at: number;
  /** Whether blanks are before it: `a +b` is not `a+ b`. */
  apart: boolean;
}

const TOKEN = /(\s*)(?:"((?:[^"\\]|\\.)*)"|([+():])|([^\s+():"]+))/y;

function tokens(text: string): Token[] {
  const result: Token[] = [];
  TOKEN.lastIndex = 0;
  const end = text.trimEnd().length;
  while (TOKEN.lastIndex < end) {
    const from = TOKEN.lastIndex;
    const found = TOKEN.exec(text);
    if (!found) {
      const at = text.indexOf('"', from);
      throw new SelectionError('A quoted name has no closing ".', Math.max(at, from));
    }
    const [, blank = "", quoted, sign, word] = found;
    const at = from + blank.length;
    const apart = blank !== "";
    if (quoted !== undefined) result.push({ type: "quoted", text: quoted.replace(/\\(.)/g, "$1"), at, apart });
    else if (sign !== undefined) result.push({ type: sign as Token["type"], text: sign, at, apart });
    else result.push({ type: "word", text: word ?? "", at, apart });
  }
  result.push({ type: "end", text: "", at: text.length, apart: true });
  return result;
}

/** Parentheses and `not` inside each other: nobody writes more, and more would exhaust the stack. */
const MOST_NESTED = 100;

const RESERVED = /^(?:and|or|not)$/i;

class Parser {
  #at = 0;
  #nested = 0;
  constructor(readonly tokens: Token[]) {}

  whole(): Expression {
    const expression = this.or();
    const rest = this.#token();
    if (rest.type !== "end") throw new SelectionError(`"and" or "or" is expected before "${rest.text}".`, rest.at);
    return expression;
  }

  or(): Expression {
    let left = this.and();
    while (this.#takeWord("or")) left = { kind: "or", left, right: this.and() };
    return left;
  }

  and(): Expression {
    let left = this.not();
    while (this.#takeWord("and")) left = { kind: "and", left, right: this.not() };
    return left;
  }

  not(): Expression {
    if (!this.#takeWord("not")) return this.walk();
    return { kind: "not", of: this.#inside(() => this.not()) };
  }

  walk(): Expression {
    const up = this.#before();
    const of = this.atom();
    const down = this.#after();
    return up || down ? { kind: "walk", of, up, down } : of;
  }

  atom(): Expression {
    const token = this.#token();
    if (token.type === "(") {
      this.#at++;
      return this.#inside(() => this.#closed(token));
    }
    if (token.type === "quoted") {
      this.#at++;
      return { kind: "name", text: token.text, exact: true };
    }
    if (token.type !== "word" || RESERVED.test(token.text)) {
      const what = token.type === "end" ? "at the end" : `before "${token.text}"`;
      throw new SelectionError(`A name is expected ${what}.`, token.at);
    }
    this.#at++;
    const next = this.#token();
    if (next.type === "(" && !next.apart && /^(?:roots|sinks)$/i.test(token.text)) {
      this.#at++;
      const empty = this.#token().type === ")";
      if (empty) this.#at++;
      const of: Expression = empty ? { kind: "all" } : this.#inside(() => this.#closed(next));
      return { kind: "ends", of, roots: /^roots$/i.test(token.text) };
    }
    if (next.type === ":" && !next.apart) return this.#attribute(token);
    return token.text === "*" ? { kind: "all" } : { kind: "name", text: token.text, exact: false };
  }

  #attribute(key: Token): Expression {
    const name = key.text.toLowerCase();
    if (![...ATTRIBUTES, "name"].includes(name)) {
      throw new SelectionError(`"${key.text}" is not an attribute; use ${ATTRIBUTES.join(", ")} or name.`, key.at);
    }
    this.#at++;
    const value = this.#token();
    if (value.type !== "word" && value.type !== "quoted") throw new SelectionError(`A value is expected after "${key.text}:".`, value.at);
    this.#at++;
    if (name === "name") return { kind: "name", text: value.text, exact: true };
    return { kind: "attribute", key: name, text: value.text };
  }

  #closed(opening: Token): Expression {
    const expression = this.or();
    const token = this.#token();
    if (token.type !== ")") throw new SelectionError('A ")" is missing for this "(".', opening.at);
    this.#at++;
    return expression;
  }

  #before(): number {
    const token = this.#token();
    if (token.type === "+") {
      this.#at++;
      return Infinity;
    }
    const next = this.tokens[this.#at + 1];
    if (token.type !== "word" || !/^\d+$/.test(token.text) || next?.type !== "+" || next.apart) return 0;
    // "2+a" walks; "2+" is a node that is named 2, with what is downstream.
    const operand = this.tokens[this.#at + 2];
    if (!operand || operand.apart || operand.type === "end" || operand.type === ")") return 0;
    this.#at += 2;
    return Number(token.text);
  }

  #after(): number {
    if (this.#token().type !== "+" || this.#token().apart) return 0;
    this.#at++;
    const token = this.#token();
    if (token.type !== "word" || token.apart || !/^\d+$/.test(token.text)) return Infinity;
    this.#at++;
    return Number(token.text);
  }

  #inside(read: () => Expression): Expression {
    if (++this.#nested > MOST_NESTED) throw new SelectionError(`More than ${MOST_NESTED} levels of "(" and "not".`, this.#token().at);
    const expression = read();
    this.#nested--;
    return expression;
  }

  #token(): Token {
    return this.tokens[this.#at]!;
  }

  #takeWord(word: string): boolean {
    const token = this.#token();
    if (token.type !== "word" || token.text.toLowerCase() !== word) return false;
    this.#at++;
    return true;
  }
}

/**
 * Reads a selection.
 *
 * @throws {SelectionError} when the text is not one.
 */
export function parse(text: string): Expression {
  if (text.trim() === "") return { kind: "all" };
  return new Parser(tokens(text)).whole();
}

/** The indexes of the nodes that an expression selects. */
export function select(expression: Expression, nodes: readonly Selectable[]): Set<number> {
  switch (expression.kind) {
    case "all":
      return new Set(nodes.keys());
    case "name":
      return byName(expression.text, expression.exact, nodes);
    case "attribute":
      return filter(nodes, (node) => matches(expression.text, node.attributes[expression.key] ?? ""));
    case "walk": {
      const start = select(expression.of, nodes);
      const upstream = walk(start, expression.up, (node) => nodes[node]?.inputs ?? []);
      return new Set([...upstream, ...walk(start, expression.down, (node) => nodes[node]?.outputs ?? [])]);
    }
    case "ends": {
      const within = select(expression.of, nodes);
      const side = expression.roots ? "inputs" : "outputs";
      return new Set([...within].filter((node) => !nodes[node]?.[side].some((other) => within.has(other))));
    }
    case "not": {
      const without = select(expression.of, nodes);
      return new Set([...nodes.keys()].filter((node) => !without.has(node)));
    }
    case "and": {
      const right = select(expression.right, nodes);
      return new Set([...select(expression.left, nodes)].filter((node) => right.has(node)));
    }
    case "or":
      return new Set([...select(expression.left, nodes), ...select(expression.right, nodes)]);
  }
}

/**
 * The nodes that can be reached.
 *
 * @param start Where the walk begins; part of the result.
 * @param steps At most.
 * @param next The neighbours of a node.
 */
export function walk(start: Iterable<number>, steps: number, next: (node: number) => readonly number[]): Set<number> {
  const reached = new Set(start);
  let edge = [...reached];
  for (let step = 0; step < steps && edge.length > 0; step++) {
    const further: number[] = [];
    for (const node of edge) {
      for (const other of next(node)) {
        if (reached.has(other)) continue;
        reached.add(other);
        further.push(other);
      }
    }
    edge = further;
  }
  return reached;
}

function byName(text: string, exact: boolean, nodes: readonly Selectable[]): Set<number> {
  const named = filter(nodes, (node) => matches(text, node.name));
  if (exact || named.size > 0 || text.includes("*")) return named;
  const part = text.toLowerCase();
  return filter(nodes, (node) => node.name.toLowerCase().includes(part));
}

function filter(nodes: readonly Selectable[], test: (node: Selectable) => boolean): Set<number> {
  return new Set([...nodes.keys()].filter((node) => test(nodes[node]!)));
}

/** Whether a pattern with stars matches a whole text in any case, in time that grows with their product at most. */
function matches(pattern: string, text: string): boolean {
  const wanted = pattern.toLowerCase();
  const name = text.toLowerCase();
  let at = 0;
  let star = -1;
  let retry = 0;
  let next = 0;
  while (at < name.length) {
    if (wanted[next] === "*") {
      star = next++;
      retry = at;
    } else if (wanted[next] === name[at]) {
      next++;
      at++;
    } else if (star >= 0) {
      next = star + 1;
      at = ++retry;
    } else return false;
  }
  while (wanted[next] === "*") next++;
  return next === wanted.length;
}

/** A name as a word of the language: quoted when it has to be. */
export function word(name: string): string {
  const plain = /^[^\s+():"*\\]+$/.test(name) && !/^(?:and|or|not|\d+)$/i.test(name);
  return plain ? name : `"${name.replace(/[\\"]/g, "\\$&")}"`;
}
