/** How well media goes, in words. */

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
