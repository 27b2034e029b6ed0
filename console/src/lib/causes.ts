/** How the causes of a pipeline's state (ExplainState) are drawn, and the words for them. */
import { count } from "./format";
import { type JobRow, finishedDatums } from "./job-rows";
import { int } from "./numbers";
import type { StateKind } from "./states";

interface CauseMark {
  kind: StateKind;
  state: string;
  label: string;
}

const MARKS: Record<string, CauseMark> = {
  STOPPED: { kind: "pipeline", state: "PAUSED", label: "stopped" },
  FAILED: { kind: "pipeline", state: "FAILURE", label: "cannot run" },
  CRASHING: { kind: "pipeline", state: "CRASHING", label: "crashing" },
  WAITING_FOR_WORKERS: { kind: "worker", state: "PENDING", label: "waits for workers" },
  WORKING: { kind: "job", state: "RUNNING", label: "works" },
  INPUT_OPEN: { kind: "job", state: "STARTING", label: "waits for input" },
  NO_FILES: { kind: "commit", state: "FORGOTTEN", label: "no files" },
  TRIGGER: { kind: "job", state: "STARTING", label: "waits for its trigger" },
  CRON: { kind: "job", state: "STARTING", label: "waits for its schedule" },
  UPSTREAM_FAILED: { kind: "job", state: "UNRUNNABLE", label: "input failed" },
  JOB_FAILED: { kind: "job", state: "FAILURE", label: "last job failed" },
  NO_MATCH: { kind: "datum", state: "UNKNOWN", label: "no datums" },
  IDLE: { kind: "pipeline", state: "STANDBY", label: "nothing to do" },
};

/** Return the mark of a cause; one that this console does not know is neutral, with its own word. */
export function causeMark(kind: string): CauseMark {
  return MARKS[kind] ?? { kind: "datum", state: "UNKNOWN", label: kind.toLowerCase().replaceAll("_", " ") };
}

/** Return the server's sentence about a job that runs, with the numbers of datums that the job has now. */
export function withProgress(sentence: string, job: JobRow | undefined): string {
  if (!job) return sentence;
  const skipped = int(job.skipped);
  const numbers = `${count(finishedDatums(job) - skipped)} of ${count(int(job.total) - skipped)}`;
  return sentence.replace(/[\d,]+ of [\d,]+(?= datums have a result)/, numbers);
}
