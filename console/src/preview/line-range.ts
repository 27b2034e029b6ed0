/** Addresses of lines: #L10 and #L10-L20, counted from 1. */

export interface LineRange {
  first: number;
  last: number;
}

/** Return the lines that an address names; undefined when it names none. */
export function lineRange(hash: string): LineRange | undefined {
  const match = /^#L(\d{1,9})(?:-L?(\d{1,9}))?$/.exec(hash);
  if (!match) return undefined;
  const first = Number(match[1]);
  const last = Number(match[2] ?? match[1]);
  return { first: Math.min(first, last), last: Math.max(first, last) };
}

/** Return the address of lines. */
export function lineHash({ first, last }: LineRange): string {
  return first === last ? `#L${first}` : `#L${first}-L${last}`;
}
