/** Lays out graphs in a worker, one after the other. */
import { layOut, type LayoutRequest } from "./layout";

addEventListener("message", (event: MessageEvent<{ id: number; request: LayoutRequest }>) => {
  postMessage({ id: event.data.id, layout: layOut(event.data.request) });
});
