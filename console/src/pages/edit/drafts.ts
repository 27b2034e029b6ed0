/** Drafts of specs: kept in the tab until they are applied or given up. */
export function draftKey(project: string, pipeline: string): string {
  return `draft ${project}/${pipeline}`;
}

export function readDraft(key: string): string | undefined {
  try {
    return sessionStorage.getItem(key) ?? undefined;
  } catch {
    return undefined;
  }
}

export function storeDraft(key: string, text: string | undefined): void {
  try {
    if (text === undefined) sessionStorage.removeItem(key);
    else sessionStorage.setItem(key, text);
  } catch {
    // The browser's store is full or forbidden: then there is no draft.
  }
}

/** What a new pipeline begins with. */
export const TEMPLATE = `\
pipeline:
  name: ""
transform:
  cmd: [sh]
  stdin:
  - cp /pfs/in/* /pfs/out/
input:
  pfs:
    name: in
    repo: ""
    glob: "/*"
`;

/** Return JSON as it is shown: indented. What cannot be parsed stays as it is. */
export function pretty(json: string): string {
  try {
    return `${JSON.stringify(JSON.parse(json), null, 2)}\n`;
  } catch {
    return json;
  }
}

/** Return a JSON value as YAML. */
export function toYaml(value: unknown, indent = ""): string {
  if (Array.isArray(value)) {
    if (value.length === 0) return " []\n";
    return `\n${value.map((item) => `${indent}-${nested(item, `${indent}  `)}`).join("")}`;
  }
  if (typeof value === "object" && value !== null) {
    const entries = Object.entries(value);
    if (entries.length === 0) return " {}\n";
    return `\n${entries.map(([key, one]) => `${indent}${scalar(key)}:${below(one, indent)}`).join("")}`;
  }
  if (typeof value === "string" && value.includes("\n") && !/^\s|[^\n]\s+\n|[\u0000-\u0008]/.test(value)) {
    const style = value.endsWith("\n\n") ? "|+" : value.endsWith("\n") ? "|" : "|-";
    const lines = value.replace(/\n$/, "").split("\n");
    return ` ${style}\n${lines.map((line) => (line ? `${indent}${line}` : "")).join("\n")}\n`;
  }
  return ` ${scalar(value)}\n`;
}

/** An item of a list: an object begins on the line of the dash. */
function nested(value: unknown, indent: string): string {
  const text = toYaml(value, indent);
  return text.startsWith("\n") ? ` ${text.slice(1 + indent.length)}` : text;
}

function below(value: unknown, indent: string): string {
  return toYaml(value, Array.isArray(value) ? indent : `${indent}  `);
}

function scalar(value: unknown): string {
  if (typeof value !== "string") return JSON.stringify(value);
  const isPlain = /^[A-Za-z_/][\w /.@:+-]*$/.test(value) && !/: |\s$|:$/.test(value);
  const isWord = /^(?:true|false|yes|no|on|off|null|y|n)$/i.test(value);
  return isPlain && !isWord ? value : JSON.stringify(value);
}
