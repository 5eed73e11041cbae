/** Every video codec that the browser has, from one page to another. */

import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";

import { Browsers } from "../support/browser.mjs";
import { Person } from "../support/demo.mjs";
import { Server } from "../support/server.mjs";

describe("video codecs", () => {
  let server;
  let browsers;

  before(async () => {
    server = await Server.start();
  });

  after(async () => {
    await server?.stop();
  });

  afterEach(async () => {
    await browsers?.close();
  });

  for (const codec of ["VP8", "VP9", "H264", "AV1"]) {
    test(`${codec} that one page publishes is decoded by another`, async () => {
      browsers = new Browsers();
      const publisher = new Person(await browsers.page(), server.url, "Ana");
      const watcher = new Person(await browsers.page(), server.url, "Ben");
      await publisher.page.addInitScript(offerOnly, `video/${codec}`);
      await publisher.join(codec);
      await watcher.join(codec);
      await watcher.perceives("Ana");
      const { Ana_webcam: received } = await watcher.stats();
      assert.equal(received.codec, `video/${codec}`);
      await publisher.perceives("Ben");
      browsers.assertQuiet();
    });
  }
});

/** In the page: connections that send video offer nothing but this codec. */
function offerOnly(mimeType) {
  const createOffer = RTCPeerConnection.prototype.createOffer;
  RTCPeerConnection.prototype.createOffer = function (...args) {
    for (const transceiver of this.getTransceivers()) {
      if (transceiver.sender.track?.kind === "video") {
        const { codecs } = RTCRtpSender.getCapabilities("video");
        transceiver.setCodecPreferences(codecs.filter((one) => [mimeType, "video/rtx"].includes(one.mimeType)));
      }
    }
    return createOffer.apply(this, args);
  };
}
