// Calls a server by the Connect protocol with its published clients, and prints what came back as JSON.
// Arguments: the server's URL and a file with a FileDescriptorSet.

import { readFileSync } from "node:fs";
import { createFileRegistry, fromBinary } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport as nodeTransport } from "@connectrpc/connect-node";
import { createConnectTransport as webTransport } from "@connectrpc/connect-web";

const [baseUrl, descriptors] = process.argv.slice(2);
const registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, readFileSync(descriptors)));
const service = registry.getService("pfs_v2.API");

const transports = {
  "node, HTTP/1.1, protobuf": nodeTransport({ baseUrl, httpVersion: "1.1" }),
  "node, HTTP/1.1, JSON": nodeTransport({ baseUrl, httpVersion: "1.1", useBinaryFormat: false }),
  "node, HTTP/2, protobuf": nodeTransport({ baseUrl, httpVersion: "2" }),
  "node, HTTP/2, JSON, gzip": nodeTransport({
    baseUrl, httpVersion: "2", useBinaryFormat: false, compressMinBytes: 1,
  }),
  "browser, JSON": webTransport({ baseUrl }),
  "browser, protobuf": webTransport({ baseUrl, useBinaryFormat: true }),
};

const project = { name: "default" };
const repoOf = (name) => ({ name, type: "user", project });
const branchOf = (name) => ({ repo: repoOf(name), name: "master" });

async function codeOf(call) {
  try {
    await call();
    return "OK";
  } catch (error) {
    return Code[ConnectError.from(error).code];
  }
}

async function names(client) {
  const all = [];
  for await (const info of client.listRepo({})) all.push(info.repo.name);
  return all.sort();
}

async function* uploads(name) {
  yield { body: { case: "setCommit", value: { branch: branchOf(name) } } };
  for (const path of ["/a", "/b"]) {
    yield { body: { case: "addFile", value: { path, source: { case: "raw", value: new TextEncoder().encode(path) } } } };
  }
}

const results = {};
for (const [label, transport] of Object.entries(transports)) {
  const client = createClient(service, transport);
  const name = label.replaceAll(/[^a-z0-9]+/gi, "-");
  await client.createRepo({ repo: repoOf(name) });
  const result = {
    inspected: (await client.inspectRepo({ repo: repoOf(name) })).repo.name === name,
    listed: (await names(client)).includes(name),
    missing: await codeOf(() => client.inspectRepo({ repo: repoOf("none") })),
    missingInStream: await codeOf(async () => {
      for await (const _ of client.listFile({ file: { commit: { branch: branchOf("none") }, path: "/" } }));
    }),
    late: await codeOf(async () => {
      const request = { repo: repoOf(name), branch: "master" };
      for await (const _ of client.subscribeCommit(request, { timeoutMs: 300 }));
    }),
  };
  if (label.startsWith("node")) {
    await client.modifyFile(uploads(name));
    const paths = [];
    for await (const info of client.listFile({ file: { commit: { branch: branchOf(name) }, path: "/" } })) {
      paths.push(info.file.path);
    }
    result.uploaded = paths;
  }
  results[label] = result;
}
console.log(JSON.stringify(results));
process.exit(0);
