/** Plain RTP of `ffmpeg` on one side of a pipeline, Chromium on the other. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";

import kurento from "kurento-client";

import { Browsers } from "../support/browser.mjs";
import { KurentoPeer } from "../support/kurento-peer.mjs";
import { Server } from "../support/server.mjs";

/** Frames that have to be seen. */
const FRAMES = 30;

describe("RtpEndpoint", () => {
  let server;
  let client;
  let browsers;
  let folder;
  let children;

  before(async () => {
    server = await Server.start();
    client = await kurento(server.kurento);
    folder = mkdtempSync(join(tmpdir(), "salono-rtp-"));
  });

  after(async () => {
    client?.close();
    await server?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  beforeEach(() => {
    browsers = new Browsers();
    children = [];
  });

  afterEach(async () => {
    for (const child of children) {
      child.kill("SIGKILL");
    }
    await browsers.close();
  });

  /** ffmpeg with these arguments, separated by spaces; ends with the test. */
  function ffmpeg(line) {
    const child = spawn("ffmpeg", `-hide_banner -loglevel error -nostats ${line}`.split(" "), {
      stdio: ["ignore", "pipe", "pipe"],
    });
    children.push(child);
    return child;
  }

  async function page() {
    const page = await browsers.page();
    await page.goto(server.url);
    return page;
  }

  /** One video m-line as ffmpeg describes it. */
  function description(port, mapping, direction) {
    const session = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=No Name\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n";
    return `${session}m=video ${port} RTP/AVP 96\r\n${mapping}a=${direction}\r\n`;
  }

  const streams = {
    VP8: {
      mapping: "a=rtpmap:96 VP8/90000\r\n",
      encoder: "-c:v libvpx -deadline realtime -cpu-used 8 -b:v 300k -g 15",
    },
    // High profile, which the browser never agrees to and yet decodes.
    H264: {
      mapping: "a=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1; profile-level-id=64000D\r\n",
      encoder: "-pix_fmt yuv420p -c:v libx264 -preset ultrafast -profile:v high -bf 0 -b:v 300k -g 15",
    },
  };
  for (const [name, { mapping, encoder }] of Object.entries(streams)) {
    test(`Chromium watches ${name} of ffmpeg`, async () => {
      const pipeline = await client.create("MediaPipeline");
      const camera = await pipeline.create("RtpEndpoint");
      const viewer = await pipeline.create("WebRtcEndpoint");
      await camera.connect(viewer);
      const answer = await camera.processOffer(description(9, mapping, "sendonly"));
      const [, port] = answer.match(/^m=video (\d+) RTP\/AVP 96/m);
      ffmpeg(
        `-re -f lavfi -i testsrc=size=320x240:rate=15 ${encoder} -payload_type 96 -f rtp rtp://127.0.0.1:${port}?pkt_size=1200`,
      );
      const peer = await KurentoPeer.connect(await page(), viewer, { receive: true });
      await peer.watch(FRAMES);
      await pipeline.release();
    });
  }

  test("ffmpeg decodes what Chromium sends", async () => {
    const pipeline = await client.create("MediaPipeline");
    const publisher = await pipeline.create("WebRtcEndpoint");
    const screen = await pipeline.create("RtpEndpoint");
    await publisher.connect(screen);
    const port = 23_000;
    const offer = description(port, streams.VP8.mapping, "recvonly");
    await screen.processOffer(offer);
    const file = join(folder, "screen.sdp");
    writeFileSync(file, offer);
    const input = `-protocol_whitelist file,udp,rtp -analyzeduration 1M -i ${file}`;
    const receiver = ffmpeg(`${input} -frames:v ${FRAMES} -f framehash -`);
    let printed = "";
    receiver.stdout.setEncoding("utf8").on("data", (text) => {
      printed += text;
    });
    const ended = new Promise((resolve) => receiver.on("exit", resolve));
    await KurentoPeer.connect(await page(), publisher, { send: true });
    assert.equal(await ended, 0, printed);
    const frames = printed.split("\n").filter((line) => line.startsWith("0, "));
    assert.ok(frames.length >= FRAMES, printed);
    await pipeline.release();
  });
});
