/** A real TURN server, coturn, as a child process on a loopback address of its own. */

import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { until } from "./wait.mjs";

/** Not the address of browser and server, so that rules for packets can tell them apart. */
const ADDRESS = "127.0.0.2";
const USER = "salono";
const PASSWORD = "relayed";
/** Far from what browser and server use; it has the whole range of this address. */
const RELAY_PORTS = { min: 49_152, max: 49_999 };

export class TurnServer {
  /** Everything it logged. */
  log = "";
  #port;
  #tlsPort;
  #child;
  #exit;
  #folder;

  static async start() {
    const server = new TurnServer();
    await server.#start();
    return server;
  }

  async #start() {
    this.#folder = mkdtempSync(join(tmpdir(), "salono-turn-"));
    [this.#port, this.#tlsPort] = await freePorts(2);
    this.#certify();
    const options = {
      "listening-ip": ADDRESS,
      "listening-port": this.#port,
      "tls-listening-port": this.#tlsPort,
      cert: join(this.#folder, "certificate.pem"),
      pkey: join(this.#folder, "key.pem"),
      "relay-ip": ADDRESS,
      "min-port": RELAY_PORTS.min,
      "max-port": RELAY_PORTS.max,
      realm: "example.org",
      user: `${USER}:${PASSWORD}`,
      pidfile: join(this.#folder, "pid"),
      userdb: join(this.#folder, "users"),
      "log-file": "stdout",
    };
    const flags = ["-n", "--lt-cred-mech", "--no-dtls", "--no-cli", "--allow-loopback-peers", "--verbose"];
    const values = Object.entries(options).map(([name, value]) => `--${name}=${value}`);
    this.#child = spawn("turnserver", [...flags, ...values], { stdio: ["ignore", "pipe", "pipe"], cwd: this.#folder });
    let failure;
    this.#child.on("error", (error) => {
      failure = error;
    });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream.setEncoding("utf8");
      stream.on("data", (text) => {
        this.log += text;
      });
    }
    this.#exit = new Promise((resolve) => {
      this.#child.on("exit", resolve);
      this.#child.on("error", resolve);
    });
    await until("the TURN server listens", () => {
      assert.ok(failure === undefined, `no coturn: ${failure?.message}`);
      assert.equal(this.#child.exitCode, null, `the TURN server ended:\n${this.log}`);
      return answers(this.#port);
    });
  }

  /** As Kurento wants it. */
  url(transport) {
    const port = transport === "tls" ? this.#tlsPort : this.#port;
    return `${USER}:${PASSWORD}@${ADDRESS}:${port}?transport=${transport}`;
  }

  /** What its certificate is proven by. */
  get authority() {
    return join(this.#folder, "authority.pem");
  }

  /** Makes an authority and a certificate of it. */
  #certify() {
    const make = (...args) => {
      const fresh = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"];
      const { status, stderr } = spawnSync("openssl", ["req", "-x509", ...fresh, ...args], {
        cwd: this.#folder,
        encoding: "utf8",
      });
      assert.equal(status, 0, stderr);
    };
    make("-subj", "/CN=authority", "-keyout", "authority.key", "-out", "authority.pem");
    const issuer = ["-CA", "authority.pem", "-CAkey", "authority.key"];
    const what = ["-addext", `subjectAltName=IP:${ADDRESS}`, "-addext", "basicConstraints=critical,CA:FALSE"];
    make("-subj", "/CN=relay", ...issuer, ...what, "-keyout", "key.pem", "-out", "certificate.pem");
  }

  async stop() {
    this.#child.kill("SIGKILL");
    await this.#exit;
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** Ports that are free for now. */
async function freePorts(count) {
  const servers = Array.from({ length: count }, () => createServer());
  for (const server of servers) {
    await new Promise((resolve, reject) => {
      server.on("error", reject);
      server.listen(0, ADDRESS, resolve);
    });
  }
  const ports = servers.map((server) => server.address().port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

function answers(port) {
  return new Promise((resolve) => {
    const socket = connect(port, ADDRESS);
    socket.on("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.on("error", () => resolve(false));
  });
}

/** Whether the tests have a network of their own, where rules for packets do no harm. */
export const isIsolated = process.env.SALONO_E2E_ISOLATED === "yes";

/**
 * Drops UDP packets of this network while `action` runs.
 *
 * @param {string[]} which selectors of `ip rule`, none for all packets
 */
export async function withoutUdp(which, action) {
  assert.ok(isIsolated, "not in the network of the machine");
  // Local addresses are looked up first of all, so ours has to come before that.
  ip("rule", "add", "pref", "10", "lookup", "local");
  ip("rule", "add", "pref", "5", ...which, "ipproto", "udp", "blackhole");
  ip("rule", "del", "pref", "0");
  try {
    await action();
  } finally {
    ip("rule", "add", "pref", "0", "lookup", "local");
    ip("rule", "del", "pref", "5");
    ip("rule", "del", "pref", "10");
  }
}

function ip(...args) {
  const { status, stderr } = spawnSync("ip", args, { encoding: "utf8" });
  assert.equal(status, 0, `ip ${args.join(" ")}: ${stderr}`);
}
