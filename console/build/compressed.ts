/** Stores text files compressed only: the server sends them as they are, and unpacks the rare one for old clients. */
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import { rmSync } from "node:fs";
import { join } from "node:path";
import type { Plugin } from "vite";

/** Smaller files gain nothing. */
const LEAST_BYTES = 400;
const TEXTS = /\.(?:js|mjs|css|svg|json|wasm|txt)$/;

export function compressed(): Plugin {
  return {
    name: "compressed",
    apply: "build",
    enforce: "post",
    generateBundle: {
      order: "post",
      handler(_options, bundle) {
        for (const [name, file] of Object.entries(bundle)) {
          if (!TEXTS.test(name) || !name.startsWith("assets/")) continue;
          const source = Buffer.from(file.type === "chunk" ? file.code : file.source);
          if (source.length < LEAST_BYTES) continue;
          const params = { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: source.length };
          this.emitFile({ type: "asset", fileName: `${name}.br`, source: brotliCompressSync(source, { params }) });
          this.emitFile({ type: "asset", fileName: `${name}.gz`, source: gzipSync(source, { level: 9 }) });
        }
      },
    },
    writeBundle(options, bundle) {
      for (const name of Object.keys(bundle)) {
        if (`${name}.gz` in bundle) rmSync(join(options.dir ?? ".", name));
      }
    },
  };
}
