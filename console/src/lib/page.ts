/** What the parts of a page tell its frame. */
import { getContext, setContext } from "svelte";

const KEY = Symbol("page");

/** State of a page that its parts change. */
export interface PageState {
  /** Whether what the page is about does not exist. */
  gone: boolean;
}

/** Give the state to all that is made inside the component. Call it while that is made. */
export function providePage(state: PageState): void {
  setContext(KEY, state);
}

/** Return the state of the page around; undefined outside of any. Call it while a component is made. */
export function pageAround(): PageState | undefined {
  return getContext<PageState | undefined>(KEY);
}
