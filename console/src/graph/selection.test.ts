import { describe, expect, it } from "vitest";
import { parse, select, type Selectable, SelectionError, word } from "./selection";

/** images → edges → sums → report; words → sums; "odd name" alone. */
const NAMES = ["images", "edges", "sums", "report", "words", "odd name", "edges-large"];
const EDGES: [string, string][] = [
  ["images", "edges"],
  ["edges", "sums"],
  ["sums", "report"],
  ["words", "sums"],
];
const index = (name: string) => NAMES.indexOf(name);
const nodes: Selectable[] = NAMES.map((name) => ({
  name,
  attributes: { kind: name === "images" || name === "words" ? "repo" : "pipeline", state: name === "sums" ? "failure" : "running", work: "", group: "" },
  inputs: EDGES.filter(([, to]) => to === name).map(([from]) => index(from)),
  outputs: EDGES.filter(([from]) => from === name).map(([, to]) => index(to)),
}));

const selected = (text: string) => NAMES.filter((_, node) => select(parse(text), nodes).has(node));

describe("a selection", () => {
  it.each([
    ["", NAMES],
    ["*", NAMES],
    ["edges", ["edges"]],
    ["EDGES", ["edges"]],
    ["edge", ["edges", "edges-large"]],
    ["ed*", ["edges", "edges-large"]],
    ['"edge"', []],
    ['"odd name"', ["odd name"]],
    ["name:edges", ["edges"]],
    ["+sums", ["images", "edges", "sums", "words"]],
    ["1+sums", ["edges", "sums", "words"]],
    ["edges+", ["edges", "sums", "report"]],
    ["edges+1", ["edges", "sums"]],
    ["1+sums+1", ["edges", "sums", "report", "words"]],
    ["+sums+", ["images", "edges", "sums", "report", "words"]],
    ["kind:repo", ["images", "words"]],
    ["state:FAILURE", ["sums"]],
    ["state:fail*", ["sums"]],
    ["+state:failure", ["images", "edges", "sums", "words"]],
    ["images or words", ["images", "words"]],
    ["+sums and not kind:repo", ["edges", "sums"]],
    ["images or words and state:failure", ["images"]],
    ["(images or words) and kind:repo", ["images", "words"]],
    ["not (images or words or sums) and not report", ["edges", "odd name", "edges-large"]],
    ["roots()", ["images", "words", "odd name", "edges-large"]],
    ["sinks()", ["report", "odd name", "edges-large"]],
    ["roots(edges+)", ["edges"]],
    ["sinks(+sums)", ["sums"]],
    ["(edges or words)+1", ["edges", "sums", "words"]],
  ])("%s", (text, names) => {
    expect(selected(text)).toEqual(names);
  });

  it.each([
    ["edges sums", 6],
    ["(edges", 0],
    ["edges)", 5],
    ["not", 3],
    ["and a", 0],
    ["edges and", 9],
    ['"edges', 0],
    ["colour:red", 0],
    ["state:", 6],
    ["()", 1],
    ["a or or b", 5],
  ])("%s is not one, and its message says where", (text, at) => {
    let error: unknown;
    try {
      parse(text);
    } catch (thrown) {
      error = thrown;
    }

    expect(error).toBeInstanceOf(SelectionError);
    expect((error as SelectionError).at).toBe(at);
  });

  it("refuses what is nested too deeply instead of failing", () => {
    expect(() => parse("(".repeat(100_000))).toThrow(SelectionError);
    expect(() => parse("not ".repeat(100_000) + "a")).toThrow(SelectionError);
  });

  it("evaluates a pattern with many stars in a moment", () => {
    const long = [{ ...nodes[0]!, name: "a".repeat(4_000) }];

    expect(select(parse(`${"a*".repeat(500)}b`), long).size).toBe(0);
  });

  it("reads back every name that is written as a word", () => {
    for (const name of ["edges", "odd name", "and", "NOT", "2", 'quote"d', "back\\slash", "a+b", "a:b", "(x)", "star*"]) {
      expect(parse(word(name))).toMatchObject({ kind: "name", text: name });
    }
  });
});
