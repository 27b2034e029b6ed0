/** Reads parts of files, never more than asked, also where a proxy does not pass ranges on. */
import { CallError } from "@/lib/call";

/** A file of a commit, as previews get it. */
export interface PreviewFile {
  /** Of lib/routes.fileLink, with the id of a commit: the content never changes. */
  address: string;
  path: string;
  size: number;
}

/**
 * Return bytes of a file.
 *
 * @param file which file.
 * @param start the first byte.
 * @param length bytes at most.
 * @param signal gives it up.
 */
export async function readBytes(file: PreviewFile, start: number, length: number, signal?: AbortSignal): Promise<Uint8Array<ArrayBuffer>> {
  const end = Math.min(start + length, file.size);
  if (end <= start) return new Uint8Array();
  const isWhole = start === 0 && end === file.size;
  const headers: HeadersInit = isWhole ? {} : { range: `bytes=${start}-${end - 1}` };
  let response: Response;
  try {
    response = await fetch(file.address, { headers, signal: signal ?? null });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new CallError("UNAVAILABLE", "The file cannot be read: the server cannot be reached.", "");
  }
  if (!response.ok || !response.body) throw new CallError("UNKNOWN", await sentence(response), "");
  // A proxy may have removed the range: then the part is cut out of what comes, and the rest is not read.
  const skipped = response.status === 206 || isWhole ? 0 : start;
  return take(response.body, skipped, end - start);
}

/** Return the text of bytes and whether they are UTF-8. */
export function textOf(bytes: Uint8Array): string {
  return new TextDecoder("utf-8").decode(bytes);
}

async function take(body: ReadableStream<Uint8Array>, skipped: number, length: number): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = new Uint8Array(length);
  const reader = body.getReader();
  let position = -skipped;
  try {
    while (position < length) {
      const { done, value } = await reader.read();
      if (done) break;
      const from = Math.max(0, -position);
      const part = value.subarray(from, Math.max(from, Math.min(value.length, length - position)));
      if (part.length > 0) bytes.set(part, Math.max(0, position));
      position += value.length;
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
  return position < length ? bytes.subarray(0, Math.max(0, position)) : bytes;
}

async function sentence(response: Response): Promise<string> {
  const text = await response.text();
  try {
    return (JSON.parse(text) as { message: string }).message;
  } catch {
    return text.trim() || `The server answered with status ${response.status}.`;
  }
}
