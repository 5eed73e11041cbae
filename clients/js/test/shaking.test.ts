/** Of the package, a program carries what it uses. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

/** This runs from `build/test`, in the package. */
const PACKAGE = fileURLToPath(new URL("../../", import.meta.url));

async function bundle(program: string): Promise<string> {
  const { outputFiles } = await build({
    stdin: { contents: program, resolveDir: PACKAGE },
    bundle: true,
    format: "esm",
    write: false,
    absWorkingDir: PACKAGE,
  });
  return outputFiles[0]?.text ?? "";
}

test("who joins with promises does not carry the Kurento Room interface, nor the other way round", async () => {
  const modern = await bundle('import { joinRoom } from "./src/index.ts"; globalThis.start = joinRoom;');
  assert.match(modern, /RoomSession/);
  assert.doesNotMatch(modern, /native-video-|KurentoRoom|getDisplayMedia|AudioContext/);
  const classic = await bundle('import { KurentoRoom } from "./src/index.ts"; globalThis.start = KurentoRoom;');
  assert.match(classic, /native-video-/);
  assert.doesNotMatch(classic, /RoomSession|getDisplayMedia/);
});
