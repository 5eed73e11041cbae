/** The basic page, and with it the client as a plain script. */

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { Browsers } from "../support/browser.mjs";
import { Server } from "../support/server.mjs";
import { until } from "../support/wait.mjs";

describe("the basic page", () => {
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

  async function enter(name, path) {
    const page = await browsers.page();
    await page.goto(server.url + path);
    await join(page, name);
    return page;
  }

  async function join(page, name) {
    await page.fill("#name", name);
    await page.fill("#roomName", "garden");
    await page.click("#joinBtn");
    await page.locator("#buttonLeaveRoom").waitFor();
  }

  /** Waits until pictures of a user come. */
  function plays(page, user) {
    return until(`${user} is seen`, () =>
      page.evaluate((id) => {
        const video = document.getElementById(id);
        return video !== null && video.videoWidth > 0 && video.currentTime > 0.5;
      }, `native-video-${user}_webcam`),
    );
  }

  test("two see each other; who leaves is gone, and may enter again", async () => {
    const [ana, ben] = [await enter("Ana", "/basic"), await enter("Ben", "/room.html")];
    for (const page of [ana, ben]) {
      await plays(page, "Ana");
      await plays(page, "Ben");
      assert.equal(await page.locator("#video-Ana_webcam, #video-Ben_webcam").count(), 2);
    }
    await ben.click("#buttonLeaveRoom");
    await ana.locator("#video-Ben_webcam").waitFor({ state: "detached" });
    assert.match(await ana.locator("#console").innerText(), /Ben left/);
    await join(ben, "Ben");
    await plays(ana, "Ben");
    browsers.assertQuiet();
  });

  test("a name that is taken is said, and leaves the form", async () => {
    const page = await browsers.page();
    await page.goto(`${server.url}/basic`);
    await page.fill("#name", "Ana");
    await page.fill("#roomName", "garden");
    await page.click("#joinBtn");
    await page.locator("#console p").waitFor();
    assert.ok(await page.locator("#joinBtn").isEnabled());
    browsers.assertQuiet();
  });
});
