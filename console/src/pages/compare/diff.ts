/** Which lines differ between two texts: Myers, "An O(ND) difference algorithm and its variations" (1986). Pure. */

/** A line of the comparison: its numbers (from 0) in the old and in the new text, -1 where it is not. */
export interface DiffLine {
  kind: "same" | "removed" | "added";
  old: number;
  now: number;
}

/** Differing lines up to which the shortest script is searched: its cost grows with their square. */
const MOST = 1_000;

/** Return the lines of both texts in order, with what differs. */
export function diffLines(old: readonly string[], now: readonly string[]): DiffLine[] {
  let head = 0;
  const least = Math.min(old.length, now.length);
  while (head < least && old[head] === now[head]) head++;
  let tail = 0;
  while (tail < least - head && old[old.length - 1 - tail] === now[now.length - 1 - tail]) tail++;
  const lines: DiffLine[] = [];
  for (let at = 0; at < head; at++) lines.push({ kind: "same", old: at, now: at });
  lines.push(...middleLines(old, now, head, old.length - tail, now.length - tail));
  for (let at = tail; at > 0; at--) lines.push({ kind: "same", old: old.length - at, now: now.length - at });
  return lines;
}

function middleLines(old: readonly string[], now: readonly string[], start: number, oldEnd: number, nowEnd: number): DiffLine[] {
  const traces = search(old, now, start, oldEnd, nowEnd);
  return traces ? walkBack(traces, start, oldEnd, nowEnd) : replaced(start, oldEnd, nowEnd);
}

/** Return the furthest points of each number of differences; undefined when there are more than MOST. */
function search(old: readonly string[], now: readonly string[], start: number, oldEnd: number, nowEnd: number): Int32Array[] | undefined {
  const n = oldEnd - start;
  const m = nowEnd - start;
  const most = Math.min(n + m, MOST);
  const size = most + 1;
  const furthest = new Int32Array(2 * size + 1);
  const traces: Int32Array[] = [];
  for (let d = 0; d <= most; d++) {
    for (let k = -d; k <= d; k += 2) {
      const down = k === -d || (k !== d && at(furthest, size + k - 1) < at(furthest, size + k + 1));
      let x = down ? at(furthest, size + k + 1) : at(furthest, size + k - 1) + 1;
      while (x < n && x - k < m && old[start + x] === now[start + x - k]) x++;
      furthest[size + k] = x;
      if (x >= n && x - k >= m) {
        traces.push(furthest.slice(size - d - 1, size + d + 2));
        return traces;
      }
    }
    traces.push(furthest.slice(size - d - 1, size + d + 2));
  }
  return undefined;
}

function walkBack(traces: Int32Array[], start: number, oldEnd: number, nowEnd: number): DiffLine[] {
  const lines: DiffLine[] = [];
  let x = oldEnd - start;
  let y = nowEnd - start;
  for (let d = traces.length - 1; d > 0; d--) {
    const before = traces[d - 1] ?? new Int32Array();
    const k = x - y;
    const point = (diagonal: number): number => (Math.abs(diagonal) > d - 1 ? -1 : at(before, d + diagonal));
    const down = k === -d || (k !== d && point(k - 1) < point(k + 1));
    const beforeK = down ? k + 1 : k - 1;
    const beforeX = point(beforeK);
    const beforeY = beforeX - beforeK;
    while (x > (down ? beforeX : beforeX + 1) && y > (down ? beforeY + 1 : beforeY)) lines.push({ kind: "same", old: start + --x, now: start + --y });
    if (down) lines.push({ kind: "added", old: -1, now: start + --y });
    else lines.push({ kind: "removed", old: start + --x, now: -1 });
  }
  while (x > 0 && y > 0) lines.push({ kind: "same", old: start + --x, now: start + --y });
  return lines.reverse();
}

/** Return all lines of a part as removed and added. */
function replaced(start: number, oldEnd: number, nowEnd: number): DiffLine[] {
  const lines: DiffLine[] = [];
  for (let at = start; at < oldEnd; at++) lines.push({ kind: "removed", old: at, now: -1 });
  for (let at = start; at < nowEnd; at++) lines.push({ kind: "added", old: -1, now: at });
  return lines;
}

function at(values: Int32Array, index: number): number {
  return values[index] ?? 0;
}

/** A row of a comparison: a line, two lines beside each other, or unchanged lines that are left out. */
export type DiffRow = { left: DiffLine | undefined; right: DiffLine | undefined } | { hidden: number; from: number };

/** Unchanged lines that are shown around changes. */
const CONTEXT = 3;

/**
 * Return the rows of a comparison.
 *
 * @param lines of diffLines.
 * @param split whether old and new stand beside each other; otherwise each line has a row.
 * @param whole whether unchanged lines far from changes are shown.
 */
export function diffRows(lines: readonly DiffLine[], split: boolean, whole: boolean): DiffRow[] {
  const near = new Uint8Array(lines.length);
  lines.forEach((line, index) => {
    if (line.kind !== "same") near.fill(1, Math.max(0, index - CONTEXT), index + CONTEXT + 1);
  });
  const rows: DiffRow[] = [];
  for (let index = 0; index < lines.length; ) {
    const line = lines[index];
    if (!line) break;
    if (!whole && near[index] === 0) {
      let end = index;
      while (end < lines.length && near[end] === 0) end++;
      rows.push({ hidden: end - index, from: index });
      index = end;
    } else if (line.kind === "same" || !split) {
      rows.push({ left: line.kind === "added" ? undefined : line, right: line.kind === "removed" ? undefined : line });
      index++;
    } else {
      let end = index;
      while (lines[end] && lines[end]?.kind !== "same") end++;
      const part = lines.slice(index, end);
      const removed = part.filter(({ kind }) => kind === "removed");
      const added = part.filter(({ kind }) => kind === "added");
      for (let number = 0; number < Math.max(removed.length, added.length); number++) rows.push({ left: removed[number], right: added[number] });
      index = end;
    }
  }
  return rows;
}
