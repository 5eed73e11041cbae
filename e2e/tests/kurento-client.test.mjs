/** The npm package `kurento-client`, as it is, on our media server; browsers where there is media. */

import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";

import kurento from "kurento-client";

import { Browsers } from "../support/browser.mjs";
import { KurentoPeer } from "../support/kurento-peer.mjs";
import { Server } from "../support/server.mjs";
import { PATIENCE, until } from "../support/wait.mjs";

describe("kurento-client", () => {
  let server;
  let client;
  let browsers;

  before(async () => {
    server = await Server.start();
    client = await kurento(server.kurento);
  });

  after(async () => {
    client?.close();
    await server?.stop();
  });

  beforeEach(() => {
    browsers = new Browsers();
  });

  afterEach(async () => {
    await browsers.close();
  });

  async function page() {
    const page = await browsers.page();
    await page.goto(server.url);
    return page;
  }

  /** The next event of this kind that passes; give it before its cause. */
  function event(object, name, passes = () => true) {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`no ${name} within ${PATIENCE} ms`)), PATIENCE);
      object.on(name, (details) => {
        if (passes(details)) {
          clearTimeout(timer);
          resolve(details);
        }
      });
    });
  }

  /** What the client hands to a callback; without one it only prints errors. */
  function answer(call) {
    return new Promise((resolve, reject) => {
      call((error, result) => (error ? reject(error) : resolve(result)));
    });
  }

  test("learns what server it is", async () => {
    const manager = await client.getServerManager();
    const info = await manager.getInfo();
    assert.equal(info.type, "KMS");
    assert.match(info.version, /^\d+\.\d+\.\d+/);
    const modules = info.modules.map((module) => module.name);
    assert.deepEqual(modules.filter((name) => name !== "salono").sort(), ["chroma", "core", "elements", "filters"]);
    assert.deepEqual(await manager.getPipelines(), []);
  });

  test("builds a graph, hears of it, and takes it down", async () => {
    const pipeline = await client.create("MediaPipeline");
    const source = await pipeline.create("WebRtcEndpoint");
    const sink = await pipeline.create("WebRtcEndpoint");
    const connected = event(source, "ElementConnected");
    await source.connect(sink);
    const { sink: named } = await connected;
    assert.equal(String(named?.id ?? named), sink.id);

    const connections = await source.getSinkConnections();
    assert.deepEqual(connections.map(({ type }) => type).sort(), ["AUDIO", "DATA", "VIDEO"]);
    const disconnected = event(source, "ElementDisconnected");
    await source.disconnect(sink);
    await disconnected;
    assert.deepEqual(await source.getSinkConnections(), []);

    await pipeline.setName("stage");
    assert.equal(await pipeline.getName(), "stage");
    assert.match(await sink.generateOffer(), /^v=0\r\n/);

    await pipeline.release();
    await assert.rejects(
      answer((callback) => source.getSinkConnections(callback)),
      ({ code, data }) => code === 40101 && data.type === "MEDIA_OBJECT_NOT_FOUND",
    );
    const manager = await client.getServerManager();
    assert.deepEqual(await manager.getPipelines(), []);
  });

  test("is told why something cannot be done, and goes on", async () => {
    const pipeline = await client.create("MediaPipeline");
    const endpoint = await pipeline.create("WebRtcEndpoint");
    await assert.rejects(
      answer((callback) => endpoint.processOffer("this is not SDP", callback)),
      ({ code, data }) => code === 40201 && data.type === "SDP_PARSE_ERROR",
    );
    assert.match(await endpoint.generateOffer(), /^v=0\r\n/);
    await pipeline.release();
  });

  test("carries a loopback call from a browser", async () => {
    const pipeline = await client.create("MediaPipeline");
    const endpoint = await pipeline.create("WebRtcEndpoint");
    await endpoint.connect(endpoint);
    const connected = event(endpoint, "MediaStateChanged", ({ newState }) => newState === "CONNECTED");
    const flowing = event(endpoint, "MediaFlowInStateChanged", ({ state, mediaType }) => {
      return state === "FLOWING" && mediaType === "VIDEO";
    });
    const gathered = event(endpoint, "IceGatheringDone");
    const peer = await KurentoPeer.connect(await page(), endpoint, { send: true, receive: true });
    await Promise.all([connected, flowing, gathered]);
    await peer.watch(30);
    await until("sound comes back", async () => (await peer.received()).energy > 0);

    const stats = Object.values(await endpoint.getStats("VIDEO"));
    assert.ok(
      stats.some((entry) => /inbound/i.test(entry.type) && entry.packetsReceived > 0),
      JSON.stringify(stats),
    );
    await pipeline.release();
    browsers.assertQuiet();
  });

  test("agrees on AES-128-GCM with a browser, in both roles and with both types of certificate", async () => {
    for (const certificateKeyType of [undefined, "ECDSA", "RSA"]) {
      for (const serverOffers of [false, true]) {
        const pipeline = await client.create("MediaPipeline");
        const endpoint = await pipeline.create("WebRtcEndpoint", certificateKeyType ? { certificateKeyType } : {});
        await endpoint.connect(endpoint);
        const peer = await KurentoPeer.connect(await page(), endpoint, { send: true, receive: true, serverOffers });
        await peer.watch(5);
        const { srtp, tls, dtls } = await peer.security();
        assert.match(srtp, /^(SRTP_)?AEAD_AES_128_GCM$/);
        assert.equal(tls, "FEFD");
        assert.match(dtls, certificateKeyType === "RSA" ? /_RSA_/ : /_ECDSA_/);
        await pipeline.release();
      }
    }
  });

  test("goes on through ICE restarts of either side and changes of direction in the middle of a call", async () => {
    const pipeline = await client.create("MediaPipeline");
    const endpoint = await pipeline.create("WebRtcEndpoint");
    await endpoint.connect(endpoint);
    let changes = 0;
    const peer = await KurentoPeer.connect(await page(), endpoint, { send: true, receive: true });
    await peer.watch(15);
    endpoint.on("ConnectionStateChanged", () => (changes += 1));

    const first = await peer.selected();
    await peer.renegotiate(endpoint, { restart: true });
    await peer.watch(30);
    const second = await peer.selected();
    assert.notEqual(second.ufrag, first.ufrag);

    const { frozen } = await peer.received();
    await peer.takeOffer(endpoint, await endpoint.generateOffer({ iceRestart: true }));
    await peer.watch(30);
    assert.notEqual((await peer.selected()).ufrag, second.ufrag);
    assert.ok((await peer.received()).frozen - frozen < 0.5, "no freeze");
    assert.equal(changes, 0, "the connection never broke");

    await peer.renegotiate(endpoint, { change: { kind: "video", direction: "inactive" } });
    await until("no picture comes", async () => {
      const { frames } = await peer.received();
      await new Promise((resolve) => setTimeout(resolve, 500));
      return (await peer.received()).frames === frames;
    });
    await peer.renegotiate(endpoint, { change: { kind: "video", direction: "sendrecv" } });
    await peer.watch(30);
    await pipeline.release();
    browsers.assertQuiet();
  });

  test("holds a publisher to the bandwidth that was set before the call and in the middle of it", async () => {
    const pipeline = await client.create("MediaPipeline");
    const endpoint = await pipeline.create("WebRtcEndpoint");
    await endpoint.connect(endpoint);
    await endpoint.setMaxVideoRecvBandwidth(300);
    const peer = await KurentoPeer.connect(await page(), endpoint, { send: true, receive: true });
    await peer.watch(30);
    const target = (name, passes) =>
      until(name, async () => {
        const now = await peer.videoTarget();
        return passes(now / 1000) || Promise.reject(new Error(`${now} bit/s`));
      });
    await target("at most 300 kbit/s", (kbps) => kbps > 100 && kbps <= 300);
    await endpoint.setMaxVideoRecvBandwidth(150);
    await target("at most 150 kbit/s", (kbps) => kbps > 50 && kbps <= 150);
    await endpoint.setMaxVideoRecvBandwidth(0);
    // From here the browser's own estimate rules, which climbs slowly.
    await target("more than 170 kbit/s", (kbps) => kbps > 170);
    await pipeline.release();
    browsers.assertQuiet();
  });

  test("carries a call over a transport for each m-line", async () => {
    const pipeline = await client.create("MediaPipeline");
    const endpoint = await pipeline.create("WebRtcEndpoint");
    await endpoint.connect(endpoint);
    const what = { send: true, receive: true, bundled: false };
    const peer = await KurentoPeer.connect(await page(), endpoint, what);
    await peer.watch(15);
    await until("sound comes back", async () => (await peer.received()).energy > 0);
    const transports = await endpoint.getIceConnectionState();
    assert.equal(transports.length, 2, JSON.stringify(transports));
    await pipeline.release();
    browsers.assertQuiet();
  });

  test("carries a call that the server offers", async () => {
    const pipeline = await client.create("MediaPipeline");
    const endpoint = await pipeline.create("WebRtcEndpoint");
    await endpoint.connect(endpoint);
    const what = { send: true, receive: true, serverOffers: true };
    const peer = await KurentoPeer.connect(await page(), endpoint, what);
    await peer.watch(15);
    await until("sound comes back", async () => (await peer.received()).energy > 0);
    await pipeline.release();
    browsers.assertQuiet();
  });

  test("switches what a viewer sees in the middle of the call without a freeze", async () => {
    const pipeline = await client.create("MediaPipeline");
    const [red, blue, viewer] = [
      await pipeline.create("WebRtcEndpoint"),
      await pipeline.create("WebRtcEndpoint"),
      await pipeline.create("WebRtcEndpoint"),
    ];
    await KurentoPeer.connect(await page(), red, { send: true });
    await KurentoPeer.connect(await page(), blue, { send: true });
    await red.connect(viewer);
    const peer = await KurentoPeer.connect(await page(), viewer, { receive: true });
    await peer.watch(60);
    for (const source of [blue, red, blue]) {
      const before = await peer.received();
      await source.connect(viewer);
      await peer.watch(45);
      const now = await peer.received();
      // A switch that misses its keyframe stops the picture for good; a busy machine may hold it for a moment.
      assert.ok(now.frozen - before.frozen < 0.4, `the picture froze: ${JSON.stringify({ before, now })}`);
      assert.equal(now.lost, before.lost, "sequence numbers have a gap");
    }
    await pipeline.release();
    browsers.assertQuiet();
  });

  test("echoes a data channel that is connected to itself", async () => {
    const pipeline = await client.create("MediaPipeline");
    const endpoint = await pipeline.create("WebRtcEndpoint", { useDataChannels: true });
    await endpoint.connect(endpoint, "DATA");
    const opened = event(endpoint, "DataChannelOpened");
    const peer = await KurentoPeer.connect(await page(), endpoint, { data: true });
    await peer.say("Can you hear me? ✓");
    await opened;
    await until("the echo arrives", async () => {
      const heard = await peer.heard();
      return heard.includes("Can you hear me? ✓") || Promise.reject(new Error(JSON.stringify(heard)));
    });
    await pipeline.release();
    browsers.assertQuiet();
  });
});
