/** What the demo page offers beyond the call itself, each thing as a person uses it. */

import assert from "node:assert/strict";
import { afterEach, describe, test } from "node:test";

import { Browsers } from "../support/browser.mjs";
import { Person } from "../support/demo.mjs";
import { replaceMicrophone, speak } from "../support/microphone.mjs";
import { Server } from "../support/server.mjs";
import { until } from "../support/wait.mjs";

describe("the demo page", () => {
  let server;
  let browsers;

  async function person(name, options = {}) {
    server ??= await Server.start();
    browsers ??= new Browsers();
    return new Person(await browsers.page(options), server.url, name);
  }

  afterEach(async () => {
    await browsers?.close();
    browsers = undefined;
    await server?.stop();
    server = undefined;
  });

  /** The large tile's user, or null. */
  const main = (of) => of.page.evaluate(() => document.querySelector(".tile-main")?.dataset.user ?? null);

  const isMain = (of, name) => until(`${of.name} has ${name} large`, async () => (await main(of)) === name);

  test("the link of a room is copied, and leads into the room", async () => {
    const permissions = ["clipboard-read", "clipboard-write"];
    const ana = await person("Ana", { permissions });
    await ana.join("garden.7");
    await ana.page.getByRole("button", { name: "Copy the link of this room" }).click();
    await ana.page.getByRole("button", { name: "Copied" }).waitFor();
    const link = await ana.page.evaluate(() => navigator.clipboard.readText());
    assert.equal(link, `${server.url}/#/rooms/garden.7`);

    const ben = await person("Ben");
    await ben.page.goto(link);
    assert.equal(await ben.page.inputValue("#roomName"), "garden.7");
    await ben.page.fill("#name", "Ben");
    await ben.page.press("#name", "Enter");
    await ana.meets("Ana", "Ben");
    assert.ok(await ana.page.getByText("Nobody else is here yet.").isHidden());
    await ana.page.evaluate(() => navigator.clipboard.writeText(""));
    await ana.page.click("#buttonCopyLink");
    await until("the link is copied again", () => ana.page.evaluate(async () => (await navigator.clipboard.readText()) !== ""));
    browsers.assertQuiet();
  });

  test("a phone shares the link with whatever it shares with", async () => {
    const ana = await person("Ana", { viewport: { width: 360, height: 700 }, isMobile: true, hasTouch: true });
    await ana.page.addInitScript(() => {
      navigator.share = async (what) => {
        window.shared = what;
      };
    });
    await ana.join("garden");
    await ana.page.getByRole("button", { name: "Copy the link of this room" }).tap();
    const shared = await until("it is shared", () => ana.page.evaluate(() => window.shared));
    assert.deepEqual(shared, { title: "garden", url: `${server.url}/#/rooms/garden` });
    browsers.assertQuiet();
  });

  test("the call fills the screen and gives it back, at the latest when it is over", async () => {
    const ana = await person("Ana");
    await ana.join("garden");
    const filled = () => ana.page.evaluate(() => document.fullscreenElement?.id ?? null);
    await ana.page.getByRole("button", { name: "Full screen" }).click();
    await until("the call fills the screen", async () => (await filled()) === "call");
    await ana.page.getByRole("button", { name: "Leave full screen" }).click();
    await until("it does no longer", async () => (await filled()) === null);
    await ana.page.click("#goFullscreen");
    await until("it does again", async () => (await filled()) === "call");
    await ana.page.click("#buttonLeaveRoom");
    await until("it is over", async () => (await filled()) === null);
    browsers.assertQuiet();
  });

  test("whoever is chosen is large until not any more, or gone", async () => {
    const [ana, ben] = [await person("Ana"), await person("Ben")];
    await ana.join("garden");
    await ben.join("garden");
    await ana.perceives("Ben");
    await ana.page.mouse.move(1, 1);
    await ana.tile("Ben").click({ position: { x: 60, y: 60 } });
    await isMain(ana, "Ben");
    // Tiles glide to their places.
    await until("it is more than twice as large", async () => {
      const [large, small] = [await ana.tile("Ben").boundingBox(), await ana.tile("Ana").boundingBox()];
      const isLarge = large.width * large.height > 2 * small.width * small.height;
      return isLarge || Promise.reject(new Error(JSON.stringify({ large, small })));
    });
    assert.equal(await ana.page.getAttribute("#buttonDisconnect", "data-offer"), "stop");
    await ana.tile("Ana").locator(".tile-surface").press("Enter");
    await isMain(ana, "Ana");
    await ana.tile("Ana").locator(".tile-surface").press("Space");
    await isMain(ana, null);
    await ana.tile("Ben").locator(".tile-surface").press("Enter");
    await isMain(ana, "Ben");
    await ben.page.click("#buttonLeaveRoom");
    await ana.meets("Ana");
    await isMain(ana, null);
    browsers.assertQuiet();
  });

  test("whoever speaks becomes large while that is wanted; choosing by hand ends it", async () => {
    const people = [await person("Ana"), await person("Ben"), await person("Cleo")];
    for (const one of people) {
      await one.page.addInitScript(replaceMicrophone);
      await one.join("garden");
    }
    const [ana, ben, cleo] = people;
    await ana.meets("Ana", "Ben", "Cleo");
    await speak(ben, true);
    await until("Ben is marked", () => ana.page.locator(".tile-active[data-user=Ben]").count());
    assert.equal(await main(ana), null, "nobody asked for it");
    await speak(ben, false);
    await ana.page.click("#buttonMainSpeaker");
    await ana.page.locator("#buttonMainSpeaker[aria-pressed=true]").waitFor();
    await speak(cleo, true);
    await isMain(ana, "Cleo");
    await speak(cleo, false);
    await speak(ben, true);
    await isMain(ana, "Ben");
    await ana.tile("Ana").locator(".tile-surface").press("Enter");
    await isMain(ana, "Ana");
    await ana.page.locator("#buttonMainSpeaker[aria-pressed=false]").waitFor();
    browsers.assertQuiet();
  });

  test("every tile says how well its picture goes, our own too", async () => {
    const [ana, ben] = [await person("Ana"), await person("Ben")];
    await ana.join("garden");
    await ben.join("garden");
    for (const name of ["Ana", "Ben"]) {
      await until(`the quality of ${name}`, async () => {
        const label = await ana.tile(name).locator("[data-testid=quality]").getAttribute("aria-label");
        return /^Connection (good|fair|poor) · \d+ lines/.test(label) || Promise.reject(new Error(String(label)));
      });
    }
    browsers.assertQuiet();
  });

  test("a camera that is refused is explained; one may try again, enter without, or think better of it", async () => {
    const ana = await person("Ana");
    await ana.page.addInitScript(() => {
      const devices = navigator.mediaDevices;
      const real = devices.getUserMedia.bind(devices);
      window.refused = true;
      devices.getUserMedia = (constraints) =>
        window.refused ? Promise.reject(new DOMException("no", "NotAllowedError")) : real(constraints);
    });
    await ana.submit("garden");
    const dialog = ana.page.locator("#dialog[open]");
    await dialog.getByText("Camera and microphone are blocked").waitFor();
    await dialog.getByRole("button", { name: "Cancel" }).click();
    assert.ok(await ana.page.locator("#loginForm").isVisible());

    await ana.page.click("#joinBtn");
    await dialog.getByRole("button", { name: "Enter without" }).click();
    await ana.tile("Ana").getByText("Nobody sees or hears you").waitFor();
    assert.ok(await ana.page.locator("#buttonVolume").isDisabled());
    await ana.page.evaluate(() => {
      window.refused = false;
    });
    await ana.page.click("#buttonDisconnect[data-offer=publish]");
    await until("Ana is published after all", async () => (await ana.stats()).Ana_webcam?.connection === "connected");
    assert.ok(await ana.page.locator("#buttonVolume").isEnabled());
    browsers.assertQuiet();
  });

  test("a room that is closed is explained, and may be entered again", async () => {
    server = await Server.start({ env: { SALONO_ROOM_ALLOW_CLOSE: "true" } });
    const ana = await person("Ana");
    await ana.join("garden");
    const { status } = await fetch(`${server.url}/close?room=garden`, { method: "POST" });
    assert.equal(status, 200);
    const dialog = ana.page.locator("#dialog[open]");
    await dialog.getByText("The room was closed").waitFor();
    await dialog.getByRole("button", { name: "Enter again" }).click();
    await until("Ana is in the room again", async () => (await ana.stats()).Ana_webcam?.connection === "connected");
    browsers.assertQuiet();
  });

  test("one's own picture comes back from the server, with the camera's beside it, if the server is told so", async () => {
    const env = { SALONO_ROOM_LOOPBACK_REMOTE: "true", SALONO_ROOM_LOOPBACK_AND_LOCAL: "true" };
    server = await Server.start({ env });
    const ana = await person("Ana");
    await ana.join("garden");
    await until("pictures of Ana come back", async () => (await ana.stats()).Ana_webcam.framesDecoded > 20);
    const plays = (id) => ana.page.evaluate((id) => document.getElementById(id)?.currentTime > 0.5, id);
    await until("they are shown", () => plays("native-video-Ana_webcam"));
    await until("so is what the camera sees", () => plays("native-video-Ana_localStream"));
    assert.equal(await ana.page.locator(".tile").count(), 2);
    assert.equal(await ana.page.locator("#peopleCount").innerText(), "1");
    await ana.page.click("#buttonDisconnect");
    await ana.page.locator("[data-testid=local-tile]").waitFor({ state: "detached" });
    await ana.page.click("#buttonDisconnect[data-offer=publish]");
    await until("both are back", async () => (await plays("native-video-Ana_webcam")) && (await plays("native-video-Ana_localStream")));
    browsers.assertQuiet();
  });

  test("the filter is called what it is on this server", async () => {
    server = await Server.start({ env: { SALONO_ROOM_FILTER_REQUEST_PARAM: "marker" } });
    const ana = await person("Ana");
    await ana.join("garden");
    await ana.page.getByRole("button", { name: "Marker" }).click();
    // No media processor of this server knows markers.
    await ana.page.locator("#notice").getByText("The filter stays as it is").waitFor();
    browsers.assertQuiet();
  });
});
