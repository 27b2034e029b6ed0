/** What a comparison compares: two commits of a repo, and a folder or file in them. */
import { call } from "@/lib/call";
import { int } from "@/lib/numbers";
import type { FolderEntry } from "@/lib/pfs";
import { fileLink, link } from "@/lib/routes";
import type { PreviewFile } from "@/preview/read";

export interface Sides {
  project: string;
  repo: string;
  /** Branches, ids of commits, or their ancestors, such as master^. */
  old: string;
  now: string;
  /** Folders end with a slash. */
  path: string;
}

export type Change = { name: string; folder: boolean; change: string };

/** Return the commits of an address such as A...B. */
export function refsOf(range: string): { old: string; now: string } {
  const [old = "", now = ""] = range.split("...");
  return { old, now };
}

/** Return the address of the comparison of another path. */
export function compareLink({ project, repo, old, now }: Sides, path: string): string {
  return link("compare", { project, repo, range: `${old}...${now}`, path });
}

/** Read what differs in a folder. */
export function readChanges(sides: Sides, folder: string, pageToken: string, number: number, signal?: AbortSignal) {
  const { project, repo, old, now } = sides;
  const request = { old: { project, repo, ref: old }, new: { project, repo, ref: now }, path: folder, pageToken, number };
  return call("trunkline.console.v1.Console/CompareFolders", request, signal);
}

export interface Side {
  commit: string;
  entry: FolderEntry | undefined;
  file: PreviewFile | undefined;
}

/** Read what one commit has at the path of a file. */
export async function readSide({ project, repo, path }: Sides, ref: string, signal: AbortSignal): Promise<Side> {
  const folder = path.slice(0, path.lastIndexOf("/") + 1);
  const name = path.slice(folder.length);
  let page;
  try {
    page = await call("trunkline.console.v1.Console/ListFolder", { tree: { project, repo, ref }, path: folder, fromName: name, number: 1 }, signal);
  } catch (error) {
    // The folder may be in one commit only.
    if (error instanceof Error && "code" in error && error.code === "NOT_FOUND" && folder !== "/") return { commit: "", entry: undefined, file: undefined };
    throw error;
  }
  const entry = page.entries[0]?.name === name && !page.entries[0].folder ? page.entries[0] : undefined;
  const file = entry && { address: fileLink(project, repo, page.commitId, path), path, size: int(entry.sizeBytes) };
  return { commit: page.commitId, entry, file };
}
