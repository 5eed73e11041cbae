/**
 * Runs test files, or one plain script, in a network of its own if that can be had.
 *
 * Chromium offers every address of the machine as a candidate. In a network namespace with nothing but
 * loopback there is only 127.0.0.1, so nothing leaves the machine and nothing depends on its network.
 * Making a namespace takes root; without it the tests run where they are.
 */

import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

const [major, minor] = process.versions.node.split(".").map(Number);
if (major < 20 || (major === 20 && minor < 19)) {
  throw new Error(`these tests need Node.js 20.19 or later, this is ${process.versions.node}`);
}

const args = process.argv.slice(2);
// Firefox offers no loopback candidates: it needs an interface that looks like a network.
const veth = args[0] === "--veth";
const files = veth ? args.slice(1) : args;

const tests = files.some((file) => file.endsWith(".test.mjs"));
// One file after the other: each has a server and a browser, and measures how smoothly pictures come.
// A client of other people may leave timers behind that would keep the process for a while: force its exit.
const flags = ["--test", "--test-concurrency=1", "--test-timeout=180000", "--test-reporter=spec", "--test-force-exit"];
const command = [process.execPath, ...(tests ? flags : []), ...files];
const isolated = isolation();
const [program, ...rest] = isolated === null ? command : [...isolated, ...command];
const { status, error } = spawnSync(program, rest, {
  stdio: "inherit",
  cwd: fileURLToPath(new URL(".", import.meta.url)),
  env: { ...process.env, SALONO_E2E_ISOLATED: isolated === null ? "no" : "yes" },
});
if (error !== undefined) {
  throw error;
}
process.exitCode = status ?? 1;

/** The command that runs another one in a network namespace, or null. */
function isolation() {
  if (process.getuid?.() !== 0 || process.env.SALONO_E2E_NAMESPACE === "off") {
    return null;
  }
  const lines = ["ip link set lo up"];
  if (veth) {
    lines.push("ip link add e2e0 type veth peer name e2e1", "ip addr add 10.9.9.1/24 dev e2e0");
    lines.push("ip link set e2e0 up", "ip link set e2e1 up", "ip route add default via 10.9.9.1");
  }
  const prefix = ["unshare", "-n", "sh", "-c", `${lines.join(" && ")} && exec "$@"`, "sh"];
  const probe = spawnSync(prefix[0], [...prefix.slice(1), "true"], { stdio: "ignore" });
  return probe.status === 0 ? prefix : null;
}
