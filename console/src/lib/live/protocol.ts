/** What tabs and hub say to each other. */
import type { LiveEvent, Topic } from "./events";

/** From a tab to the hub. */
export type ToHub =
  /** Listen, with events after a position; without one, from now on. */
  | { type: "listen"; id: number; topic: Topic; after: string }
  | { type: "unlisten"; id: number }
  | { type: "hidden"; hidden: boolean }
  /** The reader uses this tab: it is served before the others. */
  | { type: "front" }
  /** The last events have been drawn: send the next. */
  | { type: "drawn" }
  | { type: "leave" };

/** From the hub to a tab. */
export type FromHub =
  | { type: "events"; id: number; events: LiveEvent[] }
  /** Something was missed: read the snapshot again. */
  | { type: "reread"; id: number }
  | { type: "stream"; live: boolean; time: number; position: string }
  /** The name of the console's entry script that the server has now. */
  | { type: "build"; entry: string };
