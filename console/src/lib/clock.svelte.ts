/** The server's time as a reactive value that moves once a second, while something shows it and the stream is live. */
import { now } from "./time";

let current = $state(now());
let readers = 0;
let stopped = false;
let timer: ReturnType<typeof setInterval> | undefined;

/** Return the server's time; call it in a component that has called `useClock`. */
export function clock(): number {
  return current;
}

/** Keep the clock moving while a component is shown. Call it while the component is made. */
export function useClock(): void {
  $effect(() => {
    readers += 1;
    arrange();
    return () => {
      readers -= 1;
      arrange();
    };
  });
}

/** Stop or move the clock: without a connection to the server nobody knows whether things still run. */
export function stopClock(stop: boolean): void {
  stopped = stop;
  arrange();
}

function arrange(): void {
  const moves = readers > 0 && !stopped;
  if (moves && timer === undefined) {
    current = now();
    timer = setInterval(() => (current = now()), 1_000);
  } else if (!moves && timer !== undefined) {
    clearInterval(timer);
    timer = undefined;
  }
}
