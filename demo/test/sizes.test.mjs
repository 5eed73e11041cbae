import assert from "node:assert/strict";
import { test } from "node:test";
import { describe } from "../static/js/quality.js";
import { linesFor } from "../static/js/sizes.js";

test("words say what there is to know", () => {
  const quality = { level: "good", kbps: 1000, lines: 720, roundTrip: 0.03 };
  assert.equal(describe(quality, null), "Connection good · 720 lines · 1.0 Mbit/s · 30 ms");
  const slow = { ...quality, kbps: 150, lines: 0 };
  assert.equal(describe(slow, { spatialLayer: 0 }), "Connection good · layer 1 · 150 kbit/s · 30 ms");
});

test("as many lines are asked for as a tile shows, in steps", () => {
  assert.deepEqual(
    [1, 90, 91, 130, 300, 720].map((height) => linesFor(height, 1)),
    [90, 90, 120, 180, 360, 720],
  );
  assert.equal(linesFor(300, 2), 720);
  assert.equal(linesFor(5000, 1), 0, "all there are");
});
