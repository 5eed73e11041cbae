import assert from "node:assert/strict";
import { test } from "node:test";
import { judge, readReport, type Reading } from "../src/quality.js";

const BEFORE: Reading = { at: 10, arrived: 1000, lost: 10, bytes: 1_000_000, frozen: 1, lines: 360, roundTrip: 0.03 };
const GOOD: Reading = { at: 12, arrived: 1200, lost: 10, bytes: 1_250_000, frozen: 1, lines: 720, roundTrip: 0.03 };

test("a connection is judged by the worst of loss, delay and standstill", () => {
  const level = (changes: Partial<Reading>): string | undefined => judge(BEFORE, { ...GOOD, ...changes })?.level;
  assert.equal(level({}), "good");
  assert.equal(level({ lost: 15 }), "fair");
  assert.equal(level({ lost: 60 }), "poor");
  assert.equal(level({ roundTrip: 0.3 }), "fair");
  assert.equal(level({ roundTrip: 1, lost: 15 }), "poor");
  assert.equal(level({ frozen: 1.5 }), "poor");
  assert.equal(level({ lost: 0 }), "good", "what was lost and came after all");
  assert.deepEqual(judge(BEFORE, GOOD), { level: "good", kbps: 1000, lines: 720, roundTrip: 0.03, loss: 0 });
});

test("nothing is said of media that do not come", () => {
  assert.equal(judge(BEFORE, { ...GOOD, arrived: 1000 }), null);
  assert.equal(judge(BEFORE, BEFORE), null);
});

const PAIRS = [
  { type: "candidate-pair", nominated: false, state: "succeeded", currentRoundTripTime: 9 },
  { type: "candidate-pair", nominated: true, state: "succeeded", currentRoundTripTime: 0.1 },
];

test("a report of what is received is read, whatever is missing in it", () => {
  const nothing = { at: 0, arrived: 0, lost: 0, bytes: 0, frozen: 0, lines: 0, roundTrip: 0 };
  assert.deepEqual(readReport([]), nothing);
  const sound = { type: "inbound-rtp", kind: "audio", timestamp: 1000, packetsReceived: 5 };
  assert.deepEqual(readReport([sound]), { ...nothing, at: 1, arrived: 5 });
  const picture = { type: "inbound-rtp", kind: "video", timestamp: 2000, packetsReceived: 7, frameHeight: 180 };
  assert.deepEqual(readReport([sound, picture, ...PAIRS]), { ...nothing, at: 2, arrived: 7, lines: 180, roundTrip: 0.1 });
});

test("the qualities of a picture that is sent add up", () => {
  const entries = [
    { type: "outbound-rtp", kind: "audio", timestamp: 2000, packetsSent: 1000 },
    { type: "outbound-rtp", kind: "video", timestamp: 2000, packetsSent: 60, bytesSent: 600, frameHeight: 180 },
    { type: "outbound-rtp", kind: "video", timestamp: 2000, packetsSent: 140, bytesSent: 1400, frameHeight: 720 },
    { type: "remote-inbound-rtp", kind: "video", packetsLost: 4 },
    ...PAIRS,
  ];
  assert.deepEqual(readReport(entries, "sent"), {
    ...{ at: 2, arrived: 196, lost: 4, bytes: 2000, frozen: 0, lines: 720, roundTrip: 0.1 },
  });
});
