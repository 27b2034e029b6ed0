/** Where a page of files stands. */
import { link } from "@/lib/routes";
import { isCommitId, repoWord } from "@/lib/pfs";
import { shortId } from "@/lib/names";

export interface Place {
  project: string;
  repo: string;
  /** Name of a branch, or id of a commit. */
  ref: string;
  /** Folders end with a slash. */
  path: string;
}

/** Return the address of another path in the same commit. */
export function treeLink(place: Place, path = place.path, ref = place.ref): string {
  return link("tree", { project: place.project, repo: place.repo, ref, path });
}

/** Return where a page stands: project, repo, commit and the folders above. */
export function crumbs(place: Place): { text: string; href: string }[] {
  const { project, repo, ref, path } = place;
  const parts = path.split("/").slice(1, -1);
  if (path.endsWith("/")) parts.pop();
  const above = parts.map((text, at) => ({ text, href: treeLink(place, `/${parts.slice(0, at + 1).join("/")}/`) }));
  return [
    { text: project, href: link("dag", { project }) },
    { text: "repos", href: link("repos", { project }) },
    { text: repo, href: link("repo", { project, repo }) },
    ...(path === "/" ? [] : [{ text: isCommitId(ref) ? shortId(ref) : ref, href: treeLink(place, "/") }]),
    ...above,
  ];
}

/** Return a file or folder as the CLI names it. */
export function fileWord({ project, repo, ref, path }: Place): string {
  return `${repoWord(project, repo)}@${ref}:${path}`;
}
