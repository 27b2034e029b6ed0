/** Starts workers from the console's own files; Trusted Types admit no other addresses. */
const PREFIX = "/ui/assets/";

interface Policy {
  createScriptURL(address: string): string;
}
interface Types {
  createPolicy(name: string, rules: { createScriptURL(address: string): string }): Policy;
}

let policy: Policy | undefined;

/** Return what `new Worker` and `new SharedWorker` take, for an address from `import … from "…?worker&url"`. */
export function workerAddress(address: string): string {
  policy ??= made();
  return policy.createScriptURL(address);
}

function made(): Policy {
  const rules = {
    createScriptURL(address: string): string {
      const url = new URL(address, location.origin);
      if (import.meta.env.PROD && (url.origin !== location.origin || !url.pathname.startsWith(PREFIX))) {
        throw new TypeError(`workers are started from ${PREFIX} only, not from ${address}`);
      }
      return url.href;
    },
  };
  const types = (globalThis as { trustedTypes?: Types }).trustedTypes;
  return types?.createPolicy("console-workers", rules) ?? rules;
}
