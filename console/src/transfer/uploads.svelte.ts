/** Uploads of many files as one commit: started, filled file by file, finished; given up as a whole. */
import { asCallError, call, isAbort } from "@/lib/call";
import { branchOf, isCommitId, putFile, repoOf } from "@/lib/pfs";
import { fileLink } from "@/lib/routes";

export interface Target {
  project: string;
  repo: string;
  /** A branch gets a commit with all files; into an open commit they are put as they are. */
  ref: string;
  /** Ends with a slash. */
  folder: string;
}

export interface Chosen {
  /** Below the folder. */
  path: string;
  content: File;
}

/** Files that are sent at a time: a browser has six connections to an address. */
const PARALLEL = 3;

export class UploadRun {
  readonly total: number;
  readonly bytes: number;
  sent = $state(0);
  done = $state(0);
  state = $state<"running" | "finished" | "cancelled" | "failed">("running");
  problem = $state("");
  /** Id of the commit. */
  commit = $state("");
  readonly #abort = new AbortController();
  readonly #target: Target;

  constructor(target: Target, files: readonly Chosen[]) {
    this.#target = target;
    this.total = files.length;
    this.bytes = files.reduce((sum, { content }) => sum + content.size, 0);
  }

  /** Send all files. Resolves when the commit is finished, or given up. */
  async run(files: readonly Chosen[]): Promise<void> {
    const { project, repo, ref } = this.#target;
    const isOwn = !isCommitId(ref);
    try {
      const id = isOwn ? (await call("pfs_v2.API/StartCommit", { branch: branchOf(project, repo, ref) })).id : ref;
      this.commit = id;
      const rest = [...files];
      const lane = async (): Promise<void> => {
        for (let next = rest.shift(); next; next = rest.shift()) await this.#put(id, next);
      };
      await Promise.all(Array.from({ length: PARALLEL }, lane));
      if (isOwn) await call("pfs_v2.API/FinishCommit", { commit: { repo: repoOf(project, repo), id } });
      this.state = "finished";
    } catch (error) {
      this.#abort.abort();
      this.state = isAbort(error) ? "cancelled" : "failed";
      this.problem = isAbort(error) ? "" : asCallError(error).message;
      // A commit that was begun here and is not whole is dropped, so that no pipeline sees half of the files.
      if (isOwn && this.commit) {
        await call("pfs_v2.API/DropCommit", { commit: { repo: repoOf(project, repo), id: this.commit } }).catch((reason: unknown) => {
          this.problem += ` The open commit ${this.commit} could not be dropped: ${asCallError(reason).message}`;
        });
      }
    }
  }

  /** Give it up. */
  cancel(): void {
    this.#abort.abort();
  }

  async #put(commit: string, { path, content }: Chosen): Promise<void> {
    const { project, repo, folder } = this.#target;
    let before = 0;
    const progress = (sent: number): void => {
      this.sent += Math.min(sent, content.size) - before;
      before = Math.min(sent, content.size);
    };
    await putFile(fileLink(project, repo, commit, folder + path), content, progress, this.#abort.signal);
    progress(content.size);
    this.done += 1;
  }
}

/** Return the files of a drop, those in folders with their paths. */
export async function droppedFiles(items: DataTransferItemList): Promise<Chosen[]> {
  const entries = [...items].map((item) => item.webkitGetAsEntry()).filter((entry) => entry !== null);
  return (await Promise.all(entries.map((entry) => below(entry)))).flat();
}

async function below(entry: FileSystemEntry): Promise<Chosen[]> {
  if (entry.isFile) {
    const content = await new Promise<File>((resolve, reject) => (entry as FileSystemFileEntry).file(resolve, reject));
    return [{ path: entry.fullPath.replace(/^\//, ""), content }];
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  const files: Chosen[] = [];
  for (;;) {
    const part = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (part.length === 0) return files;
    for (const each of part) files.push(...(await below(each)));
  }
}
