/**
 * Firefox and Chromium in one room: `npm ci --prefix firefox && npm run firefox`, with Debian's `firefox-esr` or
 * another one named in FIREFOX. `make test` leaves it out where there is no Firefox.
 */

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { after, before, describe, test } from "node:test";

import puppeteer from "puppeteer-core";

import { Browsers } from "../support/browser.mjs";
import { Person } from "../support/demo.mjs";
import { Server } from "../support/server.mjs";
import { until } from "../support/wait.mjs";

const ROOM = "den";

/**
 * A made-up camera and microphone without a question; the server's loopback address counts, which Firefox does not
 * talk to otherwise.
 */
const PREFERENCES = {
  "media.navigator.streams.fake": true,
  "media.navigator.permission.disabled": true,
  "media.peerconnection.ice.obfuscate_host_addresses": false,
  "media.peerconnection.ice.default_address_only": false,
  "media.peerconnection.ice.loopback": true,
  "media.autoplay.default": 0,
};

describe("Firefox and Chromium", () => {
  let server;
  let browsers;
  let firefox;
  let page;
  let fox;
  let ben;
  const complaints = [];

  before(async () => {
    const executablePath = process.env.FIREFOX ?? "/usr/bin/firefox-esr";
    assert.ok(existsSync(executablePath), `no Firefox at ${executablePath}: install it, or name it in FIREFOX`);
    server = await Server.start();
    browsers = new Browsers();
    ben = new Person(await browsers.page(), server.url, "Ben");
    firefox = await puppeteer.launch({
      browser: "firefox",
      executablePath,
      headless: true,
      extraPrefsFirefox: PREFERENCES,
    });
    page = await firefox.newPage();
    page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
    page.on("pageerror", (error) => complaints.push(`uncaught: ${error.message}`));
    // Statistics are asked for in the same way; the rest is said in this driver's terms below.
    fox = new Person(page, server.url, "Fox");
  });

  after(async () => {
    await firefox?.close();
    await browsers?.close();
    await server?.stop();
  });

  /** Waits until Firefox decodes new pictures and sound of Ben. */
  async function foxPerceivesBen() {
    const id = "Ben_webcam";
    const before = await until("Firefox receives Ben", async () => (await fox.stats())[id]);
    await until("Firefox sees and hears Ben", async () => {
      const now = (await fox.stats())[id];
      const alive = now.framesDecoded >= before.framesDecoded + 20 && now.energy > before.energy;
      return alive || Promise.reject(new Error(JSON.stringify({ before, now })));
    });
    await until("Firefox has the picture of Ben on the screen", () =>
      page.$eval(`[data-testid=tile][data-user="Ben"]`, (tile) => tile.dataset.picture === "on"),
    );
  }

  test("see and hear each other", async () => {
    await page.goto(server.url);
    await page.type("#name", "Fox");
    await page.type("#roomName", ROOM);
    await page.click("#joinBtn");
    await page.waitForSelector("#call:not([hidden])");
    await ben.join(ROOM);
    await ben.perceives("Fox");
    await foxPerceivesBen();
  });

  test("Chromium gets the one of Firefox's qualities that its tile shows", async () => {
    const rids = await page.evaluate(async () => {
      const report = [...(await window.salonoDemo.peers()["Fox_webcam"].getStats()).values()];
      const sent = report.filter((entry) => entry.type === "outbound-rtp" && entry.kind === "video");
      return sent.map(({ rid }) => rid).sort();
    });
    assert.deepEqual(rids, ["f", "h", "q"]);
    const height = () =>
      ben.page.evaluate(async () => {
        const report = [...(await window.salonoDemo.peers()["Fox_webcam"].getStats()).values()];
        return report.find((entry) => entry.type === "inbound-rtp" && entry.kind === "video")?.frameHeight ?? 0;
      });
    const sees = async (what, is) => {
      await until(what, async () => {
        const now = await height();
        return is(now) || Promise.reject(new Error(String(now)));
      });
      return height();
    };
    await ben.page.setViewportSize({ width: 1600, height: 1000 });
    const whole = await sees("the whole picture", (lines) => lines >= 480);
    await ben.page.setViewportSize({ width: 420, height: 420 });
    await sees("a smaller picture for a smaller tile", (lines) => lines > 0 && lines < whole);
    await ben.page.setViewportSize({ width: 1600, height: 1000 });
    await sees("the whole picture again", (lines) => lines === whole);
    await ben.perceives("Fox");
  });

  test("stop and start to publish", async () => {
    await page.click("#buttonDisconnect");
    await until("the picture of Firefox is gone", async () => {
      return (await ben.page.locator("#video-Fox_webcam").count()) === 0;
    });
    await page.click("#buttonDisconnect");
    await ben.perceives("Fox");

    await ben.page.click("#buttonDisconnect");
    await until("the picture of Ben is gone", async () => (await page.$("#video-Ben_webcam")) === null);
    await ben.page.click("#buttonDisconnect");
    await foxPerceivesBen();
  });

  test("leave without a complaint", async () => {
    await page.click("#buttonLeaveRoom");
    await ben.meets("Ben");
    assert.deepEqual(complaints, []);
    browsers.assertQuiet();
  });
});
