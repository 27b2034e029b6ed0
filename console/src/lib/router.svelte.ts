/** The address of the page: the only state of views. Links are plain `<a href>`; this module catches their clicks. */
import { BASE, type Match, type Query, match, queryText } from "./routes";

interface Place {
  path: string;
  match: Match | undefined;
  query: URLSearchParams;
  search: string;
}

let place = $state.raw<Place>(read());

/** What is shown. Its members are read in components and effects like other reactive values. */
export const router = {
  get path(): string {
    return place.path;
  },
  get match(): Match | undefined {
    return place.match;
  },
  /** A name in the path; empty when the route has none of this kind. */
  param(name: string): string {
    return place.match?.params[name] ?? "";
  },
  /** A parameter of the query; empty when it is not there. */
  query(name: string): string {
    return place.query.get(name) ?? "";
  },
  /** The whole query with its question mark; empty without parameters. */
  get search(): string {
    return place.search;
  },
  /** All values of a parameter that may occur several times. */
  queryAll(name: string): string[] {
    return place.query.getAll(name);
  },
};

/** Go to an address below /ui/. */
export function go(address: string): void {
  if (address !== location.pathname + location.search + location.hash) history.pushState(null, "", address);
  update();
  if (!location.hash) scrollTo(0, 0);
}

/**
 * Change parameters of the page's address; others stay.
 *
 * @param changes new values; empty or undefined removes the parameter.
 * @param replace whether the browser's "back" skips the present address, as for what is typed or dragged.
 */
export function setQuery(changes: Query, replace = false): void {
  const query: Query = {};
  for (const key of new Set(place.query.keys())) query[key] = place.query.getAll(key);
  const address = place.path + queryText({ ...query, ...changes });
  if (address === location.pathname + location.search) return;
  if (replace) history.replaceState(history.state, "", address);
  else history.pushState(null, "", address);
  update();
}

/** Begin to follow clicks on links and the browser's buttons. */
export function startRouter(): void {
  addEventListener("popstate", update);
  document.addEventListener("click", (event) => {
    const anchor = event.target instanceof Element ? event.target.closest("a") : null;
    if (!anchor || event.defaultPrevented || event.button !== 0 || anchor.target || anchor.hasAttribute("download")) return;
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    if (anchor.origin !== location.origin || !`${anchor.pathname}/`.startsWith(`${BASE}/`)) return;
    event.preventDefault();
    go(anchor.pathname + anchor.search + anchor.hash);
  });
}

function update(): void {
  place = read();
}

function read(): Place {
  if (typeof location === "undefined") return { path: "", match: undefined, query: new URLSearchParams(), search: "" };
  return { path: location.pathname, match: match(location.pathname), query: new URLSearchParams(location.search), search: location.search };
}
