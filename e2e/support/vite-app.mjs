/** The published package of the JavaScript client in an application that Vite builds and serves. */

import { execFileSync } from "node:child_process";
import { cpSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { build, preview } from "vite";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const CLIENT = here("../../clients/js");

export class ViteApp {
  #folder;
  #server;

  /** Packs the client as `npm publish` would, installs it, checks the types, builds and serves. */
  static async start() {
    const app = new ViteApp();
    const folder = mkdtempSync(join(tmpdir(), "salono-vite-"));
    app.#folder = folder;
    const npm = (cwd, ...args) => execFileSync("npm", [...args, "--loglevel=error"], { cwd, encoding: "utf8" }).trim();
    const [{ filename }] = JSON.parse(npm(CLIENT, "pack", "--json", "--ignore-scripts", "--pack-destination", folder));
    cpSync(here("../vite-app"), folder, { recursive: true });
    writeFileSync(join(folder, "package.json"), JSON.stringify({ name: "application", private: true, type: "module" }));
    npm(folder, "install", "--offline", "--no-audit", "--no-fund", join(folder, filename));
    execFileSync(join(CLIENT, "node_modules/.bin/tsc"), ["-p", folder], { stdio: "inherit" });
    const options = { root: folder, logLevel: "warn", configFile: false };
    await build(options);
    app.#server = await preview({ ...options, preview: { host: "127.0.0.1", port: 0 } });
    return app;
  }

  /** The page of a user in a room of the server with this WebSocket address. */
  page(server, room, user) {
    const { port } = this.#server.httpServer.address();
    return `http://127.0.0.1:${port}/?${new URLSearchParams({ server, room, user })}`;
  }

  async stop() {
    await this.#server?.close();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
