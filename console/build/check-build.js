/**
 * Compares two builds, texts unpacked, and checks the sizes of docs/design/console.md.
 *
 *     node build/check-build.js MADE COMMITTED
 */
import { existsSync, readFileSync, readdirSync, statSync } from "node:fs";
import { join, relative } from "node:path";
import { brotliDecompressSync, gunzipSync, gzipSync } from "node:zlib";

/** The entry with the home page, compressed with gzip, in bytes; and everything as it is in the wheel. */
const LIMITS = { script: 150_000, style: 25_000, requests: 12, wheel: 3_000_000 };
/** Requests of the first page beside scripts and styles: page, icon, hub, and the reads of the home page. */
const OTHER_REQUESTS = 5;

/** The manifest is for this script and not committed: it has paths of the machine. */
const MANIFEST = "manifest.json";

const [made, committed] = process.argv.slice(2);
const problems = [...differences(made, committed), ...excesses(made)];
for (const problem of problems) console.error(problem);
process.exitCode = problems.length > 0 ? 1 : 0;

function files(folder) {
  if (!existsSync(folder)) return [];
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile() && entry.name !== MANIFEST).map((entry) => relative(folder, join(entry.parentPath, entry.name)));
}

function content(path) {
  const bytes = readFileSync(path);
  if (path.endsWith(".gz")) return gunzipSync(bytes);
  return path.endsWith(".br") ? brotliDecompressSync(bytes) : bytes;
}

function differences(left, right) {
  const names = [...new Set([...files(left), ...files(right)])].sort();
  const differing = names.filter((name) => {
    const [one, other] = [join(left, name), join(right, name)];
    return !existsSync(one) || !existsSync(other) || !content(one).equals(content(other));
  });
  if (differing.length === 0) return [];
  const some = differing.slice(0, 5).join(", ") + (differing.length > 5 ? ", …" : "");
  return [`src/trunkline/console is not what console/ makes (${differing.length} files: ${some}); run scripts/console build and commit it`];
}

/** Return the files that a chunk loads before it runs. */
function closure(manifest, name, reached = new Set()) {
  const chunk = manifest[name];
  if (!chunk || reached.has(name)) return [];
  reached.add(name);
  const imported = (chunk.imports ?? []).flatMap((one) => closure(manifest, one, reached));
  return [...new Set([chunk.file, ...(chunk.css ?? []), ...imported])];
}

function size(folder, name) {
  const packed = join(folder, `${name}.gz`);
  return existsSync(packed) ? statSync(packed).size : gzipSync(readFileSync(join(folder, name)), { level: 9 }).length;
}

function excesses(folder) {
  const manifest = JSON.parse(readFileSync(join(folder, MANIFEST), "utf8"));
  const first = [...new Set([...closure(manifest, "index.html"), ...closure(manifest, "src/pages/home/Home.svelte")])];
  const total = (ending) => first.filter((name) => name.endsWith(ending)).reduce((sum, name) => sum + size(folder, name), 0);
  const figures = {
    script: total(".js"),
    style: total(".css"),
    requests: first.length + OTHER_REQUESTS,
    wheel: files(folder).reduce((sum, name) => sum + statSync(join(folder, name)).size, 0),
  };
  console.log(`first load: script ${figures.script} B, style ${figures.style} B, ${figures.requests} requests; all files ${figures.wheel} B`);
  return Object.entries(LIMITS)
    .filter(([name, limit]) => figures[name] > limit)
    .map(([name, limit]) => `${name} is ${figures[name]}; the limit is ${limit} (docs/design/console.md)`);
}
