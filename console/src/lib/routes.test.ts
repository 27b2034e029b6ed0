import { describe, expect, it } from "vitest";
import { ROUTES, type RouteName, fileLink, logTextLink, link, match } from "./routes";

const HOSTILE = `a/b?c#d %2F "<img>" \u202e é`;

describe("routes", () => {
  it.each(Object.keys(ROUTES) as RouteName[])("the address of %s leads back to it with its names", (name) => {
    const names = [...ROUTES[name].matchAll(/:(\w+)(\*?)/g)];
    const params = Object.fromEntries(names.map(([, key = "", rest]) => [key, rest ? "x y/ü/z?.txt" : HOSTILE]));
    const address = link(name as "tree", params as Parameters<typeof link<"tree">>[1]);
    expect(match(new URL(address, "http://server").pathname)).toEqual({ name, params });
  });

  it("a folder keeps its slash, and the top of a tree is empty", () => {
    const params = { project: "p", repo: "r", ref: "master", path: "/a/b/" };
    expect(link("tree", params)).toBe("/ui/p/p/repos/r/tree/master/a/b/");
    expect(match("/ui/p/p/repos/r/tree/master/")?.params["path"]).toBe("");
    expect(match("/ui/p/p/repos/r/tree/master")?.params["path"]).toBe("");
  });

  it("a compared range is one segment", () => {
    expect(link("compare", { project: "p", repo: "r", range: "a...b", path: "" })).toBe("/ui/p/p/repos/r/compare/a...b/");
  });

  it("queries leave out what is empty and repeat lists", () => {
    expect(link("jobs", {}, { state: ["FAILURE", "KILLED"], pipeline: "", from: undefined, n: 1 })).toBe(
      "/ui/jobs?state=FAILURE&state=KILLED&n=1",
    );
  });

  it("an unknown address has no route", () => {
    expect(match("/ui/nowhere")).toBeUndefined();
    expect(match("/uix")).toBeUndefined();
    expect(match("/ui")?.name).toBe("home");
    expect(match("/ui/jobs/")?.name).toBe("jobs");
  });

  it("raw files are addressed by segment", () => {
    expect(fileLink("p", "r", "master", "/a b/c#.txt", { download: "1" })).toBe("/files/p/r/master/a%20b/c%23.txt?download=1");
  });

  it("the text of a log is addressed by what it is of", () => {
    const log = { project: "", pipeline: "edges", jobId: "0e", datumId: "", workerId: "" };
    expect(logTextLink(log)).toBe("/files/.log/default/edges?job=0e");
    expect(match("/files/.log/default/edges")).toBeUndefined();
  });
});
