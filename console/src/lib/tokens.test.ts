import { describe, expect, it } from "vitest";
import { type Colour, THEMES, type Theme } from "./tokens";

/** Relative luminance and contrast as WCAG 2.2 defines them. */
function luminance(colour: string): number {
  const [red = 0, green = 0, blue = 0] = [1, 3, 5].map((at) => {
    const part = parseInt(colour.slice(at, at + 2), 16) / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

function contrast(theme: Theme, front: Colour, back: Colour): number {
  const [high = 0, low = 0] = [front, back].map((name) => luminance(THEMES[theme][name])).sort((a, b) => b - a);
  return (high + 0.05) / (low + 0.05);
}

describe.each(["light", "dark"] as const)("colours of the %s theme", (theme) => {
  const backs = ["page", "surface", "raised"] as const;
  it.each(["text", "muted", "good", "active", "wait", "bad", "neutral"] as const)("%s is legible", (name) => {
    for (const back of backs) expect(contrast(theme, name, back)).toBeGreaterThanOrEqual(4.5);
  });
  it("borders of controls stand out", () => {
    for (const back of backs) expect(contrast(theme, "control", back)).toBeGreaterThanOrEqual(3);
  });
});
