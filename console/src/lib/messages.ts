/** Sentences that more than one page uses. Words are those of docs/glossary.md and of the command line. */
export const MESSAGES = {
  copied: "Copied",
  copyFailed: "The browser does not allow copying; select the text instead.",
  tryAgain: "Try again",
  clearFilter: "Clear the filter",
  nothingMatches: "Nothing matches the filter.",
  gone: "This does not exist, or it was deleted.",
  whoDeleted: "Without users and logins the server does not know who deleted it.",
  stale: "No connection to the server: what you see may be old.",
  newVersion: "The server has another version of the console.",
  reload: "Reload",
  chunkFailed: "A part of the console could not be loaded; the server may have another version now.",
} as const;
