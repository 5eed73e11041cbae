/** The programs of `examples/` that play, record, mix and look at pictures. */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";

import { Browsers } from "../support/browser.mjs";
import { Example, says, watch } from "../support/example.mjs";
import { codeVideo, faceVideo, meanColour, redInUpperHalf, redVideo } from "../support/pictures.mjs";
import { Server, binary } from "../support/server.mjs";
import { until } from "../support/wait.mjs";

describe("examples that process media", () => {
  let server;
  let browsers;
  let example;
  let folder;

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), "salono-pictures-"));
    const modules = join(folder, "modules");
    mkdirSync(modules);
    const example = fileURLToPath(new URL("../../examples/modules/colour-detector/", import.meta.url));
    copyFileSync(join(example, "colourdetector.kmd.json"), join(modules, "colourdetector.kmd.json"));
    const plugin = "libcolourdetector.so";
    copyFileSync(join(dirname(binary()), plugin), join(modules, plugin));
    server = await Server.start({ env: { SALONO_MODULES_PATH: modules } });
  });

  after(async () => {
    await server?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  beforeEach(() => {
    browsers = new Browsers();
  });

  afterEach(async () => {
    await browsers.close();
    await example?.stop();
    example = undefined;
  });

  /** Starts a program and opens its page in a browser whose camera shows this video. */
  async function open(name, camera) {
    example ??= await Example.start(name, server.kurento);
    const page = await browsers.page({}, camera);
    await page.goto(example.url);
    return page;
  }

  test("player plays a file, pauses, jumps and tells of its end", async () => {
    mkdirSync(server.recordings, { recursive: true });
    const file = join(server.recordings, "film.webm");
    const film = ["-f", "lavfi", "-i", "testsrc=size=320x240:rate=30", "-f", "lavfi", "-i", "sine", "-t", "12"];
    const codecs = ["-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-c:a", "libopus"];
    execFileSync("ffmpeg", ["-loglevel", "error", ...film, ...codecs, file]);

    const page = await open("player");
    await page.fill("#uri", "film.webm");
    await page.click("#start");
    await watch(page, "#remote", 30);
    await page.click("#pause");
    await page.click("#resume");
    await watch(page, "#remote", 10);
    await until("the page knows where it is", () => page.locator("#position:enabled").count());
    await page.locator("#position").evaluate((slider) => {
      slider.value = "10000";
      slider.dispatchEvent(new Event("change"));
    });
    await says(page, /The end/);

    await page.fill("#uri", "no-such-film.webm");
    await page.click("#start");
    await says(page, /no-such-film|Invalid URI|not found/i);
    browsers.assertQuiet();
  });

  test("recorder plays back what it recorded", async () => {
    const page = await open("recorder");
    await page.click("#start");
    await says(page, /Recording example-/);
    await watch(page, "#remote", 60);
    await page.click("#play");
    await says(page, /Playing/);
    await watch(page, "#remote", 20);
    await says(page, /has ended/);
    browsers.assertQuiet();
  });

  test("magic-mirror puts a hat on a face", async () => {
    const camera = join(folder, "face.y4m");
    faceVideo(camera);
    const page = await open("magic-mirror", camera);
    await page.click("#start");
    await watch(page, "#remote");
    await until("there is red above the face", async () => {
      const share = await page.locator("#remote").evaluate(redInUpperHalf);
      return share > 0.01 || Promise.reject(new Error(`${share} of the upper half is red`));
    });
    assert.ok((await page.locator("#local").evaluate(redInUpperHalf)) < 0.001, "the camera shows no hat");
    browsers.assertQuiet();
  });

  test("own-rooms, the server of the tutorial, shows people to each other, in grey if they like", async () => {
    const names = ["ann", "bob"];
    const [ann, bob] = await Promise.all(names.map(() => open("own-rooms")));
    for (const [page, name] of [[ann, "ann"], [bob, "bob"]]) {
      await page.fill("#name", name);
      await page.fill("#roomName", "tea");
      await page.click("#entrance button");
      await watch(page, `#native-video-${name}_webcam`);
    }
    const seen = "#native-video-ann_webcam";
    await watch(ann, "#native-video-bob_webcam");
    await watch(bob, seen);
    const colour = async (least, most) => {
      const found = await bob.locator(seen).evaluate(meanColour);
      const status = await ann.locator("#status").textContent();
      return (found >= least && found <= most) || Promise.reject(new Error(`colours differ by ${found}; ${status}`));
    };
    await until("bob sees ann in colour", () => colour(20, 255));
    await ann.click("#grey");
    await until("bob sees ann in grey", () => colour(0, 4));
    await ann.click("#grey");
    await until("bob sees ann in colour again", () => colour(20, 255));
    await ann.click("#leave");
    await bob.locator(seen).waitFor({ state: "detached" });
    browsers.assertQuiet();
  });

  test("code-reader tells what a QR code says", async () => {
    const camera = join(folder, "code.y4m");
    codeVideo(camera, "salono reads codes");
    const page = await open("code-reader", camera);
    await page.click("#start");
    await page.locator("#codes li", { hasText: "salono reads codes" }).first().waitFor();
    await watch(page, "#remote");
    browsers.assertQuiet();
  });

  test("colour-detector tells what a module sees", async () => {
    const camera = join(folder, "red.y4m");
    redVideo(camera);
    const page = await open("colour-detector", camera);
    await page.click("#start");
    await page.locator("#codes li", { hasText: /of the picture are red, .* seen 1 times/ }).first().waitFor();
    await watch(page, "#remote");
    browsers.assertQuiet();
  });

  test("composite shows everybody in one picture", async () => {
    const pages = [await open("composite"), await open("composite"), await open("composite")];
    for (const page of pages) {
      await page.click("#start");
    }
    await Promise.all(pages.map((page) => watch(page, "#remote", 30)));
    for (const page of pages) {
      const size = await page.locator("#remote").evaluate((video) => [video.videoWidth, video.videoHeight]);
      assert.deepEqual(size, [1280, 720]);
    }
    await pages[0].click("#stop");
    await watch(pages[1], "#remote", 30);
    browsers.assertQuiet();
  });
});
