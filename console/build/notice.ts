/** Writes NOTICE.txt: what is bundled, with its licences. A licence that is not listed here fails the build. */
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Plugin } from "vite";

const ADMITTED = new Set(["MIT", "ISC", "BSD-2-Clause", "BSD-3-Clause", "Apache-2.0"]);
/** Packages with a choice of licences, and the one that they are used under. */
const CHOICES: Record<string, string> = { "(MPL-2.0 OR Apache-2.0)": "Apache-2.0" };

interface Package {
  name: string;
  version: string;
  license: string;
  folder: string;
}

/** Return the plugin of the bundle, which writes the file, and that of workers, which are bundled before. */
export function notice(): { bundle: Plugin; worker: Plugin } {
  const packages = new Map<string, Package>();
  const collect = (bundle: Record<string, { type: string; modules?: object }>): void => {
    for (const id of Object.values(bundle).flatMap((file) => Object.keys(file.modules ?? {}))) {
      const entry = packageOf(id);
      if (entry) packages.set(entry.name, entry);
    }
  };
  const worker: Plugin = { name: "notice-worker", apply: "build", generateBundle: (_options, bundle) => collect(bundle) };
  const bundle: Plugin = {
    name: "notice",
    apply: "build",
    generateBundle(_options, files) {
      collect(files);
      const sorted = [...packages.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
      const texts = sorted.map((entry) => textOf(entry, (reason) => this.error(reason)));
      const head = "The console contains these packages.\n";
      this.emitFile({ type: "asset", fileName: "NOTICE.txt", source: [head, ...texts].join("\n") });
    },
  };
  return { bundle, worker };
}

/** Return the package that a module belongs to; undefined for our own. */
function packageOf(id: string): Package | undefined {
  const path = id.replace(/^\0/, "").replace(/\?.*$/, "");
  if (!path.includes("node_modules")) return undefined;
  for (let folder = dirname(path); folder.includes("node_modules"); folder = dirname(folder)) {
    const file = join(folder, "package.json");
    if (!existsSync(file)) continue;
    const fields = JSON.parse(readFileSync(file, "utf8")) as Partial<Package>;
    if (fields.name && fields.version) {
      return { name: fields.name, version: fields.version, license: fields.license ?? "", folder };
    }
  }
  return undefined;
}

function textOf(entry: Package, fail: (reason: string) => never): string {
  const license = CHOICES[entry.license] ?? entry.license;
  if (!ADMITTED.has(license)) {
    fail(`${entry.name} has the licence "${entry.license}", which may not be bundled; see build/notice.ts`);
  }
  const file = readdirSync(entry.folder).find((name) => /^licen[cs]e/i.test(name));
  const text = file ? readFileSync(join(entry.folder, file), "utf8").trim() : "";
  return `${"-".repeat(72)}\n${entry.name} ${entry.version} (${license})\n\n${text}\n`;
}
