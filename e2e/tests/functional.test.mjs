/** What Kurento Room's functional tests ask of its two pages, with browsers and with fake participants. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { dirname, join } from "node:path";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";

import { Browsers } from "../support/browser.mjs";
import { binary, Server } from "../support/server.mjs";
import { until } from "../support/wait.mjs";

const APPLICATIONS = { demo: "/", basic: "/basic" };

/** Fakes of the test kit in a room; `done` gives what they said once they have left. */
class Fakes {
  #child;
  #out = "";
  #exit;

  constructor(url, room, count, more = []) {
    const program = join(dirname(binary()), "salono-room-test");
    const args = ["fakes", `${url.replace("http", "ws")}/room`, room, "--count", `${count}`, "--check", ...more];
    this.#child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"] });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream.setEncoding("utf8");
      stream.on("data", (text) => {
        this.#out += text;
      });
    }
    this.#exit = new Promise((resolve, reject) => {
      this.#child.on("error", reject);
      this.#child.on("close", resolve);
    });
  }

  /** Waits until all of them see each other. */
  ready() {
    return until("the fakes see each other", () => {
      assert.equal(this.#child.exitCode, null, this.#out);
      return / in /.test(this.#out);
    });
  }

  /** They leave; gives what they received. */
  async leave() {
    this.#child.kill("SIGINT");
    assert.equal(await this.#exit, 0, this.#out);
    return this.#out;
  }
}

for (const [application, path] of Object.entries(APPLICATIONS)) {
  describe(`functional tests of the ${application} page`, () => {
    let server;
    let browsers;
    let room;
    let rooms = 0;

    before(async () => {
      server = await Server.start();
    });

    after(async () => {
      await server?.stop();
    });

    beforeEach(() => {
      browsers = new Browsers();
      room = `room${rooms++}`;
    });

    afterEach(async () => {
      await browsers.close();
    });

    async function enter(name, page) {
      const there = page ?? (await browsers.page());
      await there.goto(`${server.url}${path}`);
      await there.fill("#name", name);
      await there.fill("#roomName", room);
      await there.click("#joinBtn");
      await plays(there, name);
      return there;
    }

    /** Pictures of a user come and are shown. */
    function plays(page, user) {
      return until(`${user} is shown`, () =>
        page.evaluate((id) => {
          const video = document.getElementById(id);
          return video !== null && video.videoWidth > 0 && video.currentTime > 0.2;
        }, `native-video-${user}_webcam`),
      );
    }

    const gone = (page, user) => page.locator(`#native-video-${user}_webcam`).waitFor({ state: "detached" });

    async function leave(page) {
      await page.click("#buttonLeaveRoom");
      await page.locator("#joinBtn").waitFor();
    }

    async function allSeeAll(people) {
      for (const page of Object.values(people)) {
        for (const name of Object.keys(people)) {
          await plays(page, name);
        }
      }
    }

    test("users are added and removed at the same time, again and again", async () => {
      const names = ["ann", "bob"];
      const people = {};
      for (let round = 0; round < 2; round++) {
        await Promise.all(names.map(async (name) => (people[name] = await enter(name, people[name]))));
        await allSeeAll(people);
        await Promise.all(names.map((name) => leave(people[name])));
      }
      browsers.assertQuiet();
    });

    test("four users see each other, and leave one by one", async () => {
      const names = ["ann", "bob", "cid", "dee"];
      const people = {};
      for (const name of names) {
        people[name] = await enter(name);
      }
      await allSeeAll(people);
      while (names.length > 0) {
        const name = names.pop();
        await leave(people[name]);
        await Promise.all(names.map((other) => gone(people[other], name)));
      }
      browsers.assertQuiet();
    });

    test("a user enters again quickly, under the same name", async () => {
      const page = await browsers.page();
      for (let round = 0; round < 5; round++) {
        await enter("ann", page);
        await leave(page);
      }
      browsers.assertQuiet();
    });

    test("fakes alone see each other", async () => {
      const fakes = new Fakes(server.url, room, 3);
      await fakes.ready();
      const said = await fakes.leave();
      assert.equal(said.match(/user\d: [1-9]\d* pictures/g)?.length, 6, said);
    });

    test("browsers and fakes see each other; fakes that leave are gone", async () => {
      const fakes = new Fakes(server.url, room, 2);
      await fakes.ready();
      const ann = await enter("ann");
      await plays(ann, "user0");
      await plays(ann, "user1");
      await until("the fakes are told of ann's pictures", async () => (await server.get("/getAllRooms")).includes(room));
      const said = await fakes.leave();
      assert.match(said, /of ann_webcam/);
      await gone(ann, "user0");
      await gone(ann, "user1");
      browsers.assertQuiet();
    });
  });
}
