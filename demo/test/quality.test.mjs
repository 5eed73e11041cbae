import assert from "node:assert/strict";
import { test } from "node:test";
import { describe, judge, readReport } from "../static/js/quality.js";
import { linesFor } from "../static/js/sizes.js";

const BEFORE = { at: 10, received: 1000, lost: 10, bytes: 1_000_000, frozen: 1, lines: 360, roundTrip: 0.03 };
const GOOD = { at: 12, received: 1200, lost: 10, bytes: 1_250_000, frozen: 1, lines: 720, roundTrip: 0.03 };

test("a connection is judged by the worst of loss, delay and standstill", () => {
  const level = (changes) => judge(BEFORE, { ...GOOD, ...changes }).level;
  assert.equal(level({}), "good");
  assert.equal(level({ lost: 15 }), "fair");
  assert.equal(level({ lost: 60 }), "poor");
  assert.equal(level({ roundTrip: 0.3 }), "fair");
  assert.equal(level({ roundTrip: 1, lost: 15 }), "poor");
  assert.equal(level({ frozen: 1.5 }), "poor");
  assert.equal(level({ lost: 0 }), "good", "what was lost and came after all");
});

test("nothing is said of a picture that does not come", () => {
  assert.equal(judge(BEFORE, { ...GOOD, received: 1000 }), null);
  assert.equal(judge(BEFORE, BEFORE), null);
});

test("words say what there is to know", () => {
  const quality = judge(BEFORE, GOOD);
  assert.equal(describe(quality, null), "Connection good · 720 lines · 1.0 Mbit/s · 30 ms");
  const slow = { ...quality, kbps: 150, lines: 0 };
  assert.equal(describe(slow, { spatialLayer: 0 }), "Connection good · layer 1 · 150 kbit/s · 30 ms");
});

test("a report is read, whatever is missing in it", () => {
  const nothing = { at: 0, received: 0, lost: 0, bytes: 0, frozen: 0, lines: 0, roundTrip: 0 };
  assert.deepEqual(readReport([]), nothing);
  const entries = [
    { type: "inbound-rtp", kind: "audio", packetsReceived: 5 },
    { type: "inbound-rtp", kind: "video", timestamp: 2000, packetsReceived: 7, frameHeight: 180 },
    { type: "candidate-pair", nominated: false, state: "succeeded", currentRoundTripTime: 9 },
    { type: "candidate-pair", nominated: true, state: "succeeded", currentRoundTripTime: 0.1 },
  ];
  assert.deepEqual(readReport(entries), { ...nothing, at: 2, received: 7, lines: 180, roundTrip: 0.1 });
});

test("as many lines are asked for as a tile shows, in steps", () => {
  assert.deepEqual(
    [1, 90, 91, 130, 300, 720].map((height) => linesFor(height, 1)),
    [90, 90, 120, 180, 360, 720],
  );
  assert.equal(linesFor(300, 2), 720);
  assert.equal(linesFor(5000, 1), 0, "all there are");
});
