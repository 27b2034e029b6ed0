/** Lanes of a graph of commits: in which column each commit stands, and which lines pass its row. Pure. */

export interface Line {
  /** Lane at the top and at the bottom of the row; the commit's own lane stands for its mark. */
  from: number;
  to: number;
  /** Whether it begins or ends at the commit of the row. */
  touches: "top" | "bottom" | "none";
}

export interface LaneRow {
  lane: number;
  lines: Line[];
}

/**
 * Return the rows of a graph.
 *
 * @param commits newest first: each before its parent.
 * @returns for each commit its lane and lines, and the number of lanes.
 */
export function lanesOf(commits: readonly { id: string; parent: string }[]): { rows: LaneRow[]; width: number } {
  /** Per lane the commit that its line leads to; empty: the lane is free. */
  let lanes: string[] = [];
  let width = 1;
  const rows = commits.map(({ id, parent }): LaneRow => {
    const found = lanes.indexOf(id);
    const lane = found >= 0 ? found : freeLane(lanes);
    const lines: Line[] = [];
    const next: string[] = [...lanes];
    for (const [at, target] of lanes.entries()) {
      if (target === "") continue;
      if (target === id) {
        lines.push({ from: at, to: lane, touches: "top" });
        next[at] = "";
      } else lines.push({ from: at, to: at, touches: "none" });
    }
    if (parent) {
      next[lane] = parent;
      lines.push({ from: lane, to: lane, touches: "bottom" });
    } else next[lane] = "";
    lanes = next;
    width = Math.max(width, lanes.length);
    return { lane, lines };
  });
  return { rows, width };
}

function freeLane(lanes: readonly string[]): number {
  const free = lanes.indexOf("");
  return free >= 0 ? free : lanes.length;
}
