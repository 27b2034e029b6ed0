/**
 * Named views: the address of a list with its filters, kept in this browser. A view restores an address and nothing
 * else, so there is no second state of a page.
 */
export interface SavedView {
  name: string;
  /** The query, with its question mark. */
  query: string;
}

/** More than this is a list that nobody reads. */
const MOST = 50;

/** Return the views of a kind of page, such as "jobs". */
export function savedViews(page: string): SavedView[] {
  try {
    const stored: unknown = JSON.parse(localStorage.getItem(keyOf(page)) ?? "[]");
    return Array.isArray(stored) ? stored.filter(isView) : [];
  } catch {
    return [];
  }
}

/** Keep a view; one with its name is replaced. Returns the views. */
export function saveView(page: string, view: SavedView): SavedView[] {
  return store(page, [...savedViews(page).filter((other) => other.name !== view.name), view].slice(-MOST));
}

/** Forget a view. Returns the others. */
export function removeView(page: string, name: string): SavedView[] {
  return store(page, savedViews(page).filter((view) => view.name !== name));
}

function store(page: string, views: SavedView[]): SavedView[] {
  try {
    localStorage.setItem(keyOf(page), JSON.stringify(views));
  } catch {
    // The browser's store is full or forbidden: then the view lasts as long as the page.
  }
  return views;
}

function keyOf(page: string): string {
  return `trunkline-views ${page}`;
}

function isView(value: unknown): value is SavedView {
  return typeof value === "object" && value !== null && "name" in value && "query" in value && typeof value.name === "string" && typeof value.query === "string";
}
