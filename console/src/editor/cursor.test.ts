import { describe, expect, it } from "vitest";
import { cursorAt } from "./cursor";

/** The cursor is where the bar stands. */
function at(text: string) {
  const place = text.indexOf("|");
  const cursor = cursorAt(text.replace("|", ""), place);
  return cursor && { ...cursor, word: text.slice(cursor.from, place) };
}

describe("the cursor in a spec", () => {
  it.each([
    ["{|", [], true],
    ['{"pipeline": {"na|', ["pipeline"], true],
    ['{"transform": {"cmd": ["a", |', ["transform", "cmd", "1"], false],
    ['{"input": {"cross": [{}, {"pfs": {"repo": "a", "|', ["input", "cross", "1", "pfs"], true],
    ['{"autoscaling": t|', ["autoscaling"], false],
    ["pipe|", [], true],
    ["transform:\n  |", ["transform"], true],
    ["transform:\n  cmd: [a]\n|", [], true],
    ["input:\n  cross:\n  - pfs:\n      repo: a\n  - pfs:\n      |", ["input", "cross", "0", "pfs"], true],
    ["input:\n  cross:\n  - |", ["input", "cross", "0"], true],
    ["a:\n- name: x\n  |", ["a", "0"], true],
    ["autoscaling: |", ["autoscaling"], false],
  ])("%j", (text, path, isKey) => {
    expect(at(text)).toMatchObject({ path, isKey });
  });

  it("knows the word that is written, and what is beside it", () => {
    expect(at('{"pipeline": 1, "tran|')).toMatchObject({ word: '"tran', siblings: ["pipeline"] });
    expect(at("pipeline:\n  name: x\ntran|")).toMatchObject({ word: "tran", siblings: ["pipeline"] });
  });

  it("completes nothing within brackets of YAML", () => {
    expect(at("transform: {cm|")).toBeUndefined();
  });
});
