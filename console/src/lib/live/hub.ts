/** The hub as a SharedWorker. */
import { Hub } from "./hub-core";
import type { ToHub } from "./protocol";
import { browser } from "./surroundings";

const hub = new Hub(browser);

(globalThis as unknown as { onconnect: (event: MessageEvent) => void }).onconnect = (event) => {
  const port = event.ports[0];
  if (!port) return;
  const receive = hub.join((message) => port.postMessage(message));
  port.onmessage = (message: MessageEvent<ToHub>) => receive(message.data);
};
