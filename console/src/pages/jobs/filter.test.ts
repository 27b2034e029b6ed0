import { describe, expect, it } from "vitest";
import { admitsJob, commandOf, filterOf, isFiltered, requestOf, topicOf } from "./filter";

function source(text: string) {
  const query = new URLSearchParams(text);
  return { query: (name: string) => query.get(name) ?? "", queryAll: (name: string) => query.getAll(name) };
}

describe("the filter of jobs", () => {
  const filter = filterOf(source("state=failure&state=KILLED&pipeline=edges&from=2026-11-26T10:00:00Z"), "shop");

  it("comes from the address", () => {
    expect(filter).toMatchObject({ projects: ["shop"], states: ["FAILURE", "KILLED"], pipelines: ["edges"] });
    expect(isFiltered(filter, "shop")).toBe(true);
    expect(isFiltered(filterOf(source(""), "shop"), "shop")).toBe(false);
    expect(isFiltered(filterOf(source("project=a"), ""), "")).toBe(true);
  });
  it("goes to the API, to the stream and to the command line", () => {
    expect(requestOf(filter)).toMatchObject({ projects: ["shop"], from: "2026-11-26T10:00:00.000Z" });
    expect(topicOf(filter)).toEqual({ kinds: ["job", "datum"], projects: ["shop"], pipelines: ["edges"] });
    expect(commandOf(filter)).toBe("trunkline list job -p edges --state failure --state killed --project shop");
  });
  it("admits jobs in its states", () => {
    const event = { kind: "job" as const, at: 0, project: "shop", pipeline: "edges", job: "1a", created: 5 };
    expect(admitsJob(filter, { ...event, state: "FAILURE" })).toBe(true);
    expect(admitsJob(filter, { ...event, state: "RUNNING" })).toBe(false);
    expect(admitsJob(filterOf(source(""), ""), { ...event, state: "DELETED" })).toBe(false);
    expect(admitsJob(filterOf(source("until=1970-01-01T00:00:04Z"), ""), { ...event, state: "RUNNING" })).toBe(false);
  });
});
