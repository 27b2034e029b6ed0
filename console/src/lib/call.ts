/** Calls the API by REST: JSON there and back, errors with a code, a sentence and the request's id. */
import type { Methods } from "./api";

/** A request: any of its fields, and numbers where the API has 64-bit integers. */
export type Partly<T> = T extends string
  ? T | number
  : T extends (infer Item)[]
    ? readonly Partly<Item>[]
    : T extends object
      ? { [Key in keyof T]?: Partly<T[Key]> }
      : T;

type Named<Stream extends boolean> = {
  [Name in keyof Methods]: Methods[Name]["stream"] extends Stream ? Name : never;
}[keyof Methods];

interface Failure {
  code: number;
  message: string;
  details?: { reason?: string }[];
}

/** Names of gRPC's codes by number. */
const CODES = [
  "OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS",
  "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED",
  "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED",
];

/** A call that failed. */
export class CallError extends Error {
  override name = "CallError";

  /**
   * @param code of gRPC, such as NOT_FOUND; UNAVAILABLE also when the server cannot be reached.
   * @param message the server's sentence.
   * @param requestId finds the request in the server's log.
   * @param reason for programs, such as COMMIT_FINISHED; empty without one.
   */
  constructor(
    readonly code: string,
    message: string,
    readonly requestId: string,
    readonly reason = "",
  ) {
    super(message);
  }
}

/** Call a method with one answer. */
export async function call<Name extends Named<false>>(
  name: Name,
  request: Partly<Methods[Name]["request"]>,
  signal?: AbortSignal,
): Promise<Methods[Name]["answer"]> {
  const { response, requestId } = await send(name, request as object, signal);
  return (await readJson(response, requestId)) as Methods[Name]["answer"];
}

/** Call a method with a stream of answers; they come as the server sends them. Ends with an error, or when all are read. */
export async function* callStream<Name extends Named<true>>(
  name: Name,
  request: Partly<Methods[Name]["request"]>,
  signal?: AbortSignal,
): AsyncGenerator<Methods[Name]["answer"], void, undefined> {
  const { response, requestId } = await send(name, request as object, signal);
  for await (const line of lines(response, requestId)) {
    const part = JSON.parse(line) as { result?: Methods[Name]["answer"]; error?: Failure };
    if (part.error) throw errorOf(part.error, requestId);
    if (part.result) yield part.result;
  }
}

/** Call a method with a stream of answers and return all of them. For lists that are short by their nature. */
export async function callAll<Name extends Named<true>>(
  name: Name,
  request: Partly<Methods[Name]["request"]>,
  signal?: AbortSignal,
): Promise<Methods[Name]["answer"][]> {
  const answers = [];
  for await (const answer of callStream(name, request, signal)) answers.push(answer);
  return answers;
}

/** Return whether an error says that a request was given up, because its page was left. */
export function isAbort(error: unknown): boolean {
  return error instanceof DOMException && error.name === "AbortError";
}

/** Return any error as one that can be shown. */
export function asCallError(error: unknown): CallError {
  return error instanceof CallError ? error : new CallError("UNKNOWN", String(error), "");
}

async function send(name: string, request: object, signal: AbortSignal | undefined) {
  const requestId = randomHex(16);
  const headers = { "content-type": "application/json", traceparent: `00-${requestId}-${randomHex(8)}-01` };
  let response: Response;
  try {
    response = await fetch(`/api/${name}`, { method: "POST", headers, body: JSON.stringify(request), signal: signal ?? null });
  } catch (error) {
    if (isAbort(error)) throw error;
    throw new CallError("UNAVAILABLE", "The server cannot be reached; it may be stopped or restarting.", requestId);
  }
  if (!response.ok) throw await refusal(response, requestId);
  return { response, requestId };
}

async function refusal(response: Response, requestId: string): Promise<CallError> {
  const text = await response.text();
  try {
    const body = JSON.parse(text) as Failure & { error?: Failure };
    return errorOf(body.error ?? body, requestId); // streams have the second form
  } catch {
    const code = response.status === 503 || response.status === 502 ? "UNAVAILABLE" : "UNKNOWN";
    return new CallError(code, text.trim() || `The server answered with status ${response.status}.`, requestId);
  }
}

function errorOf(failure: Failure, requestId: string): CallError {
  const reason = failure.details?.find((detail) => detail.reason)?.reason ?? "";
  return new CallError(CODES[failure.code] ?? "UNKNOWN", failure.message, requestId, reason);
}

async function readJson(response: Response, requestId: string): Promise<unknown> {
  try {
    return await response.json();
  } catch (error) {
    throw isAbort(error) ? error : brokenOff(requestId);
  }
}

async function* lines(response: Response, requestId: string): AsyncGenerator<string, void, undefined> {
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  if (!reader) return;
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      const parts = (rest + value).split("\n");
      rest = parts.pop() ?? "";
      yield* parts.filter((part) => part !== "");
    }
  } catch (error) {
    throw error instanceof TypeError ? brokenOff(requestId) : error;
  } finally {
    await reader.cancel().catch(() => undefined);
  }
  if (rest) yield rest;
}

function brokenOff(requestId: string): CallError {
  return new CallError("UNAVAILABLE", "The connection ended before the answer was complete.", requestId);
}

function randomHex(bytes: number): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(bytes)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
