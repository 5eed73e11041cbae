/** Every video codec that the browser has, and redundant sound, from one page to another. */

import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";

import { Browsers } from "../support/browser.mjs";
import { Person } from "../support/demo.mjs";
import { Server } from "../support/server.mjs";

describe("codecs", () => {
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

  test("redundant sound reaches a page that knows it as it is, and another one as plain Opus", async () => {
    browsers = new Browsers();
    const [ana, ben, cleo] = await Promise.all(
      ["Ana", "Ben", "Cleo"].map(async (name) => new Person(await browsers.page(), server.url, name)),
    );
    await ana.page.addInitScript(preferRedundant, true);
    await cleo.page.addInitScript(preferRedundant, false);
    for (const person of [ana, ben, cleo]) {
      await person.join("redundant");
    }
    await ben.perceives("Ana");
    await cleo.perceives("Ana");
    // The browser's statistics call it Opus either way; but each redundant packet has the one before in it.
    const [sent, whole, plain] = [await packetBytes(ana), await packetBytes(ben), await packetBytes(cleo)];
    const told = JSON.stringify({ sent, whole, plain });
    assert.ok(sent > 1.5 * plain, told);
    assert.ok(whole > 1.5 * plain, told);
    browsers.assertQuiet();
  });
});

/** How large the packets of Ana's sound are, as somebody sends or receives them. */
function packetBytes(person) {
  return person.page.evaluate(async () => {
    const report = await window.salonoDemo.peers()["Ana_webcam"].getStats();
    const streams = [...report.values()].filter((entry) => entry.kind === "audio");
    const stream = streams.find((entry) => ["inbound-rtp", "outbound-rtp"].includes(entry.type));
    const bytes = stream.bytesReceived ?? stream.bytesSent;
    return bytes / (stream.packetsReceived ?? stream.packetsSent);
  });
}

/** In the page: offers put redundant sound first, or are without. */
function preferRedundant(wanted) {
  const createOffer = RTCPeerConnection.prototype.createOffer;
  RTCPeerConnection.prototype.createOffer = function (...args) {
    const { codecs } = RTCRtpReceiver.getCapabilities("audio");
    const [redundant, plain] = [true, false].map((is) => codecs.filter((one) => (one.mimeType === "audio/red") === is));
    for (const transceiver of this.getTransceivers()) {
      if (transceiver.receiver.track.kind === "audio") {
        transceiver.setCodecPreferences(wanted ? [...redundant, ...plain] : plain);
      }
    }
    return createOffer.apply(this, args);
  };
}

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
