import { describe, expect, it } from "vitest";
import { withProgress } from "./causes";
import { rowAfter } from "./job-rows";

describe("the sentence about a job that runs", () => {
  const job = rowAfter(undefined, { kind: "job", at: 0, project: "p", pipeline: "edges", job: "0e", state: "RUNNING", total: 1_200, skipped: 200, processed: 311, failed: 1 });

  it("has the job's numbers of now", () => {
    expect(withProgress("job 0e runs: 0 of 1,000 datums have a result; 2 more jobs wait behind it", job)).toBe(
      "job 0e runs: 312 of 1,000 datums have a result; 2 more jobs wait behind it",
    );
  });
  it("stays as it is without such numbers, or without a job", () => {
    expect(withProgress("it is stopped", job)).toBe("it is stopped");
    expect(withProgress("job 0e runs: 1 of 9 datums have a result", undefined)).toBe("job 0e runs: 1 of 9 datums have a result");
  });
});
