/** Messages of the API about repos, branches, commits and files, made of their names. */
import type { Methods, pfs } from "./api";
import { CallError } from "./call";

type Repo = { name: string; type: string; project: { name: string } };

/** Return the message that names a repo; a type such as "meta" may stand behind its name: edges.meta. */
export function repoOf(project: string, repo: string): Repo {
  const [name = "", type = "user"] = repo.split(".");
  return { name, type, project: { name: project } };
}

/** Return the message that names a branch. */
export function branchOf(project: string, repo: string, name: string): { repo: Repo; name: string } {
  return { repo: repoOf(project, repo), name };
}

/** Whether a text is the id of a commit rather than the name of a branch. */
export function isCommitId(ref: string): boolean {
  return /^[0-9a-f]{12}4[0-9a-f]{19}$/.test(ref);
}

/** Return the message that names a commit, by its id or as the head of a branch. */
export function commitOf(project: string, repo: string, ref: string): { repo: Repo; id: string; branch: { repo: Repo; name: string } | null } {
  return isCommitId(ref)
    ? { repo: repoOf(project, repo), id: ref, branch: null }
    : { repo: repoOf(project, repo), id: "", branch: branchOf(project, repo, ref) };
}

/** Return a repo as commands of the CLI take it: without the default project. */
export function repoWord(project: string, repo: string): string {
  return project === "default" ? repo : `${project}/${repo}`;
}

/** Return the state of a commit as lib/states.ts names it. */
export function commitState(info: pfs.CommitInfo): string {
  if (info.error) return "ERROR";
  if (info.finished) return "FINISHED";
  return info.finishing ? "FINISHING" : "STARTED";
}

/** Whether a commit was made by a user; others were made by pipelines. */
export function isByUser(info: pfs.CommitInfo): boolean {
  return info.origin?.kind === "USER";
}

/** The bytes of a commit, exact once they are known. */
export function commitSize(info: pfs.CommitInfo): string {
  return info.details?.sizeBytes ?? info.sizeBytesUpperBound;
}

export type FolderEntry = Methods["trunkline.console.v1.Console/ListFolder"]["answer"]["entries"][number];

/**
 * Put a file, as a commit of its own or into an open commit.
 *
 * @param address of lib/routes.fileLink.
 * @param content of the file.
 * @param progress gets the bytes that have been sent.
 * @param signal gives the upload up.
 */
export function putFile(address: string, content: Blob, progress: (sent: number) => void, signal: AbortSignal): Promise<void> {
  // fetch cannot say how much has been sent.
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("PUT", address);
    request.upload.onprogress = (event) => progress(event.loaded);
    request.onload = () => (request.status < 300 ? resolve() : reject(refusal(request)));
    request.onerror = () => reject(new CallError("UNAVAILABLE", "The upload was broken off: the server cannot be reached.", ""));
    request.onabort = () => reject(new DOMException("The upload was cancelled.", "AbortError"));
    signal.addEventListener("abort", () => request.abort());
    if (signal.aborted) reject(new DOMException("The upload was cancelled.", "AbortError"));
    else request.send(content);
  });
}

function refusal(request: XMLHttpRequest): CallError {
  try {
    const { message } = JSON.parse(request.responseText) as { message: string };
    return new CallError("UNKNOWN", message, "");
  } catch {
    return new CallError("UNKNOWN", request.responseText.trim() || `The server answered with status ${request.status}.`, "");
  }
}
