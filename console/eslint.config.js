import svelte from "eslint-plugin-svelte";
import globals from "globals";
import typescript from "typescript-eslint";

/** Imports go downwards: pages use graph, timeline, preview and editor; those use ui; ui uses lib. Areas of pages are apart. */
const above = {
  lib: ["@/ui/*", "@/pages/*", "@/frame/*", "@/graph/*", "@/timeline/*", "@/logview/*", "@/preview/*", "@/editor/*", "@/transfer/*"],
  ui: ["@/pages/*", "@/frame/*", "@/graph/*", "@/timeline/*", "@/logview/*", "@/preview/*", "@/editor/*", "@/transfer/*"],
  graph: ["@/pages/*", "@/frame/*"],
  timeline: ["@/pages/*", "@/frame/*"],
  logview: ["@/pages/*", "@/frame/*"],
  preview: ["@/pages/*", "@/frame/*"],
  transfer: ["@/pages/*", "@/frame/*"],
  editor: ["@/pages/*", "@/frame/*"],
  pages: ["@/pages/*", "@/frame/*", "../*"],
};
const html = "No module makes HTML of text (docs/design/console.md).";

export default typescript.config(
  { ignores: ["node_modules/", "src/lib/api.ts"] },
  typescript.configs.strict,
  ...svelte.configs.recommended,
  {
    languageOptions: { globals: { ...globals.browser }, parserOptions: { extraFileExtensions: [".svelte"] } },
    rules: {
      "@typescript-eslint/consistent-type-imports": "error",
      "@typescript-eslint/no-confusing-void-expression": "off",
      "@typescript-eslint/no-invalid-void-type": "off",
      "@typescript-eslint/no-unused-vars": ["error", { argsIgnorePattern: "^_", varsIgnorePattern: "^_" }],
      "max-lines": ["error", 400],
      "no-restricted-properties": [
        "error",
        ...["innerHTML", "outerHTML", "insertAdjacentHTML"].map((property) => ({ property, message: html })),
        { object: "document", property: "write", message: html },
      ],
      "no-restricted-syntax": [
        "error",
        { selector: "Literal[value=/#[0-9a-fA-F]{6}/]", message: "Colours stand in lib/tokens.ts." },
        { selector: 'SvelteAttribute[key.name="style"]', message: "The content policy forbids style attributes; use style:name={value}." },
        { selector: "CallExpression[callee.property.name=/^toLocale(Time|Date)?String$/]", message: "Use lib/time.ts or lib/format.ts." },
      ],
      "svelte/no-at-html-tags": "error",
      // Links are made by lib/routes.ts; these rules know SvelteKit's router only.
      "svelte/no-navigation-without-resolve": "off",
      // Collections that are not drawn are plain on purpose.
      "svelte/prefer-svelte-reactivity": "off",
    },
  },
  ...Object.entries(above).map(([folder, patterns]) => ({
    files: [`src/${folder}/**`],
    rules: { "no-restricted-imports": ["error", { patterns }] },
  })),
  { files: ["**/*.svelte", "**/*.svelte.ts"], languageOptions: { parserOptions: { parser: typescript.parser } } },
  { files: ["src/lib/tokens.ts", "src/lib/format.ts", "src/**/*.test.ts"], rules: { "no-restricted-syntax": "off" } },
  // Arithmetic on indexes of arrays, and literals of tests.
  { files: ["src/graph/**", "src/**/*.test.ts"], rules: { "@typescript-eslint/no-non-null-assertion": "off" } },
);
