import { describe, expect, it } from "vitest";
import { imageSize } from "./image-size";
import { isText, kindOf } from "./kinds";
import { lineHash, lineRange } from "./line-range";
import { type Part, parseMarkdown } from "./markdown";
import { notebookCells } from "./notebook";
import { parseCsv, separatorOf } from "./tables";

describe("CSV", () => {
  it.each([
    ["a,b\n1,2\n", [["a", "b"], ["1", "2"]]],
    ['"a ""b""\n,c",d\r\n1', [['a "b"\n,c', "d"], ["1"]]],
    ["a,\n,b", [["a", ""], ["", "b"]]],
    ['"open\nquote', [["open\nquote"]]],
    ["a,", [["a", ""]]],
    ["", []],
  ])("reads %j", (text, rows) => {
    expect(parseCsv(text, ",", 100)).toEqual(rows);
  });

  it("reads no more rows than it may", () => {
    expect(parseCsv("1\n".repeat(1000), ",", 3)).toEqual([["1"], ["1"], ["1"]]);
  });

  it("finds the separator", () => {
    expect(separatorOf("/x.csv", "a;b,c;d\n")).toBe(";");
    expect(separatorOf("/x.tsv", "a,b,c\n")).toBe("\t");
  });
});

describe("Markdown", () => {
  const tags = (parts: Part[]): string[] => parts.flatMap((part) => (typeof part === "string" ? [] : [part.tag, ...tags(part.parts)]));
  const texts = (parts: Part[]): string => parts.map((part) => (typeof part === "string" ? part : texts(part.parts))).join("");
  const links = (parts: Part[]): (string | undefined)[] => parts.flatMap((part) => (typeof part === "string" ? [] : [...(part.tag === "a" ? [part.href] : []), ...links(part.parts)]));

  it("is a tree of elements, with headings below that of the page", () => {
    expect(tags(parseMarkdown("# A\n\n* b\n* `c`\n\n|x|\n|-|\n|y|\n").parts)).toEqual([
      "h2", "ul", "li", "p", "li", "p", "code", "table", "thead", "tr", "th", "tbody", "tr", "td",
    ]);
  });

  it("keeps HTML as text and loads nothing", () => {
    const { parts } = parseMarkdown('<img src=x onerror=alert(1)> ![a](https://example.org/x.png)\n\n<script>alert(1)</script>');
    expect(new Set(tags(parts))).toEqual(new Set(["p", "em"]));
    expect(texts(parts)).toContain("<img src=x onerror=alert(1)>");
  });

  it("links to the web and to mail only", () => {
    const { parts } = parseMarkdown("[a](https://a.org) [b](javascript:alert(1)) [c](/ui/) [d](mailto:x@y.org) [e](data:text/html,x)");
    expect(links(parts)).toEqual(["https://a.org", "mailto:x@y.org"]);
  });

  it("ends where a document has too many elements or is nested too deeply", () => {
    expect(parseMarkdown("* a\n".repeat(20_000)).isCut).toBe(true);
    expect(() => parseMarkdown(`${"> ".repeat(5_000)}x`)).not.toThrow();
  });
});

describe("images", () => {
  const bytes = (text: string, ...rest: number[]): Uint8Array => new Uint8Array([...text].map((sign) => sign.charCodeAt(0)).concat(rest));

  it("have their size in the header", () => {
    expect(imageSize(bytes("\x89PNG\r\n\x1a\n\0\0\0\rIHDR", 0, 0, 1, 0, 0, 0, 0, 2))).toEqual({ width: 256, height: 2 });
    expect(imageSize(bytes("GIF89a", 3, 0, 4, 0))).toEqual({ width: 3, height: 4 });
    expect(imageSize(bytes("\xff\xd8\xff\xe0\0\x04ab\xff\xc0\0\x11\x08", 0, 5, 0, 6))).toEqual({ width: 6, height: 5 });
    expect(imageSize(bytes("\x89PNG\r\n\x1a\n"))).toBeUndefined();
    expect(imageSize(bytes("no image at all, but long enough for every header"))).toBeUndefined();
  });
});

describe("notebooks", () => {
  it("have text and images, and say how much is left out", () => {
    const html = { output_type: "display_data", data: { "text/html": ["<script>"] } };
    const stream = { output_type: "stream", name: "stdout", text: ["1\n", "2\n"] };
    const value = { cells: [{ cell_type: "code", source: ["a\n", "b"], outputs: [html, stream] }, 7] };
    expect(notebookCells(value)).toEqual({
      cells: [
        { kind: "code", source: "a\nb", outputs: [{ text: "1\n2\n", isError: false }], left: 1 },
        { kind: "raw", source: "", outputs: [], left: 0 },
      ],
      isCut: false,
    });
    expect(notebookCells([1])).toBeUndefined();
  });
});

it("lines have addresses", () => {
  expect(lineRange("#L20-L10")).toEqual({ first: 10, last: 20 });
  expect(lineRange("#L7")).toEqual({ first: 7, last: 7 });
  expect(lineRange("#other")).toBeUndefined();
  expect(lineHash({ first: 10, last: 20 })).toBe("#L10-L20");
  expect(lineHash({ first: 7, last: 7 })).toBe("#L7");
});

it("kinds of files are found by name, and text by its bytes", () => {
  expect([kindOf("/a/B.PNG"), kindOf("/x.parquet"), kindOf("/Makefile"), kindOf("/csv")]).toEqual(["image", "parquet", "unknown", "unknown"]);
  expect([isText(new TextEncoder().encode("ü\n").subarray(0, 1)), isText(new Uint8Array([1, 2])), isText(new Uint8Array([0xff, 0xfe]))]).toEqual([true, false, false]);
});
