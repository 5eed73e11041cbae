/** A narrow link, in the network namespace that a test has for itself. */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";

import { isIsolated } from "./turn.mjs";

/** Lets only so much go to a port. */
export function squeeze(port, rate) {
  for (const line of [
    "qdisc add dev lo root handle 1: htb default 10",
    "class add dev lo parent 1: classid 1:10 htb rate 10gbit quantum 60000",
    `class add dev lo parent 1: classid 1:20 htb rate ${rate}`,
    "qdisc add dev lo parent 1:20 bfifo limit 20000",
    `filter add dev lo parent 1: protocol ip u32 match ip dport ${port} 0xffff flowid 1:20`,
  ]) {
    const { status, stderr } = spawnSync("tc", line.split(" "), { encoding: "utf8" });
    assert.equal(status, 0, `tc ${line}: ${stderr}`);
  }
}

/** Lets everything through again. */
export function unsqueeze() {
  if (isIsolated) {
    spawnSync("tc", ["qdisc", "del", "dev", "lo", "root"], { stdio: "ignore" });
  }
}
