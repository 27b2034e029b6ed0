/**
 * All times of all pages: parsing, formatting, and the server's clock. A laptop's clock may be wrong by an hour, so
 * "now" is the server's time, which the stream of events carries.
 */
import type { Duration, Timestamp } from "./api";
import { LOCALE } from "./format";

export type Zone = "local" | "utc";
/** Seconds since 1970. */
export type Moment = number;

const MINUTE = 60;
const HOUR = 3600;
const DAY = 86400;
/** Seconds that a moment may be after the shown clock, which moves once a second, and still be now. */
const SKEW = 5;
const SPANS: Record<string, number> = { s: 1, m: MINUTE, h: HOUR, d: DAY, w: 7 * DAY };

let offset = 0;
let zone: Zone = "local";
const formats = new Map<string, Intl.DateTimeFormat>();

/** Take over the server's time. */
export function setServerTime(time: Moment): void {
  offset = time - Date.now() / 1000;
}

/** Return the server's time. */
export function now(): Moment {
  return Date.now() / 1000 + offset;
}

/** Choose the zone that all times are shown in. */
export function setZone(chosen: Zone): void {
  zone = chosen;
}

/** Return the name of the zone that times are shown in. */
export function zoneName(): string {
  return zone === "utc" ? "UTC" : Intl.DateTimeFormat().resolvedOptions().timeZone;
}

/** Return a time of the API; undefined when it is absent. */
export function moment(value: Timestamp | null | undefined): Moment | undefined {
  const milliseconds = value ? Date.parse(value) : NaN;
  return Number.isNaN(milliseconds) ? undefined : milliseconds / 1000;
}

/** Return seconds of a duration of the API, such as "1.5s"; undefined when it is absent. */
export function seconds(value: Duration | null | undefined): number | undefined {
  const number = value ? Number(value.replace(/s$/, "")) : NaN;
  return Number.isNaN(number) ? undefined : number;
}

/** Return a moment of an address: RFC 3339, or "-24h" before `at`; undefined when it is neither. */
export function parseMoment(text: string, at: Moment = now()): Moment | undefined {
  const relative = /^(?:now)?-(\d+(?:\.\d+)?)([smhdw])$/.exec(text);
  if (relative) return at - Number(relative[1]) * (SPANS[relative[2] ?? ""] ?? 0);
  if (text === "now") return at;
  return moment(text);
}

/** Return the time for an address or a copy: RFC 3339 in UTC. */
export function iso(at: Moment): string {
  return new Date(at * 1000).toISOString();
}

/** Return a time with its zone's offset, for titles: 2026-11-26 14:03:11.250 +05:45. */
export function exact(at: Moment): string {
  const parts = partsOf(at, {
    year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit",
    fractionalSecondDigits: 3, timeZoneName: "longOffset",
  });
  const shift = (parts["timeZoneName"] ?? "").replace("GMT", "") || "+00:00";
  return `${parts["year"]}-${parts["month"]}-${parts["day"]} ${parts["hour"]}:${parts["minute"]}:${parts["second"]}.${parts["fractionalSecond"]} ${shift}`;
}

/** Return the time of day: 14:03:11. */
export function clockTime(at: Moment): string {
  return format(at, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
}

/** Return the time of day with milliseconds, as log lines have it: 14:03:11.250. */
export function logTime(at: Moment): string {
  return format(at, { hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3 });
}

/** Return date and time to the minute: 26 Nov, 14:03; with the year when it is another one. */
export function dateTime(at: Moment): string {
  const year = partsOf(at, { year: "numeric" })["year"] === partsOf(now(), { year: "numeric" })["year"];
  return format(at, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", ...(year ? {} : { year: "numeric" }) });
}

/** Return how long ago a moment was, under 24 hours; the date after that. */
export function ago(at: Moment, current: Moment = now()): string {
  const age = current - at;
  if (age < -SKEW) return dateTime(at);
  if (age < 5) return "now";
  if (age < MINUTE) return `${Math.floor(age)} s ago`;
  if (age < HOUR) return `${Math.floor(age / MINUTE)} min ago`;
  if (age < DAY) return `${Math.floor(age / HOUR)} h ago`;
  return dateTime(at);
}

/** Return how long something took: 0.25 s, 12 s, 3 min 05 s, 2 h 04 min, 3 d 4 h. */
export function duration(length: number): string {
  if (length < 0) return duration(0);
  if (length < 0.0095) return `${Math.round(length * 1e6) / 1000} ms`.replace(/\.\d+ ms/, " ms");
  if (length < 0.9995) return `${Math.round(length * 1000)} ms`;
  if (length < 9.95) return `${length.toFixed(1)} s`;
  const whole = Math.floor(length);
  if (whole < MINUTE) return `${whole} s`;
  if (whole < HOUR) return `${Math.floor(whole / MINUTE)} min ${two(whole % MINUTE)} s`;
  if (whole < DAY) return `${Math.floor(whole / HOUR)} h ${two(Math.floor((whole % HOUR) / MINUTE))} min`;
  return `${Math.floor(whole / DAY)} d ${Math.floor((whole % DAY) / HOUR)} h`;
}

function two(value: number): string {
  return String(value).padStart(2, "0");
}

function format(at: Moment, options: Intl.DateTimeFormatOptions): string {
  return formatter(options).format(at * 1000);
}

function partsOf(at: Moment, options: Intl.DateTimeFormatOptions): Record<string, string> {
  const parts = formatter(options, "en-GB").formatToParts(at * 1000);
  return Object.fromEntries(parts.map((part) => [part.type, part.value]));
}

function formatter(options: Intl.DateTimeFormatOptions, locale = LOCALE): Intl.DateTimeFormat {
  const key = `${zone} ${locale} ${JSON.stringify(options)}`;
  let made = formats.get(key);
  if (!made) {
    const timeZone = zone === "utc" ? "UTC" : undefined;
    made = new Intl.DateTimeFormat(locale, { hourCycle: "h23", timeZone, ...options });
    formats.set(key, made);
  }
  return made;
}
