/** Who speaks, as the server hears it: real browsers, with microphones that beep when they are told to. */

import assert from "node:assert/strict";
import { afterEach, describe, test } from "node:test";

import { Browsers } from "../support/browser.mjs";
import { Person } from "../support/demo.mjs";
import { replaceMicrophone, speak } from "../support/microphone.mjs";
import { Server } from "../support/server.mjs";
import { until } from "../support/wait.mjs";

describe("speakers", () => {
  let server;
  let browsers;

  async function start(env = {}) {
    server = await Server.start({ env });
  }

  async function person(name) {
    browsers ??= new Browsers();
    const page = await browsers.page();
    await page.addInitScript(replaceMicrophone);
    return new Person(page, server.url, name);
  }

  afterEach(async () => {
    await browsers?.close();
    browsers = undefined;
    await server?.stop();
    server = undefined;
  });

  /** Who is marked on a person's page: names on the tiles, and what a screen reader says. */
  function marked(of) {
    return of.page
      .locator(".tile-active")
      .evaluateAll((tiles) => tiles.map((tile) => [tile.dataset.user, tile.getAttribute("aria-label")]));
  }

  async function marks(of, expected) {
    await until(`${of.name} sees who speaks: ${JSON.stringify(expected)}`, async () => {
      const seen = JSON.stringify(await marked(of));
      return seen === JSON.stringify(expected) || Promise.reject(new Error(seen));
    });
  }

  test("the page that beeps is marked as the speaker on every page, until it is quiet", async () => {
    await start();
    const [ana, ben] = [await person("Ana"), await person("Ben")];
    await ana.join("talk");
    await ben.join("talk");
    await ana.meets("Ana", "Ben");
    assert.deepEqual(await marked(ana), []);

    await speak(ben, true);
    await marks(ana, [["Ben", "Ben, speaking"]]);
    await marks(ben, [["Ben", "Ben (you), speaking"]]);

    await speak(ben, false);
    await speak(ana, true);
    await marks(ben, [["Ana", "Ana, speaking"]]);
    await marks(ana, [["Ana", "Ana (you), speaking"]]);

    await speak(ana, false);
    await marks(ana, []);
    await marks(ben, []);
    browsers.assertQuiet();
  });

  test("with one loudest, only the one who beeps is heard", async () => {
    await start({ SALONO_ROOM_LOUDEST: "1" });
    const [ana, ben, cleo] = [await person("Ana"), await person("Ben"), await person("Cleo")];
    for (const one of [ana, ben, cleo]) {
      await one.join("loudest");
    }
    await ana.meets("Ana", "Ben", "Cleo");
    const packets = async (name) => (await ana.stats())[`${name}_webcam`]?.audioPackets ?? 0;
    for (const [loud, quiet] of [
      ["Ben", "Cleo"],
      ["Cleo", "Ben"],
    ]) {
      const speaker = loud === "Ben" ? ben : cleo;
      await speak(speaker, true);
      await marks(ana, [[loud, `${loud}, speaking`]]);
      await until(`Ana hears a second of ${loud} and nothing of ${quiet}`, async () => {
        const before = [await packets(loud), await packets(quiet)];
        await until(`Ana hears ${loud}`, async () => (await packets(loud)) >= before[0] + 50);
        return (await packets(quiet)) === before[1];
      });
      await speak(speaker, false);
    }
    browsers.assertQuiet();
  });
});
