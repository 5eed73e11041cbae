/** How large pictures are shown: nobody is sent more than there is to see. */

import { inherits } from "node:util";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";

import kurento from "kurento-client";

import { Browsers } from "../support/browser.mjs";
import { Person } from "../support/demo.mjs";
import { KurentoPeer } from "../support/kurento-peer.mjs";
import { Server } from "../support/server.mjs";
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

/** What a program adds to Kurento's client for a class that it does not know, as generated modules do. */
const { MediaObject } = kurento.register.abstracts;

function VideoAdaptation(strict) {
  MediaObject.call(this, strict);
}
inherits(VideoAdaptation, MediaObject);
VideoAdaptation.constructorParams = { endpoint: { type: "String", required: true } };
VideoAdaptation.events = MediaObject.events.concat(["LayerChanged"]);
for (const [operation, name] of [["setPreferredHeight", "preferredHeight"], ["setPriority", "priority"]]) {
  VideoAdaptation.prototype[operation] = function (value, callback = () => undefined) {
    return this._invoke(undefined, operation, { [name]: value }, callback.bind(this));
  };
}
kurento.register("salono", { VideoAdaptation });

describe("sizes", () => {
  let server;
  let browsers;

  before(async () => {
    server = await Server.start();
  });

  after(() => server?.stop());

  beforeEach(() => {
    browsers = new Browsers();
  });

  afterEach(() => browsers?.close());

  test("a program asks for a size with Kurento's client and is told what comes", async () => {
    const client = await kurento(server.kurento);
    try {
      const pipeline = await client.create("MediaPipeline");
      const [source, sink] = [await pipeline.create("WebRtcEndpoint"), await pipeline.create("WebRtcEndpoint")];
      await source.connect(sink);
      const adaptation = await pipeline.create("salono.VideoAdaptation", { endpoint: sink.id });
      const heights = [];
      adaptation.on("LayerChanged", ({ height }) => heights.push(height));
      const pages = [await browsers.page(), await browsers.page()];
      await Promise.all(pages.map((page) => page.goto(server.url)));
      await KurentoPeer.connect(pages[0], source, { send: true, layers: SIMULCAST });
      const viewer = await KurentoPeer.connect(pages[1], sink, { receive: true });
      for (const height of [180, 720, 360]) {
        await adaptation.setPreferredHeight(height);
        await until(`a picture of ${height} lines`, async () => {
          const picture = await viewer.picture();
          return picture.height === height || Promise.reject(new Error(JSON.stringify(picture)));
        });
        await viewer.watch(10);
        await until("the program is told", () => heights.at(-1) === height);
      }
      await pipeline.release();
      browsers.assertQuiet();
    } finally {
      client.close();
    }
  });

  test("the page asks for what its tiles show, and says how well they come", async () => {
    const [ana, ben] = [new Person(await browsers.page(), server.url, "Ana"), new Person(await browsers.page(), server.url, "Ben")];
    await ana.page.setViewportSize({ width: 1600, height: 1000 });
    await ana.join("sizes");
    await ben.join("sizes");
    await ana.perceives("Ben");
    const height = () =>
      ana.page.evaluate(async () => {
        const report = [...(await window.salonoDemo.peers()["Ben_webcam"].getStats()).values()];
        return report.find((entry) => entry.type === "inbound-rtp" && entry.kind === "video")?.frameHeight ?? 0;
      });
    const whole = await until("the whole picture", async () => {
      const now = await height();
      return now >= 480 ? now : Promise.reject(new Error(String(now)));
    });
    await ana.page.setViewportSize({ width: 420, height: 420 });
    await until("a smaller picture for a smaller tile", async () => {
      const now = await height();
      return (now > 0 && now < whole) || Promise.reject(new Error(String(now)));
    });
    await until("the tile says how well it comes", async () => {
      const label = await ana.tile("Ben").locator("[data-testid=quality]").getAttribute("aria-label");
      return /^Connection (good|fair|poor) · \d+ lines · layer \d/.test(label) || Promise.reject(new Error(label));
    });
    await ana.page.setViewportSize({ width: 1600, height: 1000 });
    await until("the whole picture again", async () => (await height()) === whole);
    browsers.assertQuiet();
  });
});
