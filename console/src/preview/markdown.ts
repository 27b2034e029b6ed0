/**
 * Markdown as a tree of elements. No HTML text is made: the tree has a few kinds of elements and text, which pages draw
 * as elements, so that nothing in a file can become markup. HTML in the file stays text, images of other sites are not
 * loaded, and links lead to http, https and mailto only.
 */
import MarkdownIt from "markdown-it";
import type { Token } from "markdown-it";

export const TAGS = ["p", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "li", "blockquote", "pre", "code", "em", "strong", "s", "hr", "br", "table", "thead", "tbody", "tr", "th", "td", "a"] as const;
export type Tag = (typeof TAGS)[number];

export type Part = string | Element;
export interface Element {
  tag: Tag;
  /** Of a link. */
  href?: string;
  parts: Part[];
}

/** Headings of a document stand below that of the page. */
const BELOW: Record<string, Tag> = { h1: "h2", h2: "h3", h3: "h4", h4: "h5", h5: "h6" };
/** Elements of a document that are drawn at most. */
const MOST = 5_000;
const parser = new MarkdownIt({ html: false, linkify: false, maxNesting: 50 });

/** Return the elements of a document, and whether it has more than are drawn. */
export function parseMarkdown(text: string): { parts: Part[]; isCut: boolean } {
  const root: Part[] = [];
  const stack: Part[][] = [root];
  let elements = 0;
  let isCut = false;

  function walk(tokens: Token[]): void {
    for (const token of tokens) {
      if (elements > MOST) {
        isCut = true;
        return;
      }
      const top = stack.at(-1) ?? root;
      if (token.type === "inline") walk(token.children ?? []);
      else if (token.nesting === 1) {
        const element = open(token);
        elements++;
        top.push(element);
        stack.push(element.parts);
      } else if (token.nesting === -1) stack.pop();
      else {
        elements++;
        top.push(...alone(token));
      }
    }
  }
  walk(parser.parse(text, {}));
  return { parts: root, isCut };
}

function open(token: Token): Element {
  const tag = TAGS.find((name) => name === (BELOW[token.tag] ?? token.tag)) ?? "p";
  const href = tag === "a" ? safeLink(String(token.attrGet("href") ?? "")) : undefined;
  return href === undefined ? { tag: tag === "a" ? "em" : tag, parts: [] } : { tag, href, parts: [] };
}

function alone(token: Token): Part[] {
  switch (token.type) {
    case "fence":
    case "code_block":
      return [{ tag: "pre", parts: [token.content] }];
    case "code_inline":
      return [{ tag: "code", parts: [token.content] }];
    case "hr":
      return [{ tag: "hr", parts: [] }];
    case "hardbreak":
      return [{ tag: "br", parts: [] }];
    case "softbreak":
      return ["\n"];
    case "image":
      return [{ tag: "em", parts: [`[image: ${token.content || "without a text"}]`] }];
    default:
      return token.content ? [token.content] : [];
  }
}

/** Return an address that may be a link; undefined for others, such as javascript:. */
function safeLink(address: string): string | undefined {
  return /^(https?:|mailto:)/i.test(address) ? address : undefined;
}
