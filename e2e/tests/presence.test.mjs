/** Who is in the room: odd names, taken names, browsers that die, servers that die. */

import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";

import { Browsers } from "../support/browser.mjs";
import { Person } from "../support/demo.mjs";
import { Server } from "../support/server.mjs";
import { until } from "../support/wait.mjs";

describe("presence", () => {
  let server;
  let browsers;

  before(async () => {
    server = await Server.start();
  });

  after(async () => {
    await server?.stop();
  });

  async function person(name) {
    browsers ??= new Browsers();
    return new Person(await browsers.page(), server.url, name);
  }

  afterEach(async () => {
    await browsers?.close();
    browsers = undefined;
  });

  test("who dies without goodbye is gone for the others after the grace time, and the call goes on", async () => {
    const [ana, ben, cleo] = [await person("Ana"), await person("Ben"), await person("Cleo")];
    for (const one of [ana, ben, cleo]) {
      await one.join("mortal");
    }
    await ana.perceives("Cleo");

    await cleo.page.kill();
    const died = Date.now();
    await ana.meets("Ana", "Ben");
    await ben.meets("Ana", "Ben");
    assert.ok(Date.now() - died > 1000, "Cleo had no time to come back");
    await ana.perceives("Ben");
    browsers.assertQuiet();
  });

  test("a name that is taken gives an explanation, and the form back", async () => {
    const [ana, double] = [await person("Ana"), await person("Ana")];
    await ana.join("names");
    await double.submit("names");
    const dialog = double.page.locator("#dialog[open]");
    await dialog.waitFor();
    assert.match(await dialog.innerText(), /name is taken/i);
    await dialog.locator("button").click();
    assert.ok(await double.page.locator("#loginForm").isVisible());
    assert.deepEqual(await ana.people(), ["Ana"]);
    browsers.assertQuiet();
  });

  test("a name with markup is shown as text on every page", async () => {
    const [ana, guest] = [await person("Ana"), await person("-")];
    await ana.join("markup");
    // The form refuses such names; other clients may not.
    const name = `<b onclick="x">Eve</b>`;
    await guest.page.goto(server.url);
    await guest.page.evaluate(async (user) => {
      const { KurentoRoom } = await import("/js/salono-client.js");
      const kurento = await new Promise((resolve, reject) => {
        KurentoRoom(`ws://${location.host}/room`, (error, client) => (error ? reject(error) : resolve(client)));
      });
      const room = kurento.Room({ room: "markup", user, subscribeToStreams: false });
      await new Promise((resolve, reject) => {
        room.addEventListener("room-connected", resolve);
        room.addEventListener("error-room", ({ error }) => reject(error));
        room.connect();
      });
      kurento.sendMessage("markup", user, "<i>hello</i>");
    }, name);
    await ana.meets("Ana", name);
    assert.ok((await ana.page.locator(".tile-name").allInnerTexts()).includes(name));
    await until("the message arrives", async () => {
      return JSON.stringify(await ana.messages()) === JSON.stringify([[name, "<i>hello</i>"]]);
    });
    assert.equal(await ana.page.locator("#stage b, #chatLog b, #chatLog i").count(), 0);
    browsers.assertQuiet();
  });

  test("the same name enters again at once after leaving", async () => {
    const ana = await person("Ana");
    for (let round = 0; round < 3; round += 1) {
      await ana.join("again");
      await ana.page.click("#buttonLeaveRoom");
      await ana.page.waitForSelector("#login:not([hidden])");
    }
    browsers.assertQuiet();
  });

  test("a page learns that the server has ended, and enters the one that comes after it", async () => {
    const mine = await Server.start();
    let next;
    try {
      browsers = new Browsers();
      const ana = new Person(await browsers.page(), mine.url, "Ana");
      await ana.join("phoenix");
      await mine.kill();
      await until("the page tells that it is not connected", async () => {
        return (await ana.page.getAttribute("#connection", "data-state")) !== "connected";
      });
      next = await Server.start({ http: mine.ports.http });
      const again = ana.page.locator("#dialog[open] button[data-value=again]");
      await again.waitFor({ timeout: 30_000 });
      await again.click();
      await until("Ana is in the room again", async () => {
        const mineNow = (await ana.stats()).Ana_webcam;
        return mineNow.connection === "connected" && JSON.parse(await next.get("/getAllRooms")).includes("phoenix");
      });
    } finally {
      await browsers.close();
      await next?.stop();
    }
  });

  test("a server that is stopped says goodbye to its pages", async () => {
    const mine = await Server.start();
    browsers = new Browsers();
    const ana = new Person(await browsers.page(), mine.url, "Ana");
    await ana.join("evening");
    await mine.stop();
    await until("the page tells the user", async () => {
      const state = await ana.page.getAttribute("#connection", "data-state");
      return state !== "connected" && (await ana.page.locator("#dialog[open], #notice:not([hidden])").count()) > 0;
    });
  });
});
