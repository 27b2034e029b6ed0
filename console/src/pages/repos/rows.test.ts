import { expect, test } from "vitest";
import type { LiveEvent } from "@/lib/live/events";
import { type Row, rowsAfter } from "./rows";

function row(name: string): Row {
  return { name, description: "", branches: 1, size: 10, headAt: 100, isOutput: false };
}

function event(kind: LiveEvent["kind"], fields: Partial<LiveEvent>): LiveEvent {
  return { kind, at: 200, project: "p", ...fields };
}

test("repos come in the order of their names, and go", () => {
  const rows = rowsAfter(
    [row("a"), row("c")],
    [event("repo", { repo: "b", state: "CREATED", description: "new" }), event("repo", { repo: "c", state: "DELETED" })],
  );

  expect(rows.map(({ name, description }) => [name, description])).toEqual([["a", ""], ["b", "new"]]);
});

test("a repo that is deleted and created again is empty", () => {
  const [only] = rowsAfter([row("a")], [event("repo", { repo: "a", state: "DELETED" }), event("repo", { repo: "a", state: "CREATED" })]);

  expect(only).toEqual({ ...row("a"), branches: 0, size: 0, headAt: undefined });
});

test("a finished commit of master moves size and time; others do not", () => {
  const commit = { repo: "a", type: "user", branch: "master", state: "FINISHED", size: 99, finished: 150 };

  expect(rowsAfter([row("a")], [event("commit", commit)])[0]).toMatchObject({ size: 99, headAt: 150 });
  expect(rowsAfter([row("a")], [event("commit", { ...commit, branch: "other" })])[0]).toEqual(row("a"));
  expect(rowsAfter([row("a")], [event("commit", { ...commit, type: "meta" })])[0]).toEqual(row("a"));
});

test("the output of a pipeline is one as long as there is the pipeline", () => {
  const created = rowsAfter([], [event("repo", { repo: "x", state: "CREATED" }), event("pipeline", { pipeline: "x", state: "STARTING" })]);

  expect(created[0]?.isOutput).toBe(true);
  expect(rowsAfter(created, [event("pipeline", { pipeline: "x", state: "DELETED" })])[0]?.isOutput).toBe(false);
});

test("without a change it is the same array, so that nothing is drawn again", () => {
  const rows = [row("a")];

  expect(rowsAfter(rows, [event("repo", { repo: "a", state: "CREATED" }), event("repo", { repo: "a", type: "spec", state: "DELETED" })])).toBe(rows);
});
