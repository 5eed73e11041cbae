/** Publishers that send several qualities: each viewer gets the one that it has room for. */

import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";

import kurento from "kurento-client";

import { Browsers } from "../support/browser.mjs";
import { KurentoPeer } from "../support/kurento-peer.mjs";
import { squeeze, unsqueeze } from "../support/narrow.mjs";
import { Server } from "../support/server.mjs";
import { isIsolated } from "../support/turn.mjs";
import { until } from "../support/wait.mjs";

/** Three streams of a quarter, half and the whole of the picture. */
const SIMULCAST = {
  codec: "VP8",
  encodings: [
    { rid: "q", scaleResolutionDownBy: 4 },
    { rid: "h", scaleResolutionDownBy: 2 },
    { rid: "f", scaleResolutionDownBy: 1 },
  ],
};

/** Three spatial layers in one stream. */
const scalable = (codec, scalabilityMode) => ({ codec, encodings: [{ scalabilityMode }] });

describe("layers", () => {
  let server;
  let client;
  let browsers;
  let pipeline;

  before(async () => {
    server = await Server.start();
    client = await kurento(server.kurento);
  });

  after(async () => {
    client?.close();
    await server?.stop();
  });

  beforeEach(async () => {
    browsers = new Browsers();
    pipeline = await client.create("MediaPipeline");
  });

  afterEach(async () => {
    unsqueeze();
    await pipeline?.release();
    await browsers?.close();
  });

  /** A publisher and a viewer, connected. */
  async function broadcast(publishing) {
    const [source, sink] = [await pipeline.create("WebRtcEndpoint"), await pipeline.create("WebRtcEndpoint")];
    await source.connect(sink);
    const pages = [await browsers.page(), await browsers.page()];
    await Promise.all(pages.map((page) => page.goto(server.url)));
    const publisher = await KurentoPeer.connect(pages[0], source, { send: true, ...publishing });
    const viewer = await KurentoPeer.connect(pages[1], sink, { receive: true });
    return { publisher, viewer, source, sink };
  }

  /** Waits for a picture of such a height that moves. */
  async function sees(viewer, is, what) {
    return until(what, async () => {
      const picture = await viewer.picture();
      if (!is(picture.height)) {
        throw new Error(JSON.stringify(picture));
      }
      await viewer.watch(10);
      return picture;
    });
  }

  test("a viewer gets the best stream of a simulcast publisher", async () => {
    const { publisher, viewer, source } = await broadcast({ layers: SIMULCAST });
    await sees(viewer, (height) => height === 720, "the whole picture");
    const sent = await publisher.layers();
    assert.deepEqual(sent.map(({ rid }) => rid).sort(), ["f", "h", "q"]);
    const stats = Object.values(await source.getStats());
    const inbound = stats.filter(({ type, ssrc }) => /inbound/.test(type) && ssrc);
    assert.ok(inbound.length >= 4, `three streams of video and one of audio: ${JSON.stringify(inbound)}`);
    browsers.assertQuiet();
  });

  test("a viewer gets the best stream of a publisher that announces its streams by SSRC", async () => {
    const munge = (sdp) => {
      // The way of Plan B: a second and third pair of SSRCs beside the first.
      const at = sdp.indexOf("m=video");
      const [head, video] = [sdp.slice(0, at), sdp.slice(at)];
      const [, first, repair] = /a=ssrc-group:FID (\d+) (\d+)/.exec(video);
      const lines = video.split("\r\n").filter((line) => line.startsWith(`a=ssrc:${first} `));
      const more = [];
      const groups = [];
      for (const n of [1, 2]) {
        const pair = [Number(first) + 100 * n, Number(repair) + 100 * n + 1];
        groups.push(`a=ssrc-group:FID ${pair.join(" ")}`);
        for (const ssrc of pair) {
          more.push(...lines.map((line) => line.replace(first, String(ssrc))));
        }
      }
      const all = [first, Number(first) + 100, Number(first) + 200].join(" ");
      const text = [`a=ssrc-group:SIM ${all}`, ...groups, ...more].join("\r\n");
      return `${head}${video.trimEnd()}\r\n${text}\r\n`;
    };
    const { publisher, viewer } = await broadcast({ layers: { codec: "VP8", encodings: [{}] }, munge });
    await sees(viewer, (height) => height === 720, "the whole picture");
    assert.equal((await publisher.layers()).length, 3);
    browsers.assertQuiet();
  });

  for (const [codec, mode] of [
    ["VP9", "L3T3_KEY"],
    ["VP9", "L3T3"],
    ["AV1", "L1T3"],
  ]) {
    test(`a viewer sees ${codec} in ${mode}`, async () => {
      const { publisher, viewer } = await broadcast({ layers: scalable(codec, mode) });
      await sees(viewer, (height) => height >= 360, "a picture");
      const [sent] = await publisher.layers();
      assert.equal(sent.mode, mode);
      browsers.assertQuiet();
    });
  }

  test("streams that nobody sees are not sent until somebody does", async () => {
    const { publisher, viewer, source, sink } = await broadcast({ layers: SIMULCAST });
    await sees(viewer, (height) => height === 720, "the whole picture");
    await source.disconnect(sink);
    const sending = async () => (await publisher.layers()).filter(({ rate }) => rate > 0).map(({ rid }) => rid);
    await until("the smallest stream alone is sent", async () => {
      const rids = await sending();
      return rids.join() === "q" || Promise.reject(new Error(rids.join()));
    });
    await source.connect(sink);
    await sees(viewer, (height) => height === 720, "the whole picture again");
    browsers.assertQuiet();
  });

  const skip = isIsolated ? false : "a narrow link needs a network of its own";

  test("a viewer on a narrow link gets less, and the best again afterwards", { skip }, async () => {
    const { viewer } = await broadcast({ layers: SIMULCAST });
    await sees(viewer, (height) => height === 720, "the whole picture");
    squeeze((await viewer.address()).port, "500kbit");
    await sees(viewer, (height) => height > 0 && height < 720, "a smaller picture");
    unsqueeze();
    await sees(viewer, (height) => height === 720, "the whole picture again");
    browsers.assertQuiet();
  });
});
