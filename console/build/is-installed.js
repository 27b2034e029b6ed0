/** Exits with 0 when node_modules has the versions of package-lock.json. */
import { readFileSync } from "node:fs";

try {
  const wanted = JSON.parse(readFileSync("package-lock.json", "utf8")).packages;
  const installed = JSON.parse(readFileSync("node_modules/.package-lock.json", "utf8")).packages;
  const differs = ([path, { version, optional }]) =>
    path !== "" && installed[path]?.version !== version && !(optional && installed[path] === undefined);
  process.exitCode = Object.entries(wanted).some(differs) ? 1 : 0;
} catch {
  process.exitCode = 1;
}
