import { describe, expect, it } from "vitest";
import { jsonChanges, pretty } from "./json-diff";

describe("differences of JSON", () => {
  it("name changed, new and removed fields by their paths", () => {
    const before = '{"input":{"pfs":{"glob":"/*","repo":"a"}},"transform":{"cmd":["sh","-c","x"]},"gone":1}';
    const after = '{"input":{"pfs":{"glob":"/","repo":"a"}},"transform":{"cmd":["sh","-c","y"]},"fresh":true}';
    expect(jsonChanges(before, after)).toEqual([
      { path: "input.pfs.glob", before: '"/*"', after: '"/"' },
      { path: "transform.cmd", before: '["sh","-c","x"]', after: '["sh","-c","y"]' },
      { path: "fresh", before: undefined, after: "true" },
      { path: "gone", before: "1", after: undefined },
    ]);
  });
  it("go into lists of objects", () => {
    expect(jsonChanges('{"cross":[{"a":1},{"a":2}]}', '{"cross":[{"a":1},{"a":3}]}')).toEqual([{ path: "cross[1].a", before: "2", after: "3" }]);
  });
  it("are none of equal documents, and of what is no JSON", () => {
    expect(jsonChanges("{}", "")).toEqual([]);
    expect(jsonChanges("{", "{")).toEqual([]);
    expect(pretty("{")).toBe("{");
  });
});
