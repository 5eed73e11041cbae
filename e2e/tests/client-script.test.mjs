/** The client as the plain script that pages made for Kurento Room load: what only a real browser can show. */

import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";

import { Browsers } from "../support/browser.mjs";
import { replaceMicrophone, speak } from "../support/microphone.mjs";
import { Server } from "../support/server.mjs";
import { until } from "../support/wait.mjs";

describe("the client as a script", () => {
  let server;
  let browsers;
  let rooms = 0;
  // One a test: nobody of an earlier one is heard.
  let garden;

  beforeEach(() => {
    garden = `garden${rooms++}`;
  });

  before(async () => {
    server = await Server.start({ env: { SALONO_ROOM_ALLOW_CLOSE: "true" } });
    browsers = new Browsers();
  });

  after(async () => {
    await browsers?.close();
    await server?.stop();
  });

  /** A page in which `client`, `room`, `camera` and what was `told` are there, published. */
  async function enter(user, script = () => undefined) {
    const page = await browsers.page();
    await page.addInitScript(script);
    await page.goto(`${server.url}/basic`);
    await page.evaluate(async ([user, name]) => {
      window.told = [];
      window.client = await new Promise((resolve, reject) => {
        new KurentoRoom(location.href.replace(/^http/, "ws").replace("basic", "room"), (error, kurento) =>
          error ? reject(error) : resolve(kurento),
        );
      });
      window.room = new client.Room({ room: name, user, updateSpeakerInterval: 200, thresholdSpeaker: -60 });
      window.camera = new client.Stream(room, { data: true });
      const names = ["participant-left", "participant-unpublished", "stream-added", "stream-removed", "room-closed"];
      for (const name of [...names, "stream-speaking", "stream-stopped-speaking", "update-main-speaker"]) {
        room.addEventListener(name, ({ stream, participant, participantId, room }) => {
          told.push(`${name} ${stream?.getGlobalID() ?? participant?.getID() ?? participantId ?? room}`);
        });
      }
      await new Promise((resolve, reject) => {
        camera.addEventListener("access-accepted", () => room.connect());
        camera.addEventListener("access-denied", reject);
        room.addEventListener("error-room", ({ error }) => reject(error));
        room.addEventListener("stream-published", resolve);
        room.addEventListener("room-connected", () => camera.publish());
        camera.init();
      });
    }, [user, garden]);
    return page;
  }

  const hears = (page, what) =>
    until(`the page is told: ${what}`, async () => {
      const told = await page.evaluate(() => window.told);
      return told.includes(what) || Promise.reject(new Error(told.join()));
    });

  test("thumbnails have the names, signs and videos that pages look for, and go with their stream", async () => {
    const [ana, ben] = [await enter("Ana"), await enter("Benjamin the Second")];
    const id = "Benjamin the Second_webcam";
    await hears(ana, `stream-added ${id}`);
    await ana.evaluate((id) => {
      const thumb = document.createElement("div");
      thumb.id = "thumb";
      thumb.style.display = "none";
      document.body.append(thumb);
      room.getStreams()[id].playThumbnail("thumb");
      room.getStreams()[id].playOnlyVideo(document.body);
    }, id);
    await until("both videos play", () =>
      ana.evaluate((id) => {
        const videos = [...document.querySelectorAll("video")].filter((video) => video.id === `native-video-${id}`);
        return videos.length === 2 && videos.every(({ currentTime }) => currentTime > 0.5);
      }, id),
    );
    const thumb = await ana.evaluate((id) => {
      const container = document.getElementById(id);
      return {
        classes: container.className,
        name: document.getElementById(`name-${id}`).textContent,
        waits: document.getElementById(`progress-${id}`) !== null,
        display: document.getElementById("thumb").style.display,
      };
    }, id);
    assert.deepEqual(thumb, { classes: "participant", name: "Benjamin the Sec...", waits: false, display: "" });

    await ben.evaluate(() => client.disconnectParticipant(camera));
    await hears(ana, "participant-unpublished Benjamin the Second");
    await hears(ana, `stream-removed ${id}`);
    assert.equal(await ana.evaluate((id) => document.getElementById(id), id), null);
    assert.equal(await ana.locator("video").count(), 0);
    assert.ok(!(await ana.evaluate(() => told)).some((event) => event.startsWith("participant-left")), "unpublishing is not leaving");

    await ben.evaluate(async () => {
      await new Promise((resolve) => {
        camera.addEventListener("access-accepted", resolve);
        camera.init();
      });
      camera.publish();
    });
    await until("the stream is there again", async () => (await ana.evaluate(() => told)).filter((event) => event === `stream-added ${id}`).length === 2);
    browsers.assertQuiet();
  });

  test("who speaks is told until he is quiet, also where the stream is not played", async () => {
    const [fay, cleo] = [await enter("Fay", replaceMicrophone), await enter("Cleo")];
    await speak({ page: fay }, true);
    await hears(cleo, "stream-speaking Fay_webcam");
    await hears(cleo, "update-main-speaker Fay_webcam");
    await speak({ page: fay }, false);
    await hears(cleo, "stream-stopped-speaking Fay_webcam");
    browsers.assertQuiet();
  });

  test("the data channel to the server opens", async () => {
    const davi = await enter("Davi");
    await until("it is open", () => davi.evaluate(() => camera.isDataChannelOpened()));
    assert.equal(await davi.evaluate(() => (camera.sendData("hello"), camera.isDataChannelEnabled())), true);
    browsers.assertQuiet();
  });

  test("everybody is told of a room that is closed", async () => {
    const eve = await enter("Eve");
    assert.equal((await fetch(`${server.url}/close?room=${garden}`, { method: "POST" })).status, 200);
    await hears(eve, `room-closed ${garden}`);
    browsers.assertQuiet();
  });
});
