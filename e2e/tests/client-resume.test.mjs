/** Connections that are lost, networks that change, pages that are reloaded, servers that are replaced. */

import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, test } from "node:test";

import { Browsers } from "../support/browser.mjs";
import { Client } from "../support/client.mjs";
import { Proxy } from "../support/proxy.mjs";
import { Server } from "../support/server.mjs";
import { until } from "../support/wait.mjs";

const OPTIONS = { room: "garden", qualityInterval: 0, reconnectDelay: 200 };

describe("coming back", () => {
  let server;
  let browsers;
  let proxy;

  beforeEach(async () => {
    server = await Server.start({ env: { SALONO_ROOM_RECONNECTION_GRACE_MS: "10000" } });
    browsers = new Browsers();
  });

  afterEach(async () => {
    await browsers.close();
    await proxy?.stop();
    proxy = undefined;
    await server.stop();
  });

  /** Ana, whose WebSocket goes through a proxy, and Ben; each sees the other. */
  async function two() {
    proxy = await Proxy.start(server.ports.http);
    const ana = await Client.join(browsers, server.url, { ...OPTIONS, user: "Ana" }, proxy.roomUrl);
    const ben = await Client.join(browsers, server.url, { ...OPTIONS, user: "Ben" });
    await ana.publish();
    await ben.publish();
    await ana.watch("Ben");
    await ben.watch("Ana");
    return [ana, ben];
  }

  const told = (client) => client.page.evaluate(() => window.told.map(([name]) => name));

  test("a lost connection is resumed: nothing that was said is missed or heard twice, and media never stop", async () => {
    const [ana, ben] = await two();
    await ana.page.evaluate(() => {
      window.read = [];
      session.on("message", ({ text }) => window.read.push(text));
    });
    proxy.hold();
    proxy.cut();
    await ana.hears("reconnecting", {});
    const connection = () => ana.page.evaluate(() => session.publications.get("webcam").peerConnection.connectionState);
    for (const text of ["one", "two", "three"]) {
      await ben.page.evaluate((text) => session.chat(text), text);
    }
    await ana.sees("Ben_webcam");
    await ben.sees("Ana_webcam");
    assert.equal(await connection(), "connected");
    proxy.target = server.ports.http;
    await ana.hears("reconnected", { resumed: true });
    await ana.page.evaluate(() => session.chat("four"));
    await until("everything is read", async () => {
      const read = await ana.page.evaluate(() => window.read);
      return read.includes("four") && (assert.deepEqual(read, ["one", "two", "three", "four"]), true);
    });
    assert.deepEqual(await told(ben), [], "Ben noticed nothing");
    assert.equal(await connection(), "connected");
  });

  test("media find another way after the network changed, over the same connections", async () => {
    const [ana, ben] = await two();
    const ways = () =>
      ana.page.evaluate(() =>
        [session.publications.get("webcam"), session.streams[0].subscription].map(
          ({ peerConnection }) => /a=ice-ufrag:(\S+)/.exec(peerConnection.localDescription.sdp)[1],
        ),
      );
    const before = await ways();
    await ana.page.evaluate(async () => {
      window.connections = [session.publications.get("webcam"), session.streams[0].subscription].map((link) => link.peerConnection);
      await session.publications.get("webcam").restartIce();
      await session.streams[0].subscription.restartIce();
    });
    const now = await ways();
    assert.ok(now.every((way, index) => way !== before[index]), JSON.stringify({ before, now }));
    await ana.sees("Ben_webcam");
    await ben.sees("Ana_webcam");
    const same = await ana.page.evaluate(() =>
      [session.publications.get("webcam"), session.streams[0].subscription].every(
        (link, index) => link.peerConnection === window.connections[index] && link.peerConnection.connectionState === "connected",
      ),
    );
    assert.ok(same, "other connections, or none");
    browsers.assertQuiet();
  });

  test("who reloads the page takes the own place at once", async () => {
    const [ana, ben] = await two();
    const resumeToken = await ana.page.evaluate(() => session.resumeToken);
    assert.equal(typeof resumeToken, "string");
    await ana.page.reload();
    await assert.rejects(ana.enter({ ...OPTIONS, user: "Ana" }, proxy.roomUrl), { name: "NameTakenError", code: 104 });
    await ana.enter({ ...OPTIONS, user: "Ana", resumeToken }, proxy.roomUrl);
    await ana.publish();
    await ben.hears("participant-left", "Ana");
    await ben.hears("participant-joined", "Ana");
    await ben.watch("Ana");
  });

  test("an address that the page's policy forbids is one that cannot be reached", async () => {
    const elsewhere = "ws://127.0.0.1:9/room";
    await assert.rejects(Client.join(browsers, server.url, { ...OPTIONS, user: "Ana" }, elsewhere, {}), { name: "ConnectionError" });
    assert.ok(browsers.complaints.every((text) => /Content Security Policy/.test(text)), browsers.complaints.join());
  });

  test("a server that comes in place of another is entered again, with all that was published and watched", async () => {
    const [ana, ben] = await two();
    const next = await Server.start();
    proxy.hold();
    proxy.cut();
    await ana.hears("reconnecting", {});
    await ben.page.evaluate(() => session.leave());
    // Ben is there before her and publishes.
    await ben.enter({ ...OPTIONS, user: "Ben" }, `${next.url.replace("http", "ws")}/room`);
    await ben.publish();
    const old = server;
    server = next;
    proxy.target = next.ports.http;
    await ana.hears("reconnected", { resumed: false });
    await ana.sees("Ben_webcam");
    await ben.watch("Ana");
    await old.stop();
  });
});
