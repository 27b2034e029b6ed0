/** Makes `virtual:tokens.css` from the table of tokens, so that styles and canvas read the same values. */
import type { Plugin } from "vite";
import { THEMES, type Theme, SIZES } from "../src/lib/tokens.ts";

const NAME = "virtual:tokens.css";

export function tokenStyles(): Plugin {
  return {
    name: "token-styles",
    resolveId: (id) => (id === NAME ? `\0${NAME}` : undefined),
    load: (id) => (id === `\0${NAME}` ? styles() : undefined),
  };
}

function styles(): string {
  const light = colours("light");
  const dark = colours("dark");
  const sizes = Object.entries(SIZES).map(([name, value]) => `--${name}:${value};`);
  return [
    `:root{color-scheme:light;${light}${sizes.join("")}}`,
    `:root[data-theme="dark"]{color-scheme:dark;${dark}}`,
    `@media (prefers-color-scheme:dark){:root[data-theme="system"]{color-scheme:dark;${dark}}}`,
  ].join("\n");
}

function colours(theme: Theme): string {
  return Object.entries(THEMES[theme])
    .map(([name, value]) => `--${name}:${value};`)
    .join("");
}
