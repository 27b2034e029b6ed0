/** Keeps the overview of all projects up to date by events. */
import { follow } from "./live/client.svelte";
import { Memory, type Overview, overviewAfter } from "./overview";
import type { Resource } from "./resource.svelte";

/** Apply events to an overview. Call it while a component is made. */
export function followOverview(source: Resource<Overview>): void {
  let memory: { position: string; memory: Memory } | undefined;
  follow(source, () => ({ kinds: ["job", "datum", "pipeline", "worker"] }), (overview, events) => {
    if (memory?.position !== overview.position) memory = { position: overview.position, memory: new Memory(overview) };
    return overviewAfter(overview, events, memory.memory);
  });
}
