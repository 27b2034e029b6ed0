/**
 * Maps the scroll bar of a browser to the rows of a long list.
 *
 * An element can be about 33.5 million pixels high in Chrome and half as high in Firefox, and a
 * zoom of 400 % takes a quarter of that. A longer list gets a scroll range of MAX_RANGE pixels:
 * a large move of the bar, as by dragging it, goes to the same share of the list; a small one, as
 * by a wheel or a finger, moves the rows by its own pixels. After small moves the bar is not quite
 * at its share any more. `anchor` puts it back when scrolling has ended.
 */

/** Pixels that every browser can scroll at a zoom of 400 %. */
export const MAX_RANGE = 8_000_000;

/** The measures of a list, in CSS pixels. */
export interface Geometry {
  /** Number of rows. */
  count: number;
  rowHeight: number;
  /** Height of the part that is visible. */
  viewport: number;
}

/** Where a list is scrolled to. */
export interface ScrollState {
  /** Pixels of rows above the visible part. */
  position: number;
  /** scrollTop of the element: the same as position in lists that are not scaled. */
  bar: number;
}

/** First and last index that are to be drawn; last is below first in an empty list. */
export interface Range {
  first: number;
  last: number;
}

/** Height of the element that is scrolled. */
export function scrollRange(list: Geometry): number {
  return Math.min(list.count * list.rowHeight, MAX_RANGE);
}

/** The largest position: the last row stands at the lower edge. */
export function endOf(list: Geometry): number {
  return Math.max(0, list.count * list.rowHeight - list.viewport);
}

function barEnd(list: Geometry): number {
  return Math.max(0, scrollRange(list) - list.viewport);
}

function within(value: number, end: number): number {
  return Math.min(Math.max(value, 0), end);
}

/** The state with the bar at the share of the list that the position is at. */
export function anchor(position: number, list: Geometry): ScrollState {
  const end = endOf(list);
  const to = within(position, end);
  return { position: to, bar: end > 0 ? (to / end) * barEnd(list) : 0 };
}

/**
 * The state after the browser has moved the bar.
 *
 * @param before The state before.
 * @param bar The new scrollTop.
 * @param list The measures of the list.
 */
export function moveBar(before: ScrollState, bar: number, list: Geometry): ScrollState {
  const end = endOf(list);
  if (end === barEnd(list)) return { position: within(bar, end), bar };
  const step = bar - before.bar;
  const atEdge = bar <= 0 || bar >= barEnd(list);
  // One pixel of a scaled bar on screen is thousands of pixels of its range, so that a drag is
  // never as small as this. A jump by key to an edge is as large as a drag.
  if (Math.abs(step) <= 2 * list.viewport) {
    const position = within(before.position + step, end);
    if (!atEdge) return { position, bar };
    // The bar has no room to go on: give it room, unless the list ends here too.
    if (bar <= 0) return anchor(position < list.viewport ? 0 : position, list);
    return anchor(end - position < list.viewport ? end : position, list);
  }
  return { position: within((bar / barEnd(list)) * end, end), bar };
}

/**
 * The rows to draw.
 *
 * @param position Pixels above the visible part.
 * @param list The measures of the list.
 * @param margin Rows to draw above and below the visible part.
 */
export function visibleRows(position: number, list: Geometry, margin = 0): Range {
  const first = Math.floor(position / list.rowHeight) - margin;
  const last = Math.ceil((position + list.viewport) / list.rowHeight) - 1 + margin;
  return { first: Math.max(0, first), last: Math.min(list.count - 1, last) };
}

/** Where a row is put by `positionOf`; `nearest` moves as little as shows it whole. */
export type Place = "start" | "center" | "nearest";

/**
 * The position that shows a row.
 *
 * @param index Of the row.
 * @param place Where in the visible part.
 * @param position The position now.
 * @param list The measures of the list.
 */
export function positionOf(index: number, place: Place, position: number, list: Geometry): number {
  const top = index * list.rowHeight;
  const lowest = top + list.rowHeight - list.viewport;
  if (place === "start") return within(top, endOf(list));
  if (place === "center") return within((top + lowest) / 2, endOf(list));
  // In a part lower than a row, the upper edge counts.
  return within(Math.min(Math.max(position, lowest), top), endOf(list));
}
