import { describe, expect, it } from "vitest";
import { colouring } from "./colours";

/** Return the parts with a colour of the lines of a file, as `role:text`. */
function coloured(path: string, text: string): string[] {
  const lines = text.split("\n");
  const colours = colouring(path, lines)!;
  const pieces = lines.map((_, index) => colours(index));
  expect(pieces.map((each) => each.map((piece) => piece.text).join(""))).toEqual(lines);
  return pieces.flat().filter(({ role }) => role).map(({ role, text: part }) => `${role}:${part}`);
}

describe("colours of code", () => {
  it.each([
    ["/a.py", '@cache\ndef f(x1): # "no"\n  return """a\n1 \\""" b""" + 0x1f', [
      "key:@cache", "keyword:def", 'comment:# "no"', "keyword:return", 'string:"""a', 'string:1 \\""" b"""', "number:0x1f",
    ]],
    ["/a.sh", "if [ $# = 1 ]; then cat <<'END' # x\nit's 1\nEND\necho \"$a\nb\" ${c}", [
      "keyword:if", "number:1", "keyword:then", "string:<<'END'", "comment:# x", "string:it's 1", "string:END", 'string:"$a', 'string:b"', "key:${c}",
    ]],
    ["/a.yml", "# c\n- name: it's 1.5 on\n  \"a b\": 'x: y' # z\nurl: http://h", [
      "comment:# c", "key:name", "number:1.5", "keyword:on", 'key:"a b"', "string:'x: y'", "comment:# z", "key:url",
    ]],
    ["/a.jsonl", '{"a:b": "c:d", "n": [-1e5, null]}', ['key:"a:b"', 'string:"c:d"', 'key:"n"', "number:1e5", "keyword:null"]],
    ["/a.sql", "SELECT 'it''s\n1' /* a\nb */ FROM \"t\" -- c", ["keyword:SELECT", "string:'it'", "string:'s", "string:1'", "comment:/* a", "comment:b */", "keyword:FROM", 'string:"t"', "comment:-- c"]],
    ["/a.R", 'x <- function(a) NA # c', ["keyword:function", "keyword:NA", "comment:# c"]],
    ["/a.tsx", "const a = `b ${1}\nc`; // d", ["keyword:const", "string:`b ${1}", "string:c`", "comment:// d"]],
  ])("are those of the language: %s", (path, text, expected) => {
    expect(coloured(path, text)).toEqual(expected);
  });

  it("are the same for a line that is looked at first", () => {
    const lines = Array.from({ length: 200 }, (_, line) => (line === 3 ? '"""' : "x = 1"));

    expect(colouring("/a.py", lines)!(199)).toEqual([{ text: "x = 1", role: "string" }]);
  });

  it("are left out of long lines, and of files of other languages", () => {
    expect(colouring("/a.js", ["1,".repeat(20_000)])!(0)).toEqual([{ text: "1,".repeat(5_000) }]);
    expect(colouring("/a.txt", [""])).toBeUndefined();
  });

  it("end soon for lines that match in many ways", () => {
    for (const text of [" ", "-", '"', "${", "<<", "a ", "1", "\\", "a: "]) {
      const lines = Array.from({ length: 5 }, () => text.repeat(10_000));
      for (const path of ["/a.py", "/a.sh", "/a.yaml", "/a.json", "/a.sql", "/a.r", "/a.js"]) colouring(path, lines)!(4);
    }
  });
});
