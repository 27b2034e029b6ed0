/**
 * What a reader has chosen for this browser: theme, zone, density, single keys. Cookies, because the server writes the
 * theme into the page; everything else of a view is in its address.
 */
import { type Zone, setZone } from "./time";

export type ThemeChoice = "system" | "light" | "dark";
export type Density = "dense" | "default" | "airy";

const YEAR = 31_536_000;

let theme = $state<ThemeChoice>(oneOf(cookie("trunkline-theme"), ["light", "dark"], "system"));
const firstZone = oneOf(cookie("trunkline-zone"), ["utc"], "local");
let zone = $state<Zone>(firstZone);
let density = $state<Density>(oneOf(cookie("trunkline-density"), ["dense", "airy"], "default"));
let singleKeys = $state(cookie("trunkline-keys") !== "off");
setZone(firstZone);

export const preferences = {
  get theme(): ThemeChoice {
    return theme;
  },
  set theme(chosen: ThemeChoice) {
    theme = chosen;
    document.documentElement.dataset.theme = chosen;
    store("trunkline-theme", chosen);
  },
  get zone(): Zone {
    return zone;
  },
  set zone(chosen: Zone) {
    zone = chosen;
    setZone(chosen);
    store("trunkline-zone", chosen);
  },
  get density(): Density {
    return density;
  },
  set density(chosen: Density) {
    density = chosen;
    store("trunkline-density", chosen);
  },
  /** Whether keys without Ctrl, Alt or Meta do something. */
  get singleKeys(): boolean {
    return singleKeys;
  },
  set singleKeys(chosen: boolean) {
    singleKeys = chosen;
    store("trunkline-keys", chosen ? "on" : "off");
  },
};

function oneOf<T extends string, D extends string>(value: string, values: readonly T[], otherwise: D): T | D {
  return values.find((candidate) => candidate === value) ?? otherwise;
}

function cookie(name: string): string {
  if (typeof document === "undefined") return "";
  const pair = document.cookie.split("; ").find((part) => part.startsWith(`${name}=`));
  return pair?.slice(name.length + 1) ?? "";
}

function store(name: string, value: string): void {
  const secure = location.protocol === "https:" ? "; secure" : "";
  document.cookie = `${name}=${value}; path=/; max-age=${YEAR}; samesite=lax${secure}`;
}
