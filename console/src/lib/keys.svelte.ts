/**
 * Keys of all pages. A page registers what it answers while it is shown; `?` lists that. Single keys act only outside
 * fields, and can be switched off.
 */
import { untrack } from "svelte";
import { preferences } from "./preferences.svelte";

export interface Key {
  /** As KeyboardEvent.key has it: "j", "Enter", "Ctrl+k", or two in a row: "g h". "Ctrl" is also Cmd. */
  keys: string;
  /** What it does, for the list. */
  label: string;
  run: (event: KeyboardEvent) => void;
}

/** Milliseconds in which the second key of two must come. */
const SEQUENCE = 1_000;

let registered = $state.raw<readonly Key[]>([]);
let first = "";
let firstAt = 0;

export const keys = {
  /** What is registered, without doubles: a later registration covers an earlier one. */
  get all(): readonly Key[] {
    return [...new Map(registered.map((key) => [key.keys, key])).values()];
  },
};

/** Register keys while a component is shown. Call it while the component is made. */
export function useKeys(list: readonly Key[]): void {
  $effect(() => {
    registered = [...untrack(() => registered), ...list];
    return () => {
      registered = registered.filter((key) => !list.includes(key));
    };
  });
}

/** Begin to listen. */
export function startKeys(): void {
  addEventListener("keydown", pressed);
}

function pressed(event: KeyboardEvent): void {
  if (event.defaultPrevented || event.isComposing || event.altKey) return;
  const held = event.ctrlKey || event.metaKey;
  if (!held && (isField(event.target) || !preferences.singleKeys)) return;
  if (document.querySelector("dialog[open]") && !held) return;
  const name = held ? `Ctrl+${event.key.toLowerCase()}` : event.key;
  const both = event.timeStamp - firstAt < SEQUENCE ? `${first} ${name}` : "";
  const key = registered.findLast((candidate) => candidate.keys === both) ?? registered.findLast((candidate) => candidate.keys === name);
  first = key ? "" : name;
  firstAt = event.timeStamp;
  if (key) {
    event.preventDefault();
    key.run(event);
  }
}

function isField(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false;
  if (target.isContentEditable || target.shadowRoot?.activeElement) return true;
  if (target instanceof HTMLInputElement) return !["checkbox", "radio", "button", "range"].includes(target.type);
  return target instanceof HTMLTextAreaElement || target instanceof HTMLSelectElement;
}
