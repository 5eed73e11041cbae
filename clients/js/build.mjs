// Bundles the client for pages without a build step: an ES module, a browser global, and the copies that the demo
// pages load. Programs with a build step take the modules that `tsc` writes, and of them what they use.
// `--tests` bundles the tests instead.
import { existsSync } from "node:fs";
import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = fileURLToPath(new URL(".", import.meta.url));
const target = ["es2022"];
const common = { bundle: true, target, absWorkingDir: here, logLevel: "info", charset: "utf8" };

if (process.argv.includes("--tests")) {
  await rm(join(here, "build"), { recursive: true, force: true });
  const tests = (await readdir(join(here, "test"))).filter((name) => name.endsWith(".test.ts"));
  await build({
    ...common,
    entryPoints: tests.map((name) => `test/${name}`),
    outdir: "build/test",
    outExtension: { ".js": ".mjs" },
    format: "esm",
    platform: "node",
    target: ["node20"],
    packages: "external",
  });
} else {
  const module = { ...common, entryPoints: ["src/index.ts"], format: "esm" };
  const script = { ...common, entryPoints: ["src/global.ts"], format: "iife" };
  await build({ ...module, outfile: "dist/salono-room.mjs", sourcemap: true });
  await build({ ...script, outfile: "dist/KurentoRoom.js" });
  const demo = join(here, "../../demo/static/js");
  if (existsSync(demo)) {
    await build({ ...module, outfile: join(demo, "salono-client.js"), minify: true });
    await build({ ...script, outfile: join(demo, "KurentoRoom.js"), minify: true });
  }
}
