/** Three people in a room, as they notice it. */

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { Browsers } from "../support/browser.mjs";
import { Person } from "../support/demo.mjs";
import { Server } from "../support/server.mjs";
import { until } from "../support/wait.mjs";

const ROOM = "garden";

describe("a call of three", () => {
  let server;
  let browsers;
  let people;
  let [ana, ben, cleo] = [];

  before(async () => {
    server = await Server.start();
    browsers = new Browsers();
    people = [];
    for (const name of ["Ana", "Ben", "Cleo"]) {
      people.push(new Person(await browsers.page(), server.url, name));
    }
    [ana, ben, cleo] = people;
  });

  after(async () => {
    await browsers?.close();
    await server?.stop();
  });

  test("everybody sees and hears everybody else", async () => {
    await ana.join(ROOM);
    await Promise.all([ben.join(ROOM), cleo.join(ROOM)]);
    for (const person of people) {
      await person.meets("Ana", "Ben", "Cleo");
      for (const other of people.filter((one) => one !== person)) {
        await person.perceives(other.name);
      }
    }
    browsers.assertQuiet();
  });

  test("the room is on the list of open rooms, and the metrics count what happens in it", async () => {
    assert.deepEqual(JSON.parse(await server.get("/getAllRooms")), [ROOM]);
    const metrics = await server.get("/metrics");
    assert.match(metrics, /^salono_rooms 1$/m);
    assert.match(metrics, /^salono_room_participants 3$/m);
  });

  test("what somebody writes reaches everybody, the author too, and is never taken for markup", async () => {
    await ana.say("Hello <b>all</b> & <img src=x>");
    for (const person of people) {
      const author = person === ana ? "You" : "Ana";
      await until(`${person.name} reads it`, async () => {
        const messages = JSON.stringify(await person.messages());
        return messages === JSON.stringify([[author, "Hello <b>all</b> & <img src=x>"]]);
      });
    }
    assert.equal(await ben.page.locator("#chatLog b, #chatLog img").count(), 0);
  });

  test("who unpublishes is still there but no longer seen, until the next publishing", async () => {
    await ben.page.click("#buttonDisconnect");
    for (const other of [ana, cleo]) {
      await until(`the picture of Ben is gone for ${other.name}`, async () => {
        return (await other.page.locator("#video-Ben_webcam").count()) === 0;
      });
      await other.meets("Ana", "Ben", "Cleo");
    }
    assert.equal(await ben.page.getAttribute("#buttonDisconnect", "data-offer"), "publish");
    await ana.perceives("Cleo");

    await ben.page.click("#buttonDisconnect");
    for (const other of [ana, cleo]) {
      await other.perceives("Ben");
    }
    // He never stopped watching.
    await ben.perceives("Ana");
  });

  test("who stops watching somebody is the only one to notice, and can watch again", async () => {
    await ana.tile("Cleo").hover();
    await ana.tile("Cleo").locator("[data-testid=unsubscribe]").click();
    await until("Cleo is no longer on Ana's screen", async () => {
      return (await ana.page.locator("#video-Cleo_webcam").count()) === 0;
    });
    await ana.perceives("Ben");
    await ben.perceives("Cleo");

    await ana.tile("Cleo").locator("[data-testid=again]").click();
    await ana.perceives("Cleo");
  });

  test("a microphone that is off is silence, a camera that is off is no picture, for everybody", async () => {
    const energy = async () => (await ben.stats()).Ana_webcam.energy;
    await ana.page.click("#buttonVolume");
    await ana.page.click("#buttonVideocam");
    await until("the picture of Ana is off for Ben", async () => {
      return (await ben.tile("Ana").getAttribute("data-picture")) === "off";
    });
    // The picture took its second to be found black, so the sound had time to end as well.
    await until("Ben hears nothing from Ana", async () => {
      const first = await energy();
      const { audioPackets } = (await ben.stats()).Ana_webcam;
      await until("sound packets go on", async () => (await ben.stats()).Ana_webcam.audioPackets > audioPackets + 25);
      return (await energy()) - first < 1e-6;
    });

    await ana.page.click("#buttonVolume");
    await ana.page.click("#buttonVideocam");
    await ben.perceives("Ana");
  });

  test("who leaves is gone for the others, whose call goes on, and may enter again", async () => {
    await cleo.page.click("#buttonLeaveRoom");
    await cleo.page.waitForSelector("#login:not([hidden])");
    await ana.meets("Ana", "Ben");
    await ben.meets("Ana", "Ben");
    await ana.perceives("Ben");

    await cleo.join(ROOM);
    await cleo.perceives("Ana");
    await ben.perceives("Cleo");
  });

  test("when everybody has gone, the server holds nothing of the call", async () => {
    for (const person of people) {
      await person.page.click("#buttonLeaveRoom");
    }
    await until("rooms, sessions, pipelines and elements are gone", async () => {
      const lines = (await server.get("/metrics")).split("\n");
      const held = lines.filter((line) => /^salono_(rooms|room_(participants|sessions)|media_(pipelines|elements|endpoints))\b/.test(line));
      assert.ok(held.length >= 6, "the metrics have other names");
      const left = held.filter((line) => !line.endsWith(" 0"));
      return left.length === 0 || Promise.reject(new Error(left.join()));
    });
    assert.deepEqual(JSON.parse(await server.get("/getAllRooms")), []);
  });

  test("no page complained", () => browsers.assertQuiet());
});
