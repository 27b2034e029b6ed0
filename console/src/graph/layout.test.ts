import dagre from "@dagrejs/dagre";
import { describe, expect, it } from "vitest";
import { type Layout, layOut, type LayoutRequest } from "./layout";
import { isotonic } from "./placement";
import { randomNumbers, sampleGraph } from "./samples";

const graph = (edges: string, heights: Record<string, number> = {}): LayoutRequest => {
  const pairs = edges.split(" ").map((edge) => edge.split(">"));
  const ids = [...new Set(pairs.flat())];
  const drawn = pairs.filter((pair) => pair.length === 2);
  return {
    ids,
    heights: ids.map((id) => heights[id] ?? 64),
    nodeWidth: 208,
    from: drawn.map((pair) => ids.indexOf(pair[0]!)),
    to: drawn.map((pair) => ids.indexOf(pair[1]!)),
  };
};

const corners = (request: LayoutRequest, layout: Layout) =>
  new Map(request.ids.map((id, node) => [id, { x: layout.x[node]!, y: layout.y[node]! }]));

function overlaps(request: LayoutRequest, layout: Layout): string[] {
  const order = Array.from(request.ids.keys()).sort((a, b) => layout.y[a]! - layout.y[b]!);
  const result: string[] = [];
  order.forEach((one, place) => {
    for (let next = place + 1; next < order.length; next++) {
      const other = order[next]!;
      if (layout.y[other]! >= layout.y[one]! + request.heights[one]! - 1e-6) break;
      if (Math.abs(layout.x[one]! - layout.x[other]!) < request.nodeWidth) result.push(`${request.ids[one]!} ${request.ids[other]!}`);
    }
  });
  return result;
}

/** Proper crossings of polylines that share no end. */
function crossings(lines: { from: number; to: number; points: number[][] }[]): number {
  const segments = lines.flatMap((line, index) => line.points.slice(1).map((end, at) => ({ line, index, a: line.points[at]!, b: end })));
  const side = (a: number[], b: number[], c: number[]) => (b[0]! - a[0]!) * (c[1]! - a[1]!) - (b[1]! - a[1]!) * (c[0]! - a[0]!);
  let count = 0;
  segments.forEach((one, at) => {
    for (let next = at + 1; next < segments.length; next++) {
      const other = segments[next]!;
      if (one.index === other.index || one.line.from === other.line.from || one.line.to === other.line.to) continue;
      if (side(one.a, one.b, other.a) * side(one.a, one.b, other.b) < 0 && side(other.a, other.b, one.a) * side(other.a, other.b, one.b) < 0) count++;
    }
  });
  return count;
}

const pointsOf = (route: Float64Array): [number, number][] =>
  Array.from({ length: route.length / 2 }, (_, at) => [route[2 * at]!, route[2 * at + 1]!]);

describe("the layout of a graph", () => {
  it("puts every node to the right of its inputs", () => {
    for (let seed = 1; seed <= 30; seed++) {
      const request = sampleGraph(20 + seed * 5, seed, 5 + seed);

      const layout = layOut(request);

      expect(request.from.filter((source, edge) => layout.x[request.to[edge]!]! < layout.x[source]! + 208)).toEqual([]);
    }
  });

  it("has no overlapping nodes, whatever their heights", () => {
    for (let seed = 1; seed <= 30; seed++) {
      const request = sampleGraph(20 + seed * 5, seed, 5 + seed);
      const random = randomNumbers(seed);
      request.heights = request.ids.map(() => 20 + Math.floor(random() * 200));

      expect(overlaps(request, layOut(request))).toEqual([]);
    }
  });

  it("leads edges past nodes and not through them", () => {
    const request = sampleGraph(120, 7, 60);

    const layout = layOut(request);

    request.from.forEach((_, edge) => {
      const points = pointsOf(layout.routes[edge]!);
      for (let at = 1; at + 1 < points.length; at += 2) {
        const [left, y] = points[at]!;
        const hit = request.ids.filter(
          (_id, node) => Math.abs(layout.x[node]! - left) <= 1 && y >= layout.y[node]! && y <= layout.y[node]! + request.heights[node]!,
        );
        expect(hit, `edge ${edge}`).toEqual([]);
      }
    });
  });

  it("crosses no more edges than dagre does", () => {
    let own = 0;
    let oracle = 0;
    for (let seed = 1; seed <= 8; seed++) {
      const request = sampleGraph(50, seed, 15);
      const layout = layOut(request);
      own += crossings(request.from.map((from, edge) => ({ from, to: request.to[edge]!, points: pointsOf(layout.routes[edge]!) })));
      oracle += crossings(dagreRoutes(request));
    }
    expect(own).toBeLessThanOrEqual(oracle);
  });

  it("does not depend on the order of nodes and edges", () => {
    const request = sampleGraph(80, 3, 20);
    const turned = request.ids.map((_, node) => request.ids.length - 1 - node);
    const reversed: LayoutRequest = {
      ...request,
      ids: request.ids.slice().reverse(),
      from: request.from.map((node) => turned[node]!).reverse(),
      to: request.to.map((node) => turned[node]!).reverse(),
    };

    expect(corners(reversed, layOut(reversed))).toEqual(new Map([...corners(request, layOut(request))].reverse()));
  });

  it("draws a cycle, with one edge that leads back", () => {
    const request = graph("a>b b>c c>a");

    const layout = layOut(request);

    const forward = request.from.filter((source, edge) => layout.x[request.to[edge]!]! > layout.x[source]!);
    expect(forward).toHaveLength(2);
    expect(overlaps(request, layout)).toEqual([]);
    request.from.forEach((source, edge) => {
      const start = pointsOf(layout.routes[edge]!)[0]!;
      expect(start[1]).toBeCloseTo(layout.y[source]! + 32);
    });
  });

  it("gives an edge from a node to itself no route", () => {
    expect(layOut(graph("a>a a>b")).routes.map((route) => route.length)).toEqual([0, 4]);
  });

  it("puts an input beside its first reader", () => {
    const request = graph("a>b b>c late>c");

    const at = corners(request, layOut(request));

    expect(at.get("late")!.x).toBe(at.get("b")!.x);
  });

  it("draws a chain as a straight line", () => {
    const request = graph("a>b b>c c>d");

    expect(new Set(layOut(request).y).size).toBe(1);
  });

  it("lays out parts apart, and single nodes in rows", () => {
    const request = graph(`a>b b>c x>y ${Array.from({ length: 40 }, (_, node) => `single${node}`).join(" ")}`);

    const layout = layOut(request);

    expect(overlaps(request, layout)).toEqual([]);
    expect(layout.width / layout.height).toBeGreaterThan(0.8);
    expect(layout.width / layout.height).toBeLessThan(3.5);
  });

  it("spreads hundreds of readers of one node over columns", () => {
    const request = graph(Array.from({ length: 500 }, (_, node) => `images>reader${String(node).padStart(3, "0")}`).join(" "));

    const layout = layOut(request);

    expect(overlaps(request, layout)).toEqual([]);
    expect(layout.width / layout.height).toBeGreaterThan(0.8);
    const more = graph(`${Array.from({ length: 500 }, (_, node) => `images>reader${String(node).padStart(3, "0")}`).join(" ")} images>reader100b`);
    const old = corners(request, layout);
    const now = corners(more, layOut({ ...more, earlier: layout.places }));
    for (const [id, corner] of old) expect(now.get(id)!.x).toBe(corner.x);
  });

  it("is empty for no nodes", () => {
    expect(layOut({ ids: [], heights: [], nodeWidth: 208, from: [], to: [] })).toMatchObject({ width: 0, height: 0 });
  });

  it("lays out 3,000 nodes without overlaps", () => {
    const request = sampleGraph(3000, 1, 80);

    expect(overlaps(request, layOut(request))).toEqual([]);
  });
});

describe("a layout after an earlier one", () => {
  const without = (request: LayoutRequest, gone: number): LayoutRequest => {
    const index = (node: number) => node - (node > gone ? 1 : 0);
    const edges = Array.from(request.from.keys()).filter((edge) => request.from[edge]! !== gone && request.to[edge]! !== gone);
    return {
      ...request,
      ids: request.ids.filter((_, node) => node !== gone),
      heights: request.heights.slice(1),
      from: edges.map((edge) => index(request.from[edge]!)),
      to: edges.map((edge) => index(request.to[edge]!)),
    };
  };

  it("is the same when nothing has changed", () => {
    const request = sampleGraph(60, 5, 12);
    const before = layOut(request);

    const after = layOut({ ...request, earlier: before.places });

    for (const [id, corner] of before.places) {
      expect(after.places.get(id)!.x).toBe(corner.x);
      expect(after.places.get(id)!.y).toBeCloseTo(corner.y, 6);
    }
  });

  it("keeps the order of old nodes when one is added", () => {
    for (let seed = 1; seed <= 20; seed++) {
      const after = sampleGraph(60, seed, 12);
      const before = without(after, 59 - seed);
      const { places } = layOut(before);
      const old = new Map(before.ids.map((id) => [id, places.get(id)!]));

      const layout = layOut({ ...after, earlier: places });

      const now = corners(after, layout);
      expect(overlaps(after, layout)).toEqual([]);
      const ids = [...old.keys()];
      const order = (places: Map<string, { x: number; y: number }>, one: string, other: string) => Math.sign(places.get(one)!.y - places.get(other)!.y);
      const changed = ids.flatMap((one) =>
        ids.filter((other) => {
          if (now.get(one)!.x !== now.get(other)!.x || old.get(one)!.x !== old.get(other)!.x) return false;
          return order(now, one, other) !== order(old, one, other);
        }),
      );
      expect(changed).toEqual([]);
    }
  });

  it("leaves all old nodes where they are when a node comes at the end of a branch", () => {
    const before = graph("a>b b>c a>d d>e");
    const old = corners(before, layOut(before));
    const after = graph("a>b b>c a>d d>e e>f");

    const now = corners(after, layOut({ ...after, earlier: old }));

    for (const [id, corner] of old) {
      expect(now.get(id)!.x).toBe(corner.x);
      expect(now.get(id)!.y).toBeCloseTo(corner.y, 1);
    }
  });

  it("puts a new part below the old ones", () => {
    const before = graph("a>b");
    const old = corners(before, layOut(before));
    const after = graph("a>b c>d");

    const now = corners(after, layOut({ ...after, earlier: old }));

    expect(now.get("a")).toEqual(old.get("a"));
    expect(now.get("c")!.y).toBeGreaterThan(old.get("a")!.y + 64);
  });
});

describe("isotonic regression", () => {
  it("pools what is out of order to its weighted mean", () => {
    expect([...isotonic(Float64Array.of(1, 5, 3, 4), Float64Array.of(1, 1, 3, 1))]).toEqual([1, 3.5, 3.5, 4]);
  });
});

function dagreRoutes(request: LayoutRequest): { from: number; to: number; points: number[][] }[] {
  const oracle = new dagre.graphlib.Graph();
  oracle.setGraph({ rankdir: "LR", nodesep: 16, ranksep: 56 });
  oracle.setDefaultEdgeLabel(() => ({}));
  request.ids.forEach((id, node) => oracle.setNode(id, { width: 208, height: request.heights[node]! }));
  request.from.forEach((from, edge) => oracle.setEdge(request.ids[from]!, request.ids[request.to[edge]!]!));
  dagre.layout(oracle);
  return request.from.map((from, edge) => ({
    from,
    to: request.to[edge]!,
    points: oracle.edge(request.ids[from]!, request.ids[request.to[edge]!]!).points.map((point: { x: number; y: number }) => [point.x, point.y]),
  }));
}
