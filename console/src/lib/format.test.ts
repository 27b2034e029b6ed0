import { describe, expect, it } from "vitest";
import { bytes, count, counted, dollars, percent, shortCount } from "./format";
import { baseName, middle, shortId, visible } from "./names";
import { bytesOf, hex, int, optionalInt, sum } from "./numbers";
import { command } from "./shell";
import { markOf } from "./states";

describe("numbers as text", () => {
  it.each([
    [0, "0 B"],
    [999, "999 B"],
    [1_234_567, "1.23 MB"],
    [12_345, "12.3 kB"],
    [999_999, "1.00 MB"],
    [2 ** 40, "1.10 TB"],
  ])("%d bytes are %s", (value, text) => {
    expect(bytes(value)).toBe(text);
  });
  it("a share is rounded down: all is done only when it is", () => {
    expect([percent(999, 1_000), percent(1_000, 1_000), percent(0, 0)]).toEqual(["99 %", "100 %", "0 %"]);
  });
  it("counts and money are short", () => {
    expect([count(12_345), shortCount(12_345), shortCount(9_999), counted(1, "file"), counted(2, "entry", "entries")]).toEqual([
      "12,345", "12.3k", "9,999", "1 file", "2 entries",
    ]);
    expect([dollars(0), dollars(0.01234), dollars(1234.5)]).toEqual(["$0", "$0.012", "$1,234.50"]);
  });
});

describe("numbers of the API", () => {
  it("are read in one place", () => {
    expect([int("12"), int(null), int(undefined), optionalInt(undefined), optionalInt("3"), sum({ a: "1", b: 2 })]).toEqual([12, 0, 0, undefined, 3, 3]);
    expect([...bytesOf("AP8=")]).toEqual([0, 255]);
    expect(hex("AP8=")).toBe("00ff");
  });
});

describe("names of users", () => {
  it("show what cannot be seen, and what would turn the text around", () => {
    expect(visible("a\u202egpj.exe\u200b\n")).toBe("a‹202E›gpj.exe‹200B›␊");
    expect(visible("<img src=x>")).toBe("<img src=x>");
  });
  it("are cut in the middle, by characters and not by halves of them", () => {
    expect(middle("0123456789.png", 9)).toBe("0123….png");
    expect(middle("😀".repeat(10), 5)).toBe("😀😀…😀😀");
    expect(middle("x".repeat(4_000)).length).toBeLessThanOrEqual(400);
  });
  it("have a short form", () => {
    expect([shortId("0123456789abcdef"), baseName("/a/b.txt"), baseName("/a/b/"), baseName("x")]).toEqual(["01234567", "b.txt", "b/", "x"]);
  });
});

describe("commands", () => {
  it("quote what a shell would read otherwise", () => {
    expect(command("trunkline", "get", "file", "a@b:/x y'z.txt", undefined, 3)).toBe(`trunkline get file 'a@b:/x y'\\''z.txt' 3`);
  });
});

describe("states", () => {
  it("are understood with prefixes and in lower case, and unknown ones are drawn", () => {
    expect(markOf("job", "JOB_SUCCESS").word).toBe("success");
    expect(markOf("worker", "idle").word).toBe("idle");
    expect(markOf("pipeline", "PIPELINE_STANDBY").word).toBe("standby");
    expect(markOf("job", "DREAMING")).toMatchObject({ role: "neutral", word: "dreaming" });
  });
});
