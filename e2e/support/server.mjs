/** The real server as a child process, on ports of its own. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { until } from "./wait.mjs";

/** What tests may need to be different from the defaults. */
const QUICK = {
  // Somebody whose browser died is kept for this long; the default is 10 s.
  SALONO_ROOM_RECONNECTION_GRACE_MS: "2000",
};

/** The program to test: SALONO_BIN, or what cargo built last. */
export function binary() {
  const here = (path) => fileURLToPath(new URL(path, import.meta.url));
  const candidates = [process.env.SALONO_BIN, here("../../target/release/salono"), here("../../target/debug/salono")];
  const found = candidates.find((path) => path && existsSync(path));
  assert.ok(found, "no salono to test: build it, or name it in SALONO_BIN");
  return found;
}

export class Server {
  /** Bound addresses, as the server wrote them. */
  ports;
  /** Everything it logged. */
  log = "";
  #child;
  #exit;
  #folder;

  /**
   * @param {{http?: string, env?: Record<string, string>}} options address to listen on instead of a free one;
   *   settings
   * @returns {Promise<Server>}
   */
  static async start({ http = "127.0.0.1:0", env = {} } = {}) {
    const server = new Server();
    await server.#start(http, env);
    return server;
  }

  async #start(http, env) {
    this.#folder = mkdtempSync(join(tmpdir(), "salono-e2e-"));
    const portsFile = join(this.#folder, "ports.json");
    const args = ["serve", "--data-dir", this.#folder, "--ports-file", portsFile, "--media-ip", "127.0.0.1"];
    args.push("--http", http, "--https", "127.0.0.1:0", "--kurento", "127.0.0.1:0");
    this.#child = spawn(binary(), args, {
      env: { ...process.env, ...QUICK, ...env },
      stdio: ["ignore", "pipe", "pipe"],
      cwd: this.#folder,
    });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream.setEncoding("utf8");
      stream.on("data", (text) => {
        this.log += text;
      });
    }
    this.#exit = new Promise((resolve) => {
      this.#child.on("exit", (code, signal) => resolve({ code, signal }));
    });
    await until("the server listens", () => {
      assert.equal(this.#child.exitCode, null, `the server ended:\n${this.log}`);
      this.ports = JSON.parse(readFileSync(portsFile, "utf8"));
      return true;
    });
  }

  /** The plain address of the demo page. */
  get url() {
    return `http://${this.ports.http}`;
  }

  /** Where recordings go that are asked for by name alone. */
  get recordings() {
    return join(this.#folder, "recordings");
  }

  /** The Kurento Protocol. */
  get kurento() {
    return `ws://${this.ports.kurento}/kurento`;
  }

  /** Asks for a path on the plain port. */
  async get(path) {
    const response = await fetch(this.url + path);
    assert.equal(response.status, 200, path);
    return response.text();
  }

  /** Ends it as an operator would, and judges how it went. */
  async stop() {
    this.#child.kill("SIGTERM");
    const { code, signal } = await this.#exit;
    this.#remove();
    assert.ok(!/panicked/.test(this.log), `the server panicked:\n${this.log}`);
    assert.ok(!/\bERROR\b/.test(this.log), `the server logged an error:\n${this.log}`);
    assert.deepEqual({ code, signal }, { code: 0, signal: null }, `the server did not end well:\n${this.log}`);
  }

  /** Ends it as a power cut would. */
  async kill() {
    this.#child.kill("SIGKILL");
    await this.#exit;
    this.#remove();
    assert.ok(!/panicked/.test(this.log), `the server panicked:\n${this.log}`);
  }

  #remove() {
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
