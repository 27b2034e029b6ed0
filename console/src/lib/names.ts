/** Names of users as text: they may hold anything. Pages show names through `visible` or `middle` only. */

/** Control characters, and those that change the direction of text or have no width. */
const HIDDEN = /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/g;
/** Names are up to 4,000 bytes long; more than this is never useful on screen. */
const MOST = 400;
const ID_DIGITS = 8;

/** Return a name with a symbol for each character that cannot be seen, or that hides others. */
export function visible(name: string): string {
  return name.replace(HIDDEN, symbol);
}

/** Return a text of several lines with a symbol for each other character that cannot be seen, or that hides others. */
export function visibleLines(text: string): string {
  return text.replace(HIDDEN, (character) => (character === "\n" || character === "\t" ? character : symbol(character)));
}

function symbol(character: string): string {
  const code = character.charCodeAt(0);
  if (code < 0x20) return String.fromCharCode(0x2400 + code);
  if (code === 0x7f) return "\u2421";
  return `‹${code.toString(16).toUpperCase().padStart(4, "0")}›`;
}

/** Return a name of at most `length` characters, cut in the middle, where file names differ least. */
export function middle(name: string, length = MOST): string {
  const characters = Array.from(visible(name));
  if (characters.length <= length) return characters.join("");
  const end = Math.floor((length - 1) / 2);
  return `${characters.slice(0, length - 1 - end).join("")}…${characters.slice(-end).join("")}`;
}

/** Return the first digits of an id, which suffice to recognise it. */
export function shortId(id: string): string {
  return visible(id.slice(0, ID_DIGITS));
}

/** Return the last name of a path; a folder keeps its slash. */
export function baseName(path: string): string {
  const end = path.endsWith("/") ? path.length - 1 : path.length;
  return path.slice(path.lastIndexOf("/", end - 1) + 1);
}
