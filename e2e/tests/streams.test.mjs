/** Camera, screen and microphone in one connection, and all of them in one connection of a viewer. */

import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";

import kurento from "kurento-client";

import { Browsers } from "../support/browser.mjs";
import { Server } from "../support/server.mjs";
import { StreamsPeer } from "../support/streams-peer.mjs";
import { until } from "../support/wait.mjs";

/** Pictures are told apart by their shape, which bandwidth does not change. */
const CAMERA = 4 / 3;
const SCREEN = [480, 480];
const SECOND = [640, 256];
const shape = ([width, height]) => width / height;

describe("streams of one connection", () => {
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

  for (const bundled of [true, false]) {
    const how = bundled ? "over one transport" : "over a transport for each m-line";
    test(`camera, screen and microphone are seen apart, added, paused, stopped and started again, ${how}`, async () => {
      const pipeline = await client.create("MediaPipeline");
      const [source, sink] = [await pipeline.create("WebRtcEndpoint"), await pipeline.create("WebRtcEndpoint")];
      const publisher = await StreamsPeer.open(await page(), source, { bundled });
      const viewer = await StreamsPeer.open(await page(), sink, { bundled });
      await publisher.send("microphone");
      await publisher.send("camera");
      await publisher.send(SCREEN);
      await publisher.negotiate({ gather: true });
      for (const kind of ["audio", "video", "video"]) {
        await viewer.receive(kind);
      }
      await viewer.negotiate({ gather: true });

      const [camera, screen] = await publisher.mids("video");
      const [sound] = await viewer.mids("audio");
      const [large, small] = await viewer.mids("video");
      await source.connect(sink, "AUDIO");
      await source.connect(sink, "VIDEO", camera, large);
      await source.connect(sink, "VIDEO", screen, small);
      const named = (await source.getSinkConnections("VIDEO")).map((it) => [it.sourceDescription, it.sinkDescription]);
      assert.deepEqual(named.sort(), [[camera, large], [screen, small]].sort());
      await viewer.watch(large, 20, CAMERA);
      await viewer.watch(small, 20, shape(SCREEN));
      await until("sound comes", async () => (await viewer.received(sound)).energy > 0);

      // They change places.
      await source.connect(sink, "VIDEO", screen, large);
      await source.connect(sink, "VIDEO", camera, small);
      await viewer.watch(large, 10, shape(SCREEN));
      await viewer.watch(small, 10, CAMERA);

      // One more, in the call.
      await publisher.send(SECOND);
      await publisher.negotiate();
      await viewer.receive("video");
      await viewer.negotiate();
      const second = (await publisher.mids("video")).at(-1);
      const third = (await viewer.mids("video")).at(-1);
      await source.connect(sink, "VIDEO", second, third);
      await viewer.watch(third, 20, shape(SECOND));
      await viewer.watch(small, 10, CAMERA);

      // Paused and resumed, while the others play.
      await publisher.turn(second, "inactive");
      await publisher.negotiate();
      await until("the picture stands", async () => {
        const { frames } = await viewer.received(third);
        await viewer.watch(small, 10, CAMERA);
        return (await viewer.received(third)).frames === frames;
      });
      await publisher.turn(second, "sendonly");
      await publisher.negotiate();
      await viewer.watch(third, 20, shape(SECOND));

      // Stopped for good, and another one in the same place of the description.
      await publisher.turn(screen, "stopped");
      const stopped = await publisher.negotiate();
      assert.equal(stopped.match(/^m=video 0 /gm)?.length, 1, stopped);
      await viewer.watch(small, 20, CAMERA);
      await publisher.send(SCREEN);
      const again = await publisher.negotiate();
      assert.equal(again.match(/^m=/gm).length, stopped.match(/^m=/gm).length, "the place is used again");
      assert.equal(again.match(/^m=video 0 /gm), null, again);
      const mids = await publisher.mids("video");
      const fresh = mids.find((mid) => ![camera, screen, second].includes(mid));
      await source.connect(sink, "VIDEO", fresh, large);
      await viewer.watch(large, 20, shape(SCREEN));
      await viewer.watch(small, 10, CAMERA);

      // The viewer stops one, and asks for another.
      await viewer.turn(third, "stopped");
      await viewer.negotiate();
      await viewer.watch(small, 10, CAMERA);
      await viewer.receive("video");
      await viewer.negotiate();
      const next = (await viewer.mids("video")).find((mid) => ![large, small, third].includes(mid));
      await source.connect(sink, "VIDEO", second, next);
      await viewer.watch(next, 20, shape(SECOND));
      await viewer.watch(small, 10, CAMERA);

      const stats = Object.values(await source.getStats("VIDEO"));
      const inbound = stats.filter((entry) => /inbound/i.test(entry.type) && entry.packetsReceived > 0);
      assert.equal(inbound.length, 3, JSON.stringify(stats));
      const transports = await source.getIceConnectionState();
      assert.equal(transports.length >= (bundled ? 1 : 4), true, JSON.stringify(transports));
      await pipeline.release();
      browsers.assertQuiet();
    });
  }
});
