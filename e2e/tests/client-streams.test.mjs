/** Several streams of one participant: camera and screen. */

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { Browsers } from "../support/browser.mjs";
import { Client } from "../support/client.mjs";
import { Person } from "../support/demo.mjs";
import { Server } from "../support/server.mjs";
import { until } from "../support/wait.mjs";

describe("several streams", () => {
  let server;
  let browsers;

  before(async () => {
    server = await Server.start();
    browsers = new Browsers();
  });

  after(async () => {
    await browsers?.close();
    await server?.stop();
  });

  test("camera and screen come and go one by one; who knows one stream only sees the camera", async () => {
    const [ana, ben] = [
      await Client.join(browsers, server.url, { room: "garden", user: "Ana_A", qualityInterval: 0 }),
      await Client.join(browsers, server.url, { room: "garden", user: "Ben", qualityInterval: 0 }),
    ];
    const cleo = new Person(await browsers.page(), server.url, "Cleo");
    await cleo.join("garden");
    await ana.publish("screen");
    await ben.watch("Ana_A", "screen");
    await ana.publish();
    await ben.watch("Ana_A");
    await ben.sees("Ana_A_screen");
    await cleo.perceives("Ana_A");
    assert.equal(await cleo.page.locator("#video-Ana_A_screen").count(), 0);

    await ana.page.evaluate(() => session.publications.get("screen").close());
    await ben.page.locator("#seen-Ana_A_screen").waitFor({ state: "attached" });
    const streams = () => ben.page.evaluate(() => session.streams.map(({ globalId }) => globalId).filter((id) => id.startsWith("Ana")));
    await until("the screen is gone", async () => JSON.stringify(await streams()) === '["Ana_A_webcam"]');
    await ben.sees("Ana_A_webcam");
    await cleo.perceives("Ana_A");

    const late = await Client.join(browsers, server.url, { room: "garden", user: "Davi", qualityInterval: 0 });
    await ana.publish("screen");
    await late.watch("Ana_A", "screen");
    await ana.page.evaluate(() => session.publications.get("webcam").close());
    await cleo.page.locator("#video-Ana_A_webcam").waitFor({ state: "detached" });
    await late.sees("Ana_A_screen");
    await ana.page.evaluate(() => session.leave());
    await until("nothing of Ana is left", async () => (await streams()).length === 0);
    browsers.assertQuiet();
  });
});
