/** Builds the console into the Python package (docs/design/console.md). */
import { fileURLToPath } from "node:url";
import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vitest/config";
import { compressed } from "./build/compressed.ts";
import { notice } from "./build/notice.ts";
import { tokenStyles } from "./build/token-styles.ts";

const bundled = notice();

export default defineConfig({
  base: "/ui/",
  plugins: [tokenStyles(), svelte(), bundled.bundle, compressed()],
  resolve: { alias: { "@": fileURLToPath(new URL("./src", import.meta.url)) } },
  worker: { format: "es", plugins: () => [bundled.worker] },
  build: {
    outDir: "../src/trunkline/console",
    emptyOutDir: true,
    target: "es2022",
    assetsInlineLimit: 0, // the content policy admits no data: addresses
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    rolldownOptions: {
      output: {
        // What most pages share is one file: each more costs a request before the first picture.
        codeSplitting: { groups: [{ name: "shared", test: /\/(node_modules\/(svelte|esm-env|clsx)|src\/(lib|ui|frame))\//, minShareCount: 2 }] },
      },
    },
  },
  // The limit ends what hangs; a busy machine is slow.
  test: { include: ["src/**/*.test.ts"], environment: "node", testTimeout: 60_000 },
});
