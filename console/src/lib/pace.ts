/** Calls a function at most once in a while, however often it is asked for. */

/**
 * Return a function that runs `run` at once, and when it is called again within `seconds`, once more at their end.
 *
 * @param run what to do.
 * @param seconds between two runs.
 */
export function paced(run: () => void, seconds: number): () => void {
  let last = -Infinity;
  let timer: ReturnType<typeof setTimeout> | undefined;
  return () => {
    if (timer !== undefined) return;
    const wait = Math.max(0, last + seconds * 1_000 - performance.now());
    timer = setTimeout(() => {
      timer = undefined;
      last = performance.now();
      run();
    }, wait);
  };
}
