/** The Debian package: what is in it, and that settings survive an upgrade. */

import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";

import { binary } from "../support/server.mjs";

const script = fileURLToPath(new URL("../../scripts/make-deb.sh", import.meta.url));

/** Runs something that thinks it is root. */
function asRoot(program, ...args) {
  const command = process.getuid() === 0 ? [program, ...args] : ["unshare", "--map-root-user", program, ...args];
  const run = spawnSync(command[0], command.slice(1), { encoding: "utf8" });
  assert.equal(run.status, 0, `${command.join(" ")}\n${run.stdout}${run.stderr}`);
  return run.stdout;
}

describe("the Debian package", () => {
  let folder;
  /** Quickly rather than small. */
  const env = { ...process.env, DPKG_DEB_COMPRESSOR_TYPE: "gzip", DPKG_DEB_COMPRESSOR_LEVEL: "1" };
  const make = (version) =>
    execFileSync(script, [dirname(binary()), folder, version], { encoding: "utf8", env }).trim();

  before(() => {
    folder = mkdtempSync(join(tmpdir(), "salono-deb-"));
  });

  after(() => rmSync(folder, { recursive: true, force: true }));

  test("keeps changed settings when it is upgraded, and takes its files away in the end", () => {
    const root = join(folder, "root");
    for (const part of ["info", "updates", "triggers"]) {
      mkdirSync(join(root, "var/lib/dpkg", part), { recursive: true });
    }
    writeFileSync(join(root, "var/lib/dpkg/status"), "");
    const force = ["--force-depends", "--force-script-chrootless", "--force-confdef", "--force-confold"];
    const dpkg = (...args) => asRoot("dpkg", `--root=${root}`, "--log=/dev/null", ...force, ...args);

    dpkg("--install", make("0.0.1"));
    const settings = join(root, "etc/salono/salono.toml");
    const changed = `${readFileSync(settings, "utf8")}\n[room]\nmax_rooms = 7\n`;
    writeFileSync(settings, changed);
    const program = join(root, "usr/bin/salono");
    assert.match(execFileSync(program, ["config", "--config", settings], { encoding: "utf8" }), /max_rooms = 7/);
    assert.ok(existsSync(join(root, "usr/bin/salono-processor")));

    dpkg("--install", make("0.0.2"));
    assert.equal(readFileSync(settings, "utf8"), changed);
    assert.match(dpkg("--status", "salono"), /Version: 0\.0\.2/);

    dpkg("--remove", "salono");
    assert.ok(!existsSync(program));
    assert.equal(readFileSync(settings, "utf8"), changed, "settings stay until the package is purged");
    dpkg("--purge", "salono");
    assert.ok(!existsSync(settings));
  });

  test("has a service that systemd understands and finds well confined", (context) => {
    const tree = join(folder, "tree");
    execFileSync("dpkg-deb", ["--extract", make("0.0.2"), tree]);
    const unit = join(tree, "usr/lib/systemd/system/salono.service");
    if (spawnSync("systemd-analyze", ["--version"]).status !== 0) {
      context.diagnostic("systemd-analyze is not here: the unit was not verified");
      return;
    }
    const verify = spawnSync("systemd-analyze", ["verify", "--man=no", unit], { encoding: "utf8" });
    // The program is not installed where the test runs.
    const complaints = verify.stderr
      .split("\n")
      .filter((line) => /salono\.service/.test(line) && !/\/usr\/bin\/salono is not executable/.test(line));
    assert.deepEqual(complaints, []);
    const security = spawnSync("systemd-analyze", ["security", "--offline=true", "--threshold=30", unit], {
      encoding: "utf8",
    });
    assert.equal(security.status, 0, security.stdout + security.stderr);
  });
});
