import { describe, expect, it } from "vitest";
import type { console as api } from "@/lib/api";
import type { LiveEvent } from "@/lib/live/events";
import { fit, pan, reveal, visibleBox, zoom } from "./camera";
import { groupNames } from "./groups";
import { layOut } from "./layout";
import { requestOf } from "./layouts";
import { cardMark, groupText, jobText, nodeMark, nodeText, workersText } from "./look";
import { applyEvents, graphOf, type ProjectGraph } from "./model";
import { parse } from "./selection";
import { step } from "./steps";
import { treeRows } from "./tree";
import { sameTopology, type ViewOptions, viewOf } from "./view";

const node = (id: string, fields: Partial<api.GraphNode> = {}): api.GraphNode => {
  const [, kind = "", name = ""] = /^p\/(\w+):(.*)$/.exec(id) ?? [];
  return {
    id, project: "p", kind, name, state: kind === "pipeline" ? "RUNNING" : "", stopped: false, reason: "", job: null, workers: "0",
    workersWanted: "0", workersLimit: "0", sizeBytes: "0", headCommit: "", headAt: null, work: "transform", outside: false, readyWorkerIds: [],
    ...fields,
  };
};
const job = (id: string, state: string, created: number): api.JobRow => ({
  project: "p", pipeline: "x", jobId: id, state, reason: "", created: new Date(created * 1000).toISOString(), started: null, finished: null,
  total: "10", processed: "2", skipped: "1", failed: "0", recovered: "0", version: "1", restart: "0",
});
const answer: api.Graph = {
  position: "1-1", etag: "e", unchanged: false,
  nodes: [
    node("p/repo:images", { sizeBytes: "1500", headAt: "2026-01-01T00:00:00Z" }),
    node("p/pipeline:train-a", { job: job("j1", "RUNNING", 100), readyWorkerIds: ["w1"], workersWanted: "3" }),
    node("p/pipeline:train-b", { job: job("j1", "FAILURE", 100) }),
    node("p/pipeline:report"),
  ],
  edges: [
    { from: "p/repo:images", to: "p/pipeline:train-a", branch: "master" },
    { from: "p/repo:images", to: "p/pipeline:train-b", branch: "master" },
    { from: "p/repo:images", to: "p/pipeline:train-b", branch: "other" },
    { from: "p/pipeline:train-a", to: "p/pipeline:report", branch: "master" },
    { from: "p/pipeline:train-b", to: "p/pipeline:report", branch: "master" },
  ],
};
const graph = graphOf(answer);
const options = (changes: Partial<ViewOptions> = {}): ViewOptions => ({ selection: parse(""), focus: "", depth: Infinity, fold: "", open: new Set(), ...changes });
const event = (fields: Partial<LiveEvent>): LiveEvent => ({ kind: "job", at: 1, project: "p", ...fields });
const after = (...events: Partial<LiveEvent>[]) => applyEvents(graph, events.map(event));
const trainA = (changed: ProjectGraph) => changed.nodes[1]!;
const names = (view: ReturnType<typeof viewOf>) => view.cards.map((card) => card.id.replace(/^p\/\w+:/, ""));

describe("a graph with events", () => {
  it("is read from an answer, and from one that leaves out what has not changed", () => {
    const again = graphOf({ ...answer, unchanged: true, edges: [] }, graph);

    expect(again).toEqual(graph);
    expect(trainA(graph).inputs).toEqual([0]);
  });

  it("shows the newest job, whatever older ones do", () => {
    const { graph: changed } = after(
      { pipeline: "train-a", job: "j2", state: "STARTING", created: 200, total: 5 },
      { pipeline: "train-a", job: "j1", state: "SUCCESS", created: 100, finished: 210 },
    );

    expect(trainA(changed).job).toMatchObject({ id: "j2", state: "STARTING", total: 5 });
    expect(trainA(graph).job?.id).toBe("j1");
  });

  it("counts datums as they end, and workers once each", () => {
    const { graph: changed } = after(
      { kind: "datum", pipeline: "train-a", job: "j1", processed: 7, failed: 1 },
      { kind: "worker", pipeline: "train-a", worker: "w2", state: "IDLE" },
      { kind: "worker", pipeline: "train-a", worker: "w2", state: "BUSY" },
      { kind: "decision", pipeline: "train-a", target: 5 },
    );

    expect(jobText(trainA(changed))).toBe("8 of 10, 1 failed");
    expect(workersText(trainA(changed))).toBe("2/5");
    expect(workersText(trainA(after({ kind: "worker", pipeline: "train-a", worker: "w1", state: "GONE" }).graph))).toBe("0/3");
  });

  it("is the same when events say nothing new", () => {
    expect(after({ kind: "worker", pipeline: "train-a", worker: "w1", state: "BUSY" }, { kind: "datum", pipeline: "train-a", job: "old" }).graph).toBe(graph);
  });

  it("is to be read again when nodes or edges come or go", () => {
    expect(after({ kind: "pipeline", pipeline: "new", state: "STARTING" }).topology).toBe(true);
    expect(after({ kind: "pipeline", pipeline: "report", state: "DELETED" }).topology).toBe(true);
    expect(after({ kind: "pipeline", pipeline: "report", state: "CRASHING" }).topology).toBe(false);
    const updated = after({ kind: "pipeline", pipeline: "report", state: "RUNNING", version: 1 }, { kind: "pipeline", pipeline: "report", state: "RUNNING", version: 2 });
    expect(updated.topology).toBe(true);
  });

  it("gets and loses repos without being read again", () => {
    const created = after({ kind: "repo", repo: "new-b", state: "CREATED" }, { kind: "repo", repo: "new-c", state: "CREATED" });
    const deleted = after({ kind: "repo", repo: "images", type: "user", state: "DELETED" });

    expect(created).toMatchObject({ topology: false, graph: { edges: graph.edges } });
    expect(created.graph.nodes.map((each) => each.name)).toEqual([...graph.nodes.map((each) => each.name), "new-b", "new-c"]);
    expect(created.graph.nodes.at(-1)!.attributes["group"]).toBe("new");
    expect(deleted.topology).toBe(false);
    expect(deleted.graph.nodes.map(({ name, inputs, outputs }) => [name, inputs, outputs])).toEqual([
      ["train-a", [], [2]],
      ["train-b", [], [2]],
      ["report", [0, 1], []],
    ]);
    expect(deleted.graph.edges).toEqual([{ from: 0, to: 2, branch: "master" }, { from: 1, to: 2, branch: "master" }]);
    expect(new Set([graph.etag, created.graph.etag, deleted.graph.etag]).size).toBe(3);
    for (const known of [{ repo: "images" }, { repo: "train-a" }, { repo: "train-a", type: "meta" }])
      expect(after({ kind: "repo", state: "CREATED", ...known }).graph).toBe(graph);
  });

  it("marks a pipeline in order by its job, and others by their own state", () => {
    expect(nodeMark(trainA(graph), false).word).toBe("running");
    expect(nodeMark(graph.nodes[2]!, false)).toMatchObject({ role: "bad", word: "failure" });
    expect(graph.nodes[2]!.attributes["state"]).toBe("failure");
    expect(nodeMark(trainA(after({ kind: "pipeline", pipeline: "train-a", state: "CRASHING" }).graph), false).word).toBe("crashing");
    expect(nodeText(graph.nodes[0]!, false)).toBe("images, repo, 1.50 kB");
  });
});

describe("a view", () => {
  it("has all nodes and each edge once", () => {
    const view = viewOf(graph, options());

    expect(names(view)).toEqual(["images", "train-a", "train-b", "report"]);
    expect(view.edges).toHaveLength(4);
  });

  it("has what the filter selects and the edges between", () => {
    expect(names(viewOf(graph, options({ selection: parse("state:failure+") })))).toEqual(["train-b", "report"]);
  });

  it("has what is near the focus", () => {
    expect(names(viewOf(graph, options({ focus: "p/pipeline:train-b", depth: 1 })))).toEqual(["images", "train-b", "report"]);
  });

  it("has one card for a folded group, and all its nodes when it is open", () => {
    const folded = viewOf(graph, options({ fold: "group" }));

    expect(names(folded)).toEqual(["images", "group:train", "report"]);
    expect(folded.edges).toEqual([{ from: 0, to: 1 }, { from: 1, to: 2 }]);
    expect(cardMark(folded.cards[1]!, graph, false).role).toBe("bad");
    expect(groupText(folded.cards[1]!, graph, false)).toBe("1 failure, 1 running");
    expect(names(viewOf(graph, options({ fold: "group", open: new Set(["train"]) })))).toHaveLength(4);
  });

  it("folds by state too, with the chosen node beside its group", () => {
    const running = { ...answer, nodes: answer.nodes.map((each) => ({ ...each, job: null })) };

    expect(names(viewOf(graphOf(running), options({ fold: "state" })))).toEqual(["images", "group:running"]);
    expect(names(viewOf(graphOf(running), options({ fold: "state", focus: "p/pipeline:report" })))).toEqual(["images", "group:running", "report"]);
  });

  it("keeps its topology when only states change", () => {
    const changed = after({ pipeline: "train-a", job: "j2", state: "RUNNING", created: 200 }).graph;

    expect(sameTopology(viewOf(graph, options()), viewOf(changed, options()))).toBe(true);
    expect(sameTopology(viewOf(graph, options()), viewOf(graph, options({ selection: parse("images") })))).toBe(false);
  });

  it("leads arrows along edges and within columns", () => {
    const view = viewOf(graph, options());
    const layout = layOut(requestOf(view));

    const right = step(0, "ArrowRight", view, layout)!;

    expect([1, 2]).toContain(right);
    expect(step(right, "ArrowLeft", view, layout)).toBe(0);
    const beside = step(right, layout.y[1]! < layout.y[2]! === (right === 1) ? "ArrowDown" : "ArrowUp", view, layout);
    expect(beside).toBe(right === 1 ? 2 : 1);
    expect(step(3, "ArrowRight", view, layout)).toBeUndefined();
  });
});

describe("the graph as a tree", () => {
  const rows = (toggled: string[] = []) => treeRows(graph, new Set([0, 1, 2, 3]), new Set(toggled)).map((row) => [row.level, graph.nodes[row.node]!.name, row.open]);

  it("lists each node below each of its inputs, open where it comes first", () => {
    expect(rows()).toEqual([
      [1, "images", true],
      [2, "train-a", true],
      [3, "report", undefined],
      [2, "train-b", true],
      [3, "report", undefined],
    ]);
  });

  it("closes what is toggled", () => {
    expect(rows(["0"])).toEqual([[1, "images", false]]);
  });

  it("lists a ladder of diamonds, which has 2^40 paths, in a moment", () => {
    const ladder: api.Graph = { ...answer, nodes: [], edges: [] };
    for (let rung = 0; rung < 40; rung++) {
      for (const side of ["a", "b"]) {
        ladder.nodes.push(node(`p/pipeline:${side}${rung}`));
        if (rung > 0) for (const other of ["a", "b"]) ladder.edges.push({ from: `p/pipeline:${other}${rung - 1}`, to: `p/pipeline:${side}${rung}`, branch: "master" });
      }
    }
    const large = graphOf(ladder);

    expect(treeRows(large, new Set(large.nodes.keys()), new Set()).length).toBeLessThanOrEqual(160);
  });
});

describe("groups of names", () => {
  it("are what stands before the first separator of several names", () => {
    expect(groupNames(["train-a", "train_b", "train", "report", "a.b", "-x"])).toEqual(["train", "train", "train", "", "", ""]);
  });
});

describe("the camera", () => {
  const screen = { width: 1000, height: 500 };

  it("fits a picture into the middle", () => {
    const camera = fit({ left: 100, top: 50, width: 4000, height: 1000 }, screen);
    const seen = visibleBox(camera, screen);

    expect(seen.left).toBeLessThan(100);
    expect(seen.left + seen.width).toBeGreaterThan(4100);
    expect(seen.top + seen.height / 2).toBeCloseTo(550);
  });

  it("does not enlarge a small picture", () => {
    expect(fit({ left: 0, top: 0, width: 10, height: 10 }, screen).scale).toBe(1);
  });

  it("keeps the point under the pointer when it zooms", () => {
    const before = { x: 10, y: 20, scale: 0.5 };
    const at = { x: 300, y: 200 };

    const camera = zoom(before, 3, at);

    expect(camera.x + at.x / camera.scale).toBeCloseTo(before.x + at.x / before.scale);
    expect(camera.y + at.y / camera.scale).toBeCloseTo(before.y + at.y / before.scale);
  });

  it("moves by pixels of the screen, and as little as shows a card", () => {
    expect(pan({ x: 0, y: 0, scale: 0.5 }, 10, -20)).toEqual({ x: -20, y: 40, scale: 0.5 });
    const camera = { x: 0, y: 0, scale: 1 };
    expect(reveal(camera, { left: 100, top: 100, width: 200, height: 60 }, screen)).toEqual(camera);
    expect(reveal(camera, { left: 1500, top: 100, width: 200, height: 60 }, screen).x).toBe(1700 + 32 - 1000);
  });
});
