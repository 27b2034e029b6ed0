/** What the server says of itself; the parts of the settings share one read. */
import type { console as api } from "@/lib/api";
import { call } from "@/lib/call";

export function inspectServer(signal: AbortSignal): Promise<api.ServerInfo> {
  return call("trunkline.console.v1.Console/InspectServer", {}, signal);
}
