/**
 * Lines of logs as parts with a style. Of the sequences that terminals understand only colours and weights are taken
 * (an allow-list); all others are left out. Pure.
 */

export interface Part {
  text: string;
  /** Classes of the line's styles; empty for plain text. */
  style: string;
  /** What the reader looks for. */
  isHit?: boolean;
}

/** Escape sequences: CSI, OSC, and other short ones. */
const SEQUENCE = /\u001b\[([0-9;:]*)([@-~])|\u001b\][^\u0007\u001b]*(?:\u0007|\u001b\\)?|\u001b[ -/]*[0-~]/g;
/** Classes by the number of a colour: those of the theme, because a terminal's own are not legible on every ground. */
const COLOURS: Record<number, string> = { 0: "muted", 1: "bad", 2: "good", 3: "wait", 4: "active", 5: "active", 6: "good", 7: "" };

interface Style {
  bold: boolean;
  faint: boolean;
  underlined: boolean;
  colour: string;
}
const PLAIN: Style = { bold: false, faint: false, underlined: false, colour: "" };

/** Return a line as parts. */
export function partsOf(line: string): Part[] {
  const parts: Part[] = [];
  let style = PLAIN;
  let at = 0;
  for (const match of line.matchAll(SEQUENCE)) {
    if (match.index > at) parts.push({ text: line.slice(at, match.index), style: classes(style) });
    at = match.index + match[0].length;
    if (match[2] === "m") style = changed(style, match[1] ?? "");
  }
  if (at < line.length) parts.push({ text: line.slice(at), style: classes(style) });
  return parts;
}

function changed(style: Style, codes: string): Style {
  const numbers = codes.split(/[;:]/).map(Number);
  let next = style;
  for (let at = 0; at < numbers.length; at++) {
    const code = numbers[at] ?? 0;
    if (code === 38 || code === 48) at += numbers[at + 1] === 5 ? 2 : 4; // colours of a palette: passed over
    else if (code === 0) next = PLAIN;
    else if (code === 1) next = { ...next, bold: true };
    else if (code === 2) next = { ...next, faint: true };
    else if (code === 4) next = { ...next, underlined: true };
    else if (code === 22) next = { ...next, bold: false, faint: false };
    else if (code === 24) next = { ...next, underlined: false };
    else if (code >= 30 && code <= 37) next = { ...next, colour: COLOURS[code - 30] ?? "" };
    else if (code >= 90 && code <= 97) next = { ...next, colour: COLOURS[code - 90] ?? "" };
    else if (code === 39) next = { ...next, colour: "" };
  }
  return next;
}

function classes(style: Style): string {
  const { bold, faint, underlined, colour } = style;
  return [bold && "bold", faint && "faint", underlined && "underlined", colour && `role-${colour}`].filter(Boolean).join(" ");
}

/**
 * Return parts with what a reader looks for as parts of their own.
 *
 * @param parts of a line.
 * @param pattern global; undefined: nothing is looked for.
 */
export function withHits(parts: readonly Part[], pattern: RegExp | undefined): Part[] {
  if (!pattern) return [...parts];
  const marked: Part[] = [];
  for (const part of parts) {
    let at = 0;
    for (const match of part.text.matchAll(pattern)) {
      if (match[0] === "") continue;
      if (match.index > at) marked.push({ ...part, text: part.text.slice(at, match.index) });
      marked.push({ ...part, text: match[0], isHit: true });
      at = match.index + match[0].length;
    }
    if (at < part.text.length) marked.push({ ...part, text: part.text.slice(at) });
  }
  return marked;
}

/** Return what marks hits in lines; undefined without a text, or for an expression that this browser does not know. */
export function patternOf(text: string, regex: boolean, matchCase: boolean): RegExp | undefined {
  if (!text) return undefined;
  try {
    return new RegExp(regex ? text : text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"), matchCase ? "gu" : "giu");
  } catch {
    return undefined;
  }
}
