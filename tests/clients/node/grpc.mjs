// Calls a server by gRPC's client for Node as ../go/grpc_client.go does, with the same output.
// Arguments: HOST:PORT, a file with a FileDescriptorSet, and for TLS a file with the certificate of the CA.

import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import grpc from "@grpc/grpc-js";
import { loadFileDescriptorSetFromBuffer } from "@grpc/proto-loader";

const large = 19 << 20, tooMuch = 21 << 20;
const [address, descriptors, ca] = process.argv.slice(2);
const credentials = ca ? grpc.credentials.createSsl(readFileSync(ca)) : grpc.credentials.createInsecure();
const definition = loadFileDescriptorSetFromBuffer(readFileSync(descriptors), {});
const Client = grpc.loadPackageDefinition(definition).pfs_v2.API;
const options = { "grpc.max_receive_message_length": tooMuch, "grpc.max_send_message_length": 2 * tooMuch };
const client = new Client(address, credentials, options);
const gzip = new Client(address, credentials, {
  ...options, "grpc.default_compression_algorithm": grpc.compressionAlgorithms.gzip,
});

const repo = "client-node";
const repoOf = (name) => ({ name, type: "user", project: { name: "default" } });
const commit = { branch: { name: "master", repo: repoOf(repo) } };
const deadline = (seconds = 60) => ({ deadline: Date.now() + seconds * 1000 });

function unary(client, method, request, metadata = new grpc.Metadata(), options = {}) {
  return new Promise((resolve, reject) =>
    client[method](request, metadata, { ...deadline(), ...options }, (error, answer) =>
      error ? reject(error) : resolve(answer)));
}

function upload(client, files) {
  return new Promise((resolve, reject) => {
    const call = client.modifyFile(new grpc.Metadata(), deadline(), (error) => (error ? reject(error) : resolve()));
    call.write({ set_commit: commit });
    for (const [path, content] of Object.entries(files)) call.write({ add_file: { path, raw: { value: content } } });
    call.end();
  });
}

async function collected(call) {
  const answers = [];
  for await (const answer of call) answers.push(answer);
  return answers;
}

async function codeOf(promise) {
  try {
    await promise;
    return 0;
  } catch (error) {
    result.domain ??= error.metadata?.get("grpc-status-details-bin")[0]?.includes("trunkline") ? "trunkline" : undefined;
    return error.code;
  }
}

async function cancelled() {
  const call = client.subscribeCommit({ repo: repoOf(repo), branch: "master", state: "STARTED" }, deadline());
  for await (const _ of call) call.cancel();
}

const result = {};
await unary(client, "createRepo", { repo: repoOf(repo) });
const metadata = new grpc.Metadata();
metadata.set("x-client", "node");
metadata.set("x-client-bin", Buffer.from([0, 255]));
result.inspected = (await unary(gzip, "inspectRepo", { repo: repoOf(repo) }, metadata)).repo.name === repo;
result.missing = await codeOf(unary(client, "inspectRepo", { repo: repoOf("none") }));

await upload(gzip, { "/a": Buffer.from("a"), "/b": Buffer.from("b") });
const listing = await collected(client.listFile({ file: { commit, path: "/" } }, deadline()));
result.uploaded = listing.map((info) => info.file.path);

await upload(client, { "/large": Buffer.alloc(large) });
const pieces = await collected(client.getFile({ file: { commit, path: "/large" } }, deadline()));
result.large = pieces.reduce((sum, piece) => sum + piece.value.length, 0);
result.beyond = await codeOf(upload(client, { "/beyond": Buffer.alloc(tooMuch) }));
result.late = await codeOf(collected(client.subscribeCommit({ repo: repoOf(repo), branch: "none" }, deadline(0.3))));
result.cancelled = await codeOf(cancelled());

console.log(JSON.stringify(result));
for await (const _ of createInterface({ input: process.stdin })) break;
const again = await codeOf(unary(client, "inspectRepo", { repo: repoOf(repo) }, new grpc.Metadata({ waitForReady: true })));
console.log(JSON.stringify({ again: again === 0 }));
process.exit(0);
