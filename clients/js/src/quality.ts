/** How well media goes over one peer connection: from what the browser counts, in figures and in three steps. */

/** Lost packets, of all, from which a connection is fair, and poor. */
const LOSS = [0.02, 0.08] as const;
/** Seconds to the server and back likewise. */
const ROUND_TRIP = [0.25, 0.6] as const;
/** Seconds that the picture stood still, of each second, likewise. */
const FROZEN = [0.02, 0.2] as const;

const LEVELS = ["good", "fair", "poor"] as const;

/** Which way media goes. */
export type Direction = "received" | "sent";

/** What was counted up to one moment. */
export interface Reading {
  /** When, in seconds of the browser's clock. */
  at: number;
  /** Packets that arrived. */
  arrived: number;
  /** Packets that did not. */
  lost: number;
  /** Bytes of media, without headers. */
  bytes: number;
  /** Seconds that the picture stood still; 0 for what is sent. */
  frozen: number;
  /** Lines of the picture; 0 without one. */
  lines: number;
  /** Seconds to the server and back. */
  roundTrip: number;
}

/** How a connection did between two readings. */
export interface Quality {
  level: (typeof LEVELS)[number];
  /** Kilobits per second. */
  kbps: number;
  /** Lines of the picture; 0 without one. */
  lines: number;
  /** Seconds to the server and back. */
  roundTrip: number;
  /** Packets that were lost, from 0 to 1. */
  loss: number;
}

type Entry = Record<string, unknown> & { type?: string };

/**
 * What is needed of the statistics of a connection: of its pictures, or of its sound if there are none.
 *
 * @param report the entries of an `RTCStatsReport`
 */
export function readReport(report: Iterable<unknown>, direction: Direction = "received"): Reading {
  const entries = [...report] as Entry[];
  const pair = entries.find((entry) => entry.type === "candidate-pair" && entry["nominated"] && entry["state"] === "succeeded");
  const roundTrip = number(pair?.["currentRoundTripTime"]);
  return { ...(direction === "received" ? received(entries) : sent(entries)), roundTrip };
}

/** How a connection did between two readings; null if that cannot be told. */
export function judge(before: Reading, now: Reading): Quality | null {
  const seconds = now.at - before.at;
  const arrived = now.arrived - before.arrived;
  if (seconds <= 0 || arrived <= 0) {
    return null;
  }
  const lost = Math.max(0, now.lost - before.lost);
  const loss = lost / (lost + arrived);
  const steps = [
    step(loss, LOSS),
    step(now.roundTrip, ROUND_TRIP),
    step(Math.max(0, now.frozen - before.frozen) / seconds, FROZEN),
  ];
  return {
    level: LEVELS[Math.max(...steps)] ?? "poor",
    kbps: Math.round(((now.bytes - before.bytes) * 8) / seconds / 1000),
    lines: now.lines,
    roundTrip: now.roundTrip,
    loss,
  };
}

function received(entries: Entry[]): Omit<Reading, "roundTrip"> {
  const [media] = streams(entries, "inbound-rtp");
  return {
    at: number(media?.["timestamp"]) / 1000,
    arrived: number(media?.["packetsReceived"]),
    lost: number(media?.["packetsLost"]),
    bytes: number(media?.["bytesReceived"]),
    frozen: number(media?.["totalFreezesDuration"]),
    lines: number(media?.["frameHeight"]),
  };
}

/** Several qualities of one picture are several streams, whose packets add up. */
function sent(entries: Entry[]): Omit<Reading, "roundTrip"> {
  const media = streams(entries, "outbound-rtp");
  const reports = streams(entries, "remote-inbound-rtp");
  const lost = sum(reports, "packetsLost");
  return {
    at: number(media[0]?.["timestamp"]) / 1000,
    arrived: Math.max(0, sum(media, "packetsSent") - lost),
    lost,
    bytes: sum(media, "bytesSent"),
    frozen: 0,
    lines: Math.max(0, ...media.map((entry) => number(entry["frameHeight"]))),
  };
}

function streams(entries: Entry[], type: string): Entry[] {
  const media = entries.filter((entry) => entry.type === type);
  const video = media.filter((entry) => entry["kind"] === "video");
  return video.length > 0 ? video : media;
}

function sum(entries: Entry[], member: string): number {
  return entries.reduce((total, entry) => total + number(entry[member]), 0);
}

function number(value: unknown): number {
  return typeof value === "number" ? value : 0;
}

function step(value: number, [fair, poor]: readonly [number, number]): 0 | 1 | 2 {
  return value >= poor ? 2 : value >= fair ? 1 : 0;
}
