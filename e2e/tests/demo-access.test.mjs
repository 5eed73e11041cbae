/** The demo page on small screens, in light and dark, by keyboard, and for those who hear it. */

import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";

import { assertAccessible, assertFits } from "../support/accessible.mjs";
import { Browsers } from "../support/browser.mjs";
import { Person } from "../support/demo.mjs";
import { Server } from "../support/server.mjs";
import { until } from "../support/wait.mjs";

const PHONE = { viewport: { width: 360, height: 700 }, isMobile: true, hasTouch: true };

describe("the demo page for everybody", () => {
  let server;
  let browsers;

  before(async () => {
    server = await Server.start();
  });

  after(() => server?.stop());

  async function person(name, options) {
    browsers ??= new Browsers();
    return new Person(await browsers.page(options), server.url, name);
  }

  afterEach(async () => {
    await browsers?.close();
    browsers = undefined;
  });

  for (const [where, options] of [
    ["a desk in the light", { colorScheme: "light" }],
    ["a desk in the dark", { colorScheme: "dark" }],
    ["a phone in the light", { ...PHONE, colorScheme: "light" }],
    ["a phone in the dark", { ...PHONE, colorScheme: "dark" }],
  ]) {
    test(`on ${where}, everything is there, fits, and can be told apart`, async () => {
      const [ana, ben] = [await person("Ana", options), await person("Ben", {})];
      const looks = async (what) => {
        await assertAccessible(ana.page, what);
        await assertFits(ana.page, what);
      };
      await ana.page.goto(server.url);
      await looks("login");
      await ana.page.click("#joinBtn");
      await looks("login with what is missing");
      await ana.join("garden");
      await looks("alone");
      await ben.join("garden");
      await ana.perceives("Ben");
      await ben.say("Hello");
      await ana.page.locator("#chatUnread:not([hidden])").waitFor();
      await looks("a call of two");
      await ana.tile("Ben").locator(".tile-surface").press("Enter");
      await ana.page.click("#buttonVolume");
      await ana.page.click("#buttonVideocam");
      await ana.page.click("#buttonMainSpeaker");
      await looks("somebody large, everything off");
      await ana.page.click("#buttonChat");
      await ana.page.getByText("Hello").waitFor();
      await looks("chat");
      await ana.page.keyboard.press("Escape");
      await ana.page.click("#buttonLeaveRoom");
      await ana.page.waitForSelector("#login:not([hidden])");

      await ana.page.fill("#name", "Ben");
      await ana.page.click("#joinBtn");
      await ana.page.locator("#dialog[open]").waitFor();
      await looks("a dialog");
      browsers.assertQuiet();
    });
  }

  test("a phone does what a desk does", async () => {
    const [ana, ben] = [await person("Ana", PHONE), await person("Ben", PHONE)];
    await ana.join("phones");
    await ben.join("phones");
    await ana.perceives("Ben");
    await ben.perceives("Ana");
    await ana.page.tap("#buttonVideocam");
    await until("Ana is not seen", async () => (await ben.tile("Ana").getAttribute("data-picture")) === "off");
    await ana.say("<i>from a phone</i>");
    await ben.page.tap("#buttonChat");
    await ben.page.getByText("<i>from a phone</i>").waitFor();
    await ben.page.tap("#buttonCloseChat");
    await ben.tile("Ana").locator("[data-testid=unsubscribe]").tap();
    await ben.page.locator("#video-Ana_webcam").waitFor({ state: "detached" });
    await ben.tile("Ana").locator("[data-testid=again]").tap();
    await ben.page.locator("#video-Ana_webcam").waitFor({ state: "attached" });
    await ben.page.tap("#buttonDisconnect");
    await ana.page.locator("#video-Ben_webcam").waitFor({ state: "detached" });
    await ben.page.tap("#buttonLeaveRoom");
    await ana.meets("Ana");
    browsers.assertQuiet();
  });

  test("a call needs no pointer: everything is reached in order, and one sees where one is", async () => {
    const [ana, ben] = [await person("Ana", {}), await person("Ben", {})];
    await ben.join("keys");
    const { page } = ana;
    await page.goto(server.url);
    await page.keyboard.type("Ana");
    await page.keyboard.press("Tab");
    await page.keyboard.type("keys");
    await page.keyboard.press("Enter");
    await page.waitForSelector("#call:not([hidden])");
    await ana.meets("Ana", "Ben");
    await ana.perceives("Ben");

    /** Where the focus is, and whether that is to be seen. */
    const focus = () =>
      page.evaluate(() => {
        const { activeElement: element } = document;
        const { outlineStyle, outlineWidth } = getComputedStyle(element);
        const name = element.id || element.getAttribute("aria-label") || element.className;
        return { name, seen: outlineStyle !== "none" && outlineWidth !== "0px" };
      });
    const order = [];
    for (;;) {
      await page.keyboard.press("Tab");
      const { name, seen } = await focus();
      if (order.includes(name) || name === "") {
        break;
      }
      assert.ok(seen, `${name} has the focus and nobody sees it`);
      order.push(name);
      if (name === "buttonLeaveRoom") {
        break;
      }
    }
    assert.deepEqual(order, [
      ...["buttonCopyLink", "goFullscreen", "Enlarge Ana", "Enlarge Ben", "Stop watching Ben"],
      ...["buttonVolume", "buttonVideocam", "buttonDisconnect", "filterButton", "buttonMainSpeaker", "buttonChat"],
      "buttonLeaveRoom",
    ]);

    await page.focus("#buttonChat");
    await page.keyboard.press("Enter");
    assert.equal((await focus()).name, "chatInput");
    await page.keyboard.type("typed");
    await page.keyboard.press("Enter");
    await ben.page.locator("#chatUnread:not([hidden])").waitFor();
    await page.keyboard.press("Escape");
    assert.equal((await focus()).name, "buttonChat");
    await page.keyboard.press("Tab");
    await page.keyboard.press("Enter");
    await page.waitForSelector("#login:not([hidden])");
    await ben.meets("Ben");
    browsers.assertQuiet();
  });
});
