/** Numbers as text: counts, bytes, money, shares. Times are in time.ts. */

/** The reader's locale; a container may have one that Intl refuses, such as en-US@posix. */
export const LOCALE = usableLocale();

function usableLocale(): string {
  const language = typeof navigator === "undefined" ? "en" : navigator.language;
  try {
    return Intl.getCanonicalLocales(language)[0] ?? "en";
  } catch {
    return "en";
  }
}

const COUNTS = new Intl.NumberFormat("en");
const UNITS = ["B", "kB", "MB", "GB", "TB", "PB"] as const;

/** Return a count with separators: 12,345. */
export function count(value: number): string {
  return COUNTS.format(value);
}

/** Return a count in little space: 12,345 → 12.3k. */
export function shortCount(value: number): string {
  for (const [size, unit] of [[1e9, "G"], [1e6, "M"], [1e4, "k"]] as const) {
    if (Math.abs(value) >= size) return `${digits(value / (unit === "k" ? 1e3 : size))}${unit}`;
  }
  return count(Math.round(value));
}

/** Return bytes in decimal units with three digits: 1,234,567 → 1.23 MB. */
export function bytes(value: number): string {
  let rest = value;
  let unit = 0;
  while (Math.abs(rest) >= 999.5 && unit < UNITS.length - 1) {
    rest /= 1000;
    unit += 1;
  }
  return `${unit === 0 ? Math.round(rest) : digits(rest)} ${UNITS[unit]}`;
}

/** Return a share as a percentage, rounded down: 100 % only when all is done. */
export function percent(part: number, whole: number): string {
  return whole <= 0 ? "0 %" : `${Math.floor((part / whole) * 100)} %`;
}

/** Return US dollars: cents from 1 on, three digits below. */
export function dollars(value: number): string {
  if (value === 0) return "$0";
  if (Math.abs(value) >= 0.995) return `$${value.toLocaleString("en", { minimumFractionDigits: 2, maximumFractionDigits: 2 })}`;
  return `$${Number(value.toPrecision(2))}`;
}

/** Return "1 file", "2 files": a count with its noun. */
export function counted(value: number, noun: string, plural = `${noun}s`): string {
  return `${count(value)} ${value === 1 ? noun : plural}`;
}

function digits(value: number): string {
  const size = Math.abs(value);
  return value.toFixed(size >= 99.95 ? 0 : size >= 9.995 ? 1 : 2);
}
