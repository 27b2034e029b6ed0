/** Commands of the CLI as text, for "copy as command". */

/** Return a command line with its words quoted as a shell needs it; undefined words are left out. */
export function command(...words: (string | number | undefined)[]): string {
  return words
    .filter((word) => word !== undefined)
    .map((word) => quoted(String(word)))
    .join(" ");
}

function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
