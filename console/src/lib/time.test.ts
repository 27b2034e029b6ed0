import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { ago, clockTime, dateTime, duration, exact, iso, logTime, moment, now, parseMoment, seconds, setServerTime, setZone, zoneName } from "./time";

const NOON = Date.UTC(2026, 10, 26, 12, 3, 11, 250) / 1000;

describe("durations", () => {
  it.each([
    [0, "0 ms"],
    [0.004, "4 ms"],
    [0.25, "250 ms"],
    [1, "1.0 s"],
    [9.94, "9.9 s"],
    [59.9, "59 s"],
    [185, "3 min 05 s"],
    [7_440, "2 h 04 min"],
    [273_600, "3 d 4 h"],
    [-3, "0 ms"],
  ])("%d s is %s", (length, text) => {
    expect(duration(length)).toBe(text);
  });
});

describe("times of the API", () => {
  it("are read with their fractions, and are absent without a value", () => {
    expect(moment("2026-11-26T12:03:11.250Z")).toBe(NOON);
    expect(moment(null)).toBeUndefined();
    expect(moment("yesterday")).toBeUndefined();
    expect(seconds("1.5s")).toBe(1.5);
    expect(seconds(null)).toBeUndefined();
  });

  it("are relative to now in addresses", () => {
    expect(parseMoment("-24h", NOON)).toBe(NOON - 86_400);
    expect(parseMoment("now-15m", NOON)).toBe(NOON - 900);
    expect(parseMoment("now", NOON)).toBe(NOON);
    expect(parseMoment(iso(NOON), 0)).toBe(NOON);
    expect(parseMoment("soon", NOON)).toBeUndefined();
  });
});

describe("how long ago", () => {
  it.each([
    [3, "now"],
    [42, "42 s ago"],
    [119, "1 min ago"],
    [7_300, "2 h ago"],
  ])("%d s", (age, text) => {
    expect(ago(NOON - age, NOON)).toBe(text);
  });
});

describe("the server's clock", () => {
  afterEach(() => {
    vi.useRealTimers();
  });
  it("counts, whatever the laptop's clock says", () => {
    vi.useFakeTimers({ now: (NOON - 3_600) * 1_000 });
    setServerTime(NOON);
    vi.setSystemTime((NOON - 3_590) * 1_000);
    expect(now()).toBe(NOON + 10);
    setServerTime((NOON - 3_590) as number);
  });
});

describe.each([
  ["Asia/Kathmandu", "17:48:11", "+05:45"],
  ["America/New_York", "07:03:11", "-05:00"],
  ["UTC", "12:03:11", "+00:00"],
])("in %s", (zone, clock, shift) => {
  const before = process.env["TZ"];
  beforeAll(() => {
    process.env["TZ"] = zone;
    setZone("utc");
    setZone("local");
  });
  afterAll(() => {
    process.env["TZ"] = before;
  });
  it("all forms agree, and UTC can be chosen", async () => {
    vi.resetModules(); // formats are made once per zone of the reader
    const times = await import("./time");
    expect(times.clockTime(NOON)).toBe(clock);
    expect(times.logTime(NOON)).toBe(`${clock}.250`);
    expect(times.exact(NOON)).toContain(`${clock}.250 ${shift}`);
    expect(times.zoneName().replace("Katmandu", "Kathmandu")).toBe(zone); // engines have either spelling
    times.setZone("utc");
    expect(times.clockTime(NOON)).toBe("12:03:11");
    expect(times.exact(NOON)).toBe("2026-11-26 12:03:11.250 +00:00");
  });
});

describe("over a change of daylight saving time", () => {
  const before = process.env["TZ"];
  beforeAll(() => {
    process.env["TZ"] = "Europe/Berlin";
  });
  afterAll(() => {
    process.env["TZ"] = before;
  });
  it("two moments with one clock time differ in their zone, and durations do not jump", async () => {
    vi.resetModules();
    const times = await import("./time");
    const first = Date.UTC(2026, 9, 25, 0, 30) / 1000;
    const second = Date.UTC(2026, 9, 25, 1, 30) / 1000;
    expect(times.clockTime(first)).toBe(times.clockTime(second));
    expect(times.exact(first)).toContain("+02:00");
    expect(times.exact(second)).toContain("+01:00");
    expect(times.duration(second - first)).toBe("1 h 00 min");
    expect(times.ago(first, second)).toBe("1 h ago");
  });
});

describe("dates", () => {
  it("have their year when it is another one", () => {
    setZone("utc");
    expect(dateTime(NOON)).toMatch(/26/);
    expect(dateTime(Date.UTC(2019, 0, 1) / 1000)).toMatch(/2019/);
    expect([clockTime(NOON), logTime(NOON), exact(NOON), zoneName()]).toEqual(["12:03:11", "12:03:11.250", "2026-11-26 12:03:11.250 +00:00", "UTC"]);
  });
});
