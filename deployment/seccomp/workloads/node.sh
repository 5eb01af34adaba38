#!/bin/bash
# What Node programs do: workers, children, watched files, servers, packages.
set -euo pipefail
cd "$(mktemp -d)"

cat >all.mjs <<'JS'
import assert from "node:assert";
import { execFileSync, fork, spawn } from "node:child_process";
import crypto from "node:crypto";
import dgram from "node:dgram";
import dns from "node:dns/promises";
import { once } from "node:events";
import fs from "node:fs";
import http from "node:http";
import net from "node:net";
import os from "node:os";
import zlib from "node:zlib";
import { Worker } from "node:worker_threads";

assert.equal(execFileSync("echo", ["x"]).toString(), "x\n");
const child = spawn("sh", ["-c", "cat; exit 3"], { detached: true });
child.stdin.end("x");
assert.deepEqual(await once(child, "exit"), [3, null]);
fs.writeFileSync("forked.cjs", "process.on('message', (m) => { process.send(m); process.exit(); });");
const forked = fork("./forked.cjs");
forked.send("hello");
assert.equal((await once(forked, "message"))[0], "hello");

const worker = new Worker("require('node:worker_threads').parentPort.postMessage(1)", { eval: true });
assert.deepEqual(await once(worker, "message"), [1]);

fs.mkdirSync("a/b", { recursive: true });
const changed = new Promise((done) => {
  const watcher = fs.watch("a", () => { watcher.close(); done(); });
});
fs.writeFileSync("a/file", "x".repeat(100_000));
await changed;
fs.copyFileSync("a/file", "a/copy");
fs.cpSync("a", "c", { recursive: true });
fs.renameSync("a/copy", "a/moved");
fs.symlinkSync("file", "a/soft");
fs.utimesSync("a/file", 1, 2);
fs.chmodSync("a/file", 0o600);
fs.accessSync("a/file");
fs.realpathSync("a/soft");
fs.statfsSync?.(".");
const file = await fs.promises.open("a/file", "r+");
await file.datasync();
await file.sync();
await file.truncate(10);
await file.close();
fs.readdirSync(".", { withFileTypes: true });
fs.mkdtempSync("made-");
fs.rmSync("c", { recursive: true });

const server = http.createServer((_, answer) => answer.end("ok")).listen(0, "127.0.0.1");
await once(server, "listening");
const got = await new Promise((done) => http.get({ port: server.address().port, host: "127.0.0.1" }, done));
assert.equal(got.statusCode, 200);
got.resume();
server.close();
const local = net.createServer((socket) => socket.end()).listen("local.sock");
await once(local, "listening");
await once(net.connect("local.sock").resume(), "close");
local.close();
const datagrams = dgram.createSocket("udp4");
datagrams.bind(0, "127.0.0.1");
await once(datagrams, "listening");
datagrams.close();
await dns.lookup("localhost");
await dns.lookup("nowhere.test").catch(() => undefined);
await dns.resolve4("nowhere.test").catch(() => undefined);
assert.deepEqual(Object.keys(os.networkInterfaces()), ["lo"]);
os.cpus(); os.loadavg(); os.freemem(); os.userInfo(); os.getPriority(); os.setPriority(1);
zlib.gzipSync("x"); await crypto.subtle.digest("SHA-256", new Uint8Array(1)); crypto.randomBytes(8);
crypto.generateKeyPairSync("ed25519");
assert.equal(eval("let s = 0; for (let i = 0; i < 1e6; i++) s += i; s"), 499999500000);
JS
node all.mjs

mkdir parcel app
cat >parcel/package.json <<'JSON'
{"name": "parcel", "version": "1.0.0", "main": "index.js", "bin": {"parcel": "index.js"}}
JSON
printf '#!/usr/bin/env node\nconsole.log(42);\n' >parcel/index.js
(cd parcel && npm pack --silent --pack-destination ..)
cd app
npm init --yes --silent >/dev/null
npm install --silent --offline --no-audit --no-fund ../parcel-1.0.0.tgz
npm pkg set scripts.test='parcel'
test "$(npm test --silent)" = 42
echo "node: all done"
