/** Tokens, roles and moderators, with the JavaScript client and on the demo page. */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";

import { Browsers } from "../support/browser.mjs";
import { Client } from "../support/client.mjs";
import { Person } from "../support/demo.mjs";
import { binary, Server } from "../support/server.mjs";
import { until } from "../support/wait.mjs";

describe("moderation", () => {
  let folder;
  let key;
  let server;
  let browsers;

  const salono = (...args) => execFileSync(binary(), ["token", "--key-file", key, ...args], { encoding: "utf8" }).trim();
  const token = (role) => salono("--room", "garden", "--role", role);

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), "salono-keys-"));
    key = join(folder, "key.json");
    salono("--new-key", "es256");
    server = await Server.start({ env: { SALONO_ROOM_TOKEN_KEYS: key } });
    browsers = new Browsers();
  });

  after(async () => {
    await browsers?.close();
    await server?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  const enter = (user, role) =>
    Client.join(browsers, server.url, { room: "garden", user, qualityInterval: 0, ...(role && { token: token(role) }) });

  test("nobody enters without a token, nor another room with it", async () => {
    await assert.rejects(enter("Ana"), { name: "TokenError", code: 401 });
    const options = { room: "cellar", user: "Ana", token: token("publisher") };
    await assert.rejects(Client.join(browsers, server.url, options), { name: "TokenError", code: 405 });
  });

  test("a moderator mutes, locks, evicts and closes; others may not", async () => {
    const [ana, ben, cleo] = [await enter("Ana", "moderator"), await enter("Ben", "publisher"), await enter("Cleo", "subscriber")];
    assert.equal(await ana.page.evaluate(() => session.role), "moderator");
    const grants = await cleo.page.evaluate(() => session.grants);
    assert.deepEqual(grants, { publish: false, subscribe: true, moderate: false, record: false });
    await assert.rejects(cleo.publish(), /NotPermittedError|403/);
    await ben.publish();
    await ana.watch("Ben");
    await cleo.watch("Ben");

    const mute = (of, muted) =>
      of.page.evaluate((muted) => session.muteOther(session.streams.find(({ globalId }) => globalId === "Ben_webcam"), muted), muted);
    await assert.rejects(mute(cleo, { audio: true }), /NotPermittedError/);
    await mute(ana, { audio: true });
    const state = { user: "Ben", id: "webcam" };
    for (const one of [ana, ben, cleo]) {
      await one.hears("media-muted", { ...state, audio: true, video: false });
    }
    await until("Cleo hears nothing more", async () => {
      const [energy, frames] = [await cleo.energy("Ben_webcam"), await cleo.frames("Ben_webcam")];
      await until("pictures go on", async () => (await cleo.frames("Ben_webcam")) > frames + 30);
      return (await cleo.energy("Ben_webcam")) - energy < 1e-6;
    });
    await mute(ana, { audio: false });
    const before = await cleo.energy("Ben_webcam");
    await until("Cleo hears Ben again", async () => (await cleo.energy("Ben_webcam")) > before);

    await ana.page.evaluate(() => session.lock(true));
    await ben.hears("room-locked", { locked: true });
    await assert.rejects(enter("Davi", "publisher"), { name: "RoomLockedError", code: 205 });
    await ana.page.evaluate(() => session.lock(false));

    await ana.page.evaluate(() => session.evict(session.participants.get("Ben")));
    await ben.hears("ended", { reason: "evicted" });
    await cleo.hears("participant-left", "Ben");
    await ana.page.evaluate(() => session.closeRoom());
    await cleo.hears("ended", { reason: "room-closed" });
    await ana.hears("ended", { reason: "room-closed" });
    browsers.assertQuiet();
  });

  test("the demo page lets in whoever has a link with a token, and says what others lack", async () => {
    const eve = new Person(await browsers.page(), server.url, "Eve");
    await eve.submit("garden");
    await eve.page.locator("#dialog[open]").getByText("You need an invitation").waitFor();
    const ana = new Person(await browsers.page(), `${server.url}/?token=${token("publisher")}`, "Ana");
    await ana.join("garden");
    await ana.meets("Ana");
    browsers.assertQuiet();
  });
});
