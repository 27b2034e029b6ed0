/** The page of each route: a chunk of its own, loaded when it is opened. */
import type { Component } from "svelte";
import type { RouteName } from "./lib/routes";

type Load = () => Promise<{ default: Component }>;

export const PAGES: Record<RouteName, Load> = {
  home: () => import("./pages/home/Home.svelte"),
  dag: () => import("./pages/dag/Dag.svelte"),
  repos: () => import("./pages/repos/Repos.svelte"),
  repo: () => import("./pages/repos/Repo.svelte"),
  commits: () => import("./pages/commits/Commits.svelte"),
  tree: () => import("./pages/files/Tree.svelte"),
  compare: () => import("./pages/compare/Compare.svelte"),
  pipelines: () => import("./pages/pipelines/Pipelines.svelte"),
  pipeline: () => import("./pages/pipelines/Pipeline.svelte"),
  create: () => import("./pages/edit/Edit.svelte"),
  edit: () => import("./pages/edit/Edit.svelte"),
  projectJobs: () => import("./pages/jobs/Jobs.svelte"),
  jobs: () => import("./pages/jobs/Jobs.svelte"),
  jobCompare: () => import("./pages/jobcompare/JobCompare.svelte"),
  job: () => import("./pages/job/Job.svelte"),
  datum: () => import("./pages/datum/Datum.svelte"),
  runs: () => import("./pages/runs/Runs.svelte"),
  run: () => import("./pages/runs/Run.svelte"),
  logs: () => import("./pages/logs/Logs.svelte"),
  machines: () => import("./pages/machines/Machines.svelte"),
  settings: () => import("./pages/settings/Settings.svelte"),
  settingsPart: () => import("./pages/settings/Settings.svelte"),
};
