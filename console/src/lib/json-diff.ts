/** The fields in which two JSON documents differ. Pure. */

export interface FieldChange {
  /** Such as input.pfs.glob. */
  path: string;
  /** As JSON; undefined: not set. */
  before: string | undefined;
  after: string | undefined;
}

/**
 * Return the fields that differ, in the order of the second document, then those that are gone.
 *
 * @param before the older document, as text.
 * @param after the newer one.
 */
export function jsonChanges(before: string, after: string): FieldChange[] {
  const [old, young] = [leaves(before), leaves(after)];
  const changes: FieldChange[] = [];
  for (const [path, value] of young) {
    if (old.get(path) !== value) changes.push({ path, before: old.get(path), after: value });
  }
  for (const [path, value] of old) {
    if (!young.has(path)) changes.push({ path, before: value, after: undefined });
  }
  return changes;
}

/** Return a JSON text with line breaks; the text itself when it is not JSON. */
export function pretty(json: string): string {
  try {
    return JSON.stringify(JSON.parse(json), null, 2);
  } catch {
    return json;
  }
}

function leaves(text: string): Map<string, string> {
  const result = new Map<string, string>();
  let value: unknown;
  try {
    value = JSON.parse(text || "{}");
  } catch {
    return result;
  }
  collect(value, "", result);
  return result;
}

function collect(value: unknown, path: string, result: Map<string, string>): void {
  if (Array.isArray(value)) {
    // Lists of plain values, such as commands, are read as a whole.
    if (value.every((item) => typeof item !== "object")) result.set(path, JSON.stringify(value));
    else value.forEach((item, at) => collect(item, `${path}[${at}]`, result));
  } else if (typeof value === "object" && value !== null) {
    for (const [name, item] of Object.entries(value)) collect(item, path ? `${path}.${name}` : name, result);
  } else result.set(path, JSON.stringify(value));
}
