/**
 * Colours, sizes and spacing: the only place that has colours. Styles read them as custom properties (`var(--page)`),
 * canvas reads them with `palette()`. Contrasts are tested in tokens.test.ts.
 */
export type Theme = "light" | "dark";

export const THEMES = {
  light: {
    page: "#FFFFFF",
    surface: "#F6F7F9",
    raised: "#ECEFF3",
    text: "#1A1F27",
    muted: "#566072",
    control: "#7A8494",
    hairline: "#D3D8E0",
    good: "#005640",
    active: "#104CEF",
    wait: "#845902",
    bad: "#901217",
    neutral: "#5A6370",
    shade: "#1A1F2766",
    shadow: "0 4px 16px #1A1F2729",
  },
  dark: {
    page: "#12151A",
    surface: "#191D24",
    raised: "#232933",
    text: "#E6EAF0",
    muted: "#A3ADBC",
    control: "#7F8A9B",
    hairline: "#343C49",
    good: "#4FD2B1",
    active: "#559AEC",
    wait: "#EAB35D",
    bad: "#F86965",
    neutral: "#919BA9",
    shade: "#00000099",
    shadow: "0 4px 16px #000000A6",
  },
} as const satisfies Record<Theme, Record<string, string>>;

/** A colour that has a meaning: what a state's mark is drawn in. */
export type Role = "good" | "active" | "wait" | "bad" | "neutral";
export type Colour = keyof (typeof THEMES)["light"];

export const SIZES = {
  sans: 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif',
  mono: 'ui-monospace, "SF Mono", "Cascadia Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace',
  "text-12": "12px",
  "text-13": "13px",
  "text-14": "14px",
  "text-16": "16px",
  "text-20": "20px",
  "text-24": "24px",
  "space-4": "4px",
  "space-8": "8px",
  "space-12": "12px",
  "space-16": "16px",
  "space-24": "24px",
  "space-32": "32px",
  "radius-4": "4px",
  "radius-8": "8px",
  "header-height": "48px",
  "nav-width": "184px",
} as const;

/** Heights of rows in px, by density. */
export const ROW_HEIGHTS = { dense: 24, default: 32, airy: 40 } as const;

/** Return the colours of the theme that is shown, for canvas. */
export function palette(): Record<Colour, string> {
  return THEMES[shownTheme()];
}

/** Return the theme that is shown; "system" follows the operating system. */
export function shownTheme(): Theme {
  const chosen = document.documentElement.dataset.theme;
  if (chosen === "light" || chosen === "dark") return chosen;
  return matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
}
