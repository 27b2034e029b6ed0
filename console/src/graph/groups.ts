/**
 * Groups of nodes by their names: what stands before the first "-", "_" or "." is the name of a group when more than
 * one node has it. Specs have no field for groups, and people who have many pipelines name them so.
 */

/** The group of each name; empty for a name that is alone. */
export function groupNames(names: readonly string[]): string[] {
  const prefixes = names.map((name) => /^[^-_.]+(?=[-_.])|^[^-_.]+$/.exec(name)?.[0] ?? "");
  const sizes = new Map<string, number>();
  for (const prefix of prefixes) sizes.set(prefix, (sizes.get(prefix) ?? 0) + 1);
  return prefixes.map((prefix) => ((sizes.get(prefix) ?? 0) > 1 ? prefix : ""));
}
