/** How well a picture comes: from what the browser counts, in words and in three steps. */

/** Lost packets, of all, from which a connection is fair, and poor. */
const LOSS = [0.02, 0.08];
/** Seconds to the server and back likewise. */
const ROUND_TRIP = [0.25, 0.6];
/** Seconds that the picture stood still, of each second, likewise. */
const FROZEN = [0.02, 0.2];

/**
 * What is needed of the statistics of a connection.
 *
 * @param {Iterable<object>} report the entries of an `RTCStatsReport`
 */
export function readReport(report) {
  const entries = [...report];
  const video = entries.find((entry) => entry.type === "inbound-rtp" && entry.kind === "video");
  const pair = entries.find((entry) => entry.type === "candidate-pair" && entry.nominated && entry.state === "succeeded");
  return {
    at: (video?.timestamp ?? 0) / 1000,
    received: video?.packetsReceived ?? 0,
    lost: video?.packetsLost ?? 0,
    bytes: video?.bytesReceived ?? 0,
    frozen: video?.totalFreezesDuration ?? 0,
    lines: video?.frameHeight ?? 0,
    roundTrip: pair?.currentRoundTripTime ?? 0,
  };
}

/**
 * How a connection did between two readings; null if that cannot be told.
 *
 * @returns {{level: "good" | "fair" | "poor", kbps: number, lines: number, roundTrip: number} | null}
 */
export function judge(before, now) {
  const seconds = now.at - before.at;
  const received = now.received - before.received;
  if (seconds <= 0 || received <= 0) {
    return null;
  }
  const lost = Math.max(0, now.lost - before.lost);
  const steps = [
    step(lost / (lost + received), LOSS),
    step(now.roundTrip, ROUND_TRIP),
    step(Math.max(0, now.frozen - before.frozen) / seconds, FROZEN),
  ];
  return {
    level: ["good", "fair", "poor"][Math.max(...steps)],
    kbps: Math.round(((now.bytes - before.bytes) * 8) / seconds / 1000),
    lines: now.lines,
    roundTrip: now.roundTrip,
  };
}

/** One line of words about a connection. `layer` is what the server said of the quality that it sends, or null. */
export function describe({ level, kbps, lines, roundTrip }, layer) {
  const parts = [`Connection ${level}`];
  if (lines > 0) {
    parts.push(`${lines} lines`);
  }
  if (layer !== null) {
    parts.push(`layer ${layer.spatialLayer + 1}`);
  }
  parts.push(kbps >= 1000 ? `${(kbps / 1000).toFixed(1)} Mbit/s` : `${kbps} kbit/s`);
  parts.push(`${Math.round(roundTrip * 1000)} ms`);
  return parts.join(" · ");
}

function step(value, [fair, poor]) {
  return value >= poor ? 2 : value >= fair ? 1 : 0;
}
