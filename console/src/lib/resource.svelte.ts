/** What a page reads: loaded when what it depends on changes; the old value stays until the new one is there. */
import { type CallError, asCallError, isAbort } from "./call";
import { now } from "./time";

/** Milliseconds until a read is tried again that did not reach the server. */
const AGAIN = 2_000;

export interface Resource<T> {
  /** The newest value; undefined before the first one. */
  readonly value: T | undefined;
  /** Why the last read failed; undefined when it did not. */
  readonly error: CallError | undefined;
  readonly loading: boolean;
  /** When the value was read, on the server's clock. */
  readonly at: number;
  /** Read again. */
  reload(): void;
  /** Replace the value, as events do. */
  set(value: T): void;
}

/**
 * Return a resource. Call it while a component is made.
 *
 * @param load reads it. It runs again when reactive values change that it uses before its first `await`; the signal
 *   aborts the read that is not wanted any more. A read that did not reach the server is tried again.
 */
export function resource<T>(load: (signal: AbortSignal) => Promise<T>): Resource<T> {
  let value = $state.raw<T>();
  let error = $state.raw<CallError>();
  let loading = $state(true);
  let at = $state(0);
  let generation = $state(0);

  $effect(() => {
    void generation;
    const controller = new AbortController();
    let retry: ReturnType<typeof setTimeout> | undefined;
    loading = true;
    load(controller.signal).then(
      (result) => {
        if (controller.signal.aborted) return;
        value = result;
        error = undefined;
        loading = false;
        at = now();
      },
      (reason: unknown) => {
        if (controller.signal.aborted || isAbort(reason)) return;
        error = asCallError(reason);
        loading = false;
        if (error.code === "UNAVAILABLE") retry = setTimeout(() => (generation += 1), AGAIN);
      },
    );
    return () => {
      controller.abort();
      clearTimeout(retry);
    };
  });

  return {
    get value() {
      return value;
    },
    get error() {
      return error;
    },
    get loading() {
      return loading;
    },
    get at() {
      return at;
    },
    reload: () => {
      generation += 1;
    },
    set: (changed) => {
      value = changed;
      at = now();
    },
  };
}
