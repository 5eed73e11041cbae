/** A program of `examples/` as a child process, and its page in a browser. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";

import { binary } from "./server.mjs";
import { until } from "./wait.mjs";

export class Example {
  /** Everything that it said. */
  log = "";
  /** Where its page is. */
  url;
  #child;
  #exit;

  /**
   * Starts a program and waits until it serves its page.
   *
   * @param {string} name of the program
   * @param {string} kurento URL of the media server
   * @param {string[]} more arguments
   */
  static async start(name, kurento, more = []) {
    const example = new Example(name, ["--kurento", kurento, "--listen", "127.0.0.1:0", ...more]);
    await until(`${name} serves its page`, () => {
      assert.equal(example.#child.exitCode, null, `${name} ended:\n${example.log}`);
      example.url = /open (\S+) in a browser/.exec(example.log)?.[1];
      return example.url;
    });
    return example;
  }

  /** Starts a program with these arguments. */
  constructor(name, args) {
    const path = join(dirname(binary()), name);
    assert.ok(existsSync(path), `no ${path}: build it with cargo build -p salono-examples -p salono-sip-bridge`);
    this.#child = spawn(path, args, { stdio: ["ignore", "pipe", "pipe"] });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream.setEncoding("utf8");
      stream.on("data", (text) => {
        this.log += text;
      });
    }
    this.#exit = new Promise((resolve) => {
      this.#child.on("close", resolve);
    });
  }

  /** Waits until it ends by itself; gives its exit code. */
  ended() {
    return this.#exit;
  }

  /** Ends it as Ctrl-C does. */
  async stop() {
    this.#child.kill("SIGINT");
    assert.equal(await this.#exit, 0, this.log);
    assert.ok(!/panicked/.test(this.log), this.log);
  }
}

/** Waits until a video of a page has shown so many more pictures. */
export async function watch(page, selector, count = 10) {
  const shown = () => page.locator(selector).evaluate((video) => video.getVideoPlaybackQuality().totalVideoFrames);
  const before = await shown().catch(() => 0);
  await until(`${selector} shows ${count} pictures`, async () => {
    const now = await shown();
    const status = () => page.locator("#status").textContent();
    return now >= before + count || Promise.reject(new Error(`${now - before} so far; ${await status()}`));
  });
}

/** Waits until a page says this. */
export function says(page, pattern) {
  return until(`the page says ${pattern}`, async () => {
    const text = await page.locator("#status").textContent();
    return pattern.test(text) || Promise.reject(new Error(text));
  });
}
