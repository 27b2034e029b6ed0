/** Reads numbers of the API's JSON: 64-bit integers are strings there. The only place that does. */
import type { Int64 } from "./api";

/** Return an integer of the API as a number; 0 for one that is absent. Exact up to 2^53, which no count here exceeds. */
export function int(value: Int64 | number | null | undefined): number {
  return value === null || value === undefined ? 0 : Number(value);
}

/** Return an optional integer; undefined when it is not set. */
export function optionalInt(value: Int64 | number | null | undefined): number | undefined {
  return value === null || value === undefined ? undefined : Number(value);
}

/** Return the sum of the values of a map of counts, such as jobs by state. */
export function sum(counts: Record<string, Int64 | number> | null | undefined): number {
  return Object.values(counts ?? {}).reduce<number>((total, count) => total + Number(count), 0);
}

/** Return the bytes of a base64 text. */
export function bytesOf(base64: string): Uint8Array<ArrayBuffer> {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let at = 0; at < text.length; at++) bytes[at] = text.charCodeAt(at);
  return bytes;
}

/** Return bytes in base64 as hexadecimal digits, as hashes are shown. */
export function hex(base64: string): string {
  return Array.from(bytesOf(base64), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
