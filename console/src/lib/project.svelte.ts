/** The project that keys and navigation mean: that of the page, or of the last page that had one. */
import { router } from "./router.svelte";

let last = "default";

/** Return the project's name. Reactive. */
export function currentProject(): string {
  const name = router.param("project") || router.query("project");
  if (name) last = name;
  return name || last;
}
