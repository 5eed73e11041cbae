/** Publishers with layers within the stream; those of AV1 are told apart by dependency descriptors. */

import { after, afterEach, before, beforeEach, describe, test } from "node:test";

import kurento from "kurento-client";

import { Browsers } from "../support/browser.mjs";
import { KurentoPeer } from "../support/kurento-peer.mjs";
import { squeeze, unsqueeze } from "../support/narrow.mjs";
import { Server } from "../support/server.mjs";
import { isIsolated } from "../support/turn.mjs";
import { until } from "../support/wait.mjs";

const URI = "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension";

/** An offer to receive descriptors, which Chromium takes when it is asked to. */
function withDescriptors(sdp) {
  const at = sdp.indexOf("m=video");
  return sdp.slice(0, at) + sdp.slice(at).replace("a=extmap:", `a=extmap:12 ${URI}\r\na=extmap:`);
}

describe("layers within a stream", () => {
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
  async function broadcast(codec, munge) {
    const [source, sink] = [await pipeline.create("WebRtcEndpoint"), await pipeline.create("WebRtcEndpoint")];
    await source.connect(sink);
    const pages = [await browsers.page(), await browsers.page()];
    await Promise.all(pages.map((page) => page.goto(server.url)));
    const layers = { codec, encodings: [{ scalabilityMode: "L3T3_KEY" }] };
    const publisher = await KurentoPeer.connect(pages[0], source, { send: true, layers });
    const viewer = await KurentoPeer.connect(pages[1], sink, { receive: true, ...(munge ? { munge } : {}) });
    return { publisher, viewer, source, sink };
  }

  /** Waits for a picture of such a height that moves. */
  async function sees(viewer, is, what) {
    await until(what, async () => {
      const picture = await viewer.picture();
      if (!is(picture.height)) {
        throw new Error(JSON.stringify(picture));
      }
      await viewer.watch(10);
      return picture;
    });
  }

  const skip = isIsolated ? false : "a narrow link needs a network of its own";

  for (const [codec, munge] of [
    ["VP9", null],
    ["AV1", withDescriptors],
  ]) {
    test(`a viewer sees the whole picture of ${codec}, what nobody sees is not sent`, async () => {
      const { publisher, viewer, source, sink } = await broadcast(codec, munge);
      await sees(viewer, (height) => height === 720, "the whole picture");
      await source.disconnect(sink);
      await until("the smallest picture alone is sent", async () => {
        const [{ height }] = await publisher.layers();
        return height === 180 || Promise.reject(new Error(String(height)));
      });
      await source.connect(sink);
      await sees(viewer, (height) => height === 720, "the whole picture again");
      browsers.assertQuiet();
    });

    test(`a viewer of ${codec} on a narrow link gets less, and the best again afterwards`, { skip }, async () => {
      const { viewer } = await broadcast(codec, munge);
      await sees(viewer, (height) => height === 720, "the whole picture");
      squeeze((await viewer.address()).port, "500kbit");
      await sees(viewer, (height) => height > 0 && height < 720, "a smaller picture");
      unsqueeze();
      await sees(viewer, (height) => height === 720, "the whole picture again");
      browsers.assertQuiet();
    });
  }

  test("a viewer that does not know descriptors sees the smallest picture", async () => {
    const { viewer } = await broadcast("AV1", null);
    await sees(viewer, (height) => height === 180, "a picture");
    browsers.assertQuiet();
  });
});
