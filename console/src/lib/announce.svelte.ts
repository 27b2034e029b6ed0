/** What screen readers announce: politely at most one sentence per 5 s, the newest; failures at once. */
const PACE = 5_000;

let polite = $state("");
let assertive = $state("");
let next: string | undefined;
let waiting = false;

export const announcements = {
  get polite(): string {
    return polite;
  },
  get assertive(): string {
    return assertive;
  },
};

/** Announce a change, such as "job 1a2b: 312 of 1,000 datums, 2 failed". */
export function announce(sentence: string): void {
  if (waiting) {
    next = sentence;
    return;
  }
  polite = sentence;
  next = undefined;
  waiting = true;
  setTimeout(() => {
    waiting = false;
    if (next !== undefined) announce(next);
  }, PACE);
}

/** Announce a failure at once. */
export function alarm(sentence: string): void {
  assertive = sentence;
}
