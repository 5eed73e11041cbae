/** The JavaScript client as its users have it: packed, installed, built by Vite, in real browsers. */

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { Browsers } from "../support/browser.mjs";
import { Server } from "../support/server.mjs";
import { ViteApp } from "../support/vite-app.mjs";
import { until } from "../support/wait.mjs";

describe("the client's package", () => {
  let app;
  let server;
  let browsers;
  let [ana, ben] = [];

  before(async () => {
    app = await ViteApp.start();
    server = await Server.start();
    browsers = new Browsers();
    [ana, ben] = [await enter("Ana"), await enter("Ben")];
  });

  after(async () => {
    await browsers?.close();
    await server?.stop();
    await app?.stop();
  });

  async function enter(user, room = "garden") {
    const page = await browsers.page();
    await page.goto(app.page(`ws://${server.ports.http}/room`, room, user));
    await page.locator("li", { hasText: "published" }).waitFor();
    return page;
  }

  /** Waits until pictures of a stream come, from now on. */
  async function plays(page, id) {
    const time = () => page.evaluate((id) => document.getElementById(id)?.currentTime ?? -1, id);
    const start = await until(`${id} is there`, async () => ((await time()) > 0 ? time() : null));
    await until(`${id} plays`, async () => (await time()) > start + 0.5);
  }

  test("two see each other", async () => {
    await plays(ana, "Ben_webcam");
    await plays(ben, "Ana_webcam");
    browsers.assertQuiet();
  });

  test("what somebody says is read, as text", async () => {
    await ana.evaluate(async () => (await session).chat("<b>hello</b>"));
    await ben.locator("li", { hasText: "Ana: <b>hello</b>" }).waitFor();
    assert.equal(await ben.locator("b").count(), 0);
  });

  test("a camera is replaced while it is watched, and nobody has to do anything", async () => {
    const size = () => ben.evaluate(() => document.getElementById("Ana_webcam").videoWidth);
    await until("a wide picture", async () => (await size()) > 600);
    await ana.evaluate(async () => {
      const camera = (await session).publications.get("webcam");
      await camera.replaceTrack((await openCamera({ microphone: false, width: 320 })).getVideoTracks()[0]);
    });
    await until("a narrow picture", async () => (await size()) <= 320 && (await size()) > 0);
    await plays(ben, "Ana_webcam");
    browsers.assertQuiet();
  });

  test("how well media goes is told for what is sent and what is received", async () => {
    const told = await ana.evaluate(async () => {
      const { publications, streams } = await session;
      const next = (link) => new Promise((resolve) => link.on("quality", resolve));
      return Promise.all([next(publications.get("webcam")), next(streams[0].subscription)]);
    });
    for (const { level, kbps, lines } of told) {
      assert.ok(["good", "fair", "poor"].includes(level) && kbps > 0 && lines > 0, JSON.stringify(told));
    }
  });

  test("a name that is taken is told as such", async () => {
    const page = await browsers.page();
    await page.goto(app.page(`ws://${server.ports.http}/room`, "garden", "Ana"));
    await page.locator("li", { hasText: "name taken" }).waitFor();
  });

  test("who leaves is gone", async () => {
    await ben.evaluate(async () => (await session).leave());
    await ana.locator("#Ben_webcam").waitFor({ state: "detached" });
    await ben.locator("li", { hasText: "ended: left" }).waitFor();
    browsers.assertQuiet();
  });
});
