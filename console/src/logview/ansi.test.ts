import { expect, test } from "vitest";
import { partsOf, patternOf, withHits } from "./ansi";

test("colours and weights become classes", () => {
  expect(partsOf("a \u001b[1;31mred\u001b[0m b")).toEqual([
    { text: "a ", style: "" },
    { text: "red", style: "bold role-bad" },
    { text: " b", style: "" },
  ]);
});

test("all other sequences are left out", () => {
  const line = "x\u001b[2Ky\u001b]0;title\u0007z\u001b[38;5;200mq\u001b[38;2;1;2;3mr\u001b(B";
  expect(partsOf(line).map((part) => part.text).join("")).toBe("xyzqr");
});

test("hits are parts of their own, within styles too", () => {
  const parts = withHits(partsOf("one \u001b[32mtwo one\u001b[m"), patternOf("ONE", false, false));
  expect(parts.filter((part) => part.isHit).map((part) => part.style)).toEqual(["", "role-good"]);
});

test("a text is looked for as it is, an expression that is not valid marks nothing", () => {
  expect(patternOf("a.b", false, true)?.test("axb")).toBe(false);
  expect(patternOf("a.b", true, true)?.test("axb")).toBe(true);
  expect(patternOf("(", true, true)).toBeUndefined();
});
