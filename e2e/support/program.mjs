/** Programs that prove promises: each kept one is a line "ok", the last line is "end". */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";

/**
 * Runs a program to its end and judges it.
 *
 * @param {string[]} command the program and its arguments
 * @param {object} options
 * @param {number} options.promises how many it has to keep at least
 * @param {string} [options.cwd] where it runs
 * @param {Record<string, () => unknown>} [options.orders] what the program can ask for with a line of that name; it is
 *   told "done" afterwards
 * @returns {Promise<number>} how many promises it kept
 */
export async function prove([program, ...args], { promises, cwd, orders = {} }) {
  const child = spawn(program, args, { cwd, stdio: ["pipe", "pipe", "pipe"] });
  let said = "";
  child.stderr.setEncoding("utf8").on("data", (text) => {
    said += text;
  });
  // Whoever ends early reads no answers; how it ended is judged below.
  child.stdin.on("error", () => {});
  const kept = [];
  let ended = false;
  const code = new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", resolve);
  });
  try {
    for await (const line of createInterface({ input: child.stdout })) {
      if (line.startsWith("ok ")) {
        kept.push(line.slice(3));
      } else if (Object.hasOwn(orders, line)) {
        await orders[line]();
        child.stdin.write("done\n");
      } else if (line === "end") {
        ended = true;
      } else {
        said += `${line}\n`;
      }
    }
    assert.equal(await code, 0, `after "${kept.at(-1)}":\n${said}`);
    assert.ok(ended, said);
    assert.ok(kept.length >= promises, `only ${kept.length} promises`);
  } finally {
    child.kill();
  }
  return kept.length;
}
