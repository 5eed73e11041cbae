/** The programs of `examples/`, each with its page in browsers, on our media server. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";

import kurento from "kurento-client";

import { Browsers } from "../support/browser.mjs";
import { Example, says, watch } from "../support/example.mjs";
import { Server } from "../support/server.mjs";
import { until } from "../support/wait.mjs";

describe("examples", () => {
  let server;
  let observer;
  let browsers;
  let example;

  before(async () => {
    server = await Server.start();
    observer = await kurento(server.kurento);
  });

  after(async () => {
    observer?.close();
    await server?.stop();
  });

  beforeEach(() => {
    browsers = new Browsers();
  });

  afterEach(async () => {
    await browsers.close();
    await example?.stop();
    example = undefined;
    await nothingIsLeft();
  });

  /** Starts a program and opens its page so many times. */
  async function open(name, count) {
    example = await Example.start(name, server.kurento);
    return Promise.all(
      Array.from({ length: count }, async () => {
        const page = await browsers.page();
        await page.goto(example.url);
        return page;
      }),
    );
  }

  /** The media server holds nothing for anybody any more. */
  async function nothingIsLeft() {
    const manager = await observer.getServerManager();
    await until("the media server has no pipeline", async () => {
      const pipelines = await manager.getPipelines();
      return pipelines.length === 0 || Promise.reject(new Error(JSON.stringify(pipelines)));
    });
  }

  test("hello-world shows people to themselves", async () => {
    const [page] = await open("hello-world", 1);
    await page.click("#start");
    await watch(page, "#remote");
    await page.click("#stop");
    await nothingIsLeft();
    // Once more, on the same page.
    await page.click("#start");
    await watch(page, "#remote");
    browsers.assertQuiet();
  });

  test("one-to-many shows the presenter to every viewer, until it leaves", async () => {
    const [presenter, ...viewers] = await open("one-to-many", 3);
    await viewers[0].click("#view");
    await says(viewers[0], /nobody presents/);
    await presenter.click("#present");
    await watch(presenter, "#video");
    for (const viewer of viewers) {
      await viewer.click("#view");
    }
    await Promise.all(viewers.map((viewer) => watch(viewer, "#video")));
    await viewers[0].click("#stop");
    await viewers[0].click("#present");
    await says(viewers[0], /somebody presents already/);
    await watch(viewers[1], "#video");
    await presenter.click("#stop");
    await says(viewers[1], /has left/);
    browsers.assertQuiet();
  });

  test("one-to-one connects two people who accept, and nobody who rejects", async () => {
    const [ann, bob] = await open("one-to-one", 2);
    for (const [page, name] of [
      [ann, "ann"],
      [bob, "bob"],
    ]) {
      await page.fill("#name", name);
      await page.click("#register");
      await says(page, new RegExp(`You are ${name}`));
    }
    await ann.fill("#other", "nobody");
    await ann.click("#call");
    await says(ann, /nobody cannot be called/);

    await ann.fill("#other", "bob");
    await ann.click("#call");
    await says(bob, /ann calls/);
    await bob.click("#reject");
    await says(ann, /was not taken/);

    await ann.click("#call");
    await says(bob, /ann calls/);
    await bob.click("#accept");
    await Promise.all([watch(ann, "#remote"), watch(bob, "#remote")]);
    await bob.click("#stop");
    await says(ann, /has ended/);
    await nothingIsLeft();

    // Whoever closes the page has hung up.
    await ann.click("#call");
    await says(bob, /ann calls/);
    await bob.click("#accept");
    await watch(ann, "#remote");
    await bob.close();
    await says(ann, /has ended/);
    await nothingIsLeft();
    browsers.assertQuiet();
  });

  test("a page says when its program has ended", async () => {
    const [page] = await open("hello-world", 1);
    await page.click("#start");
    await watch(page, "#remote");
    await example.stop();
    example = undefined;
    await says(page, /The program has ended/);
    await nothingIsLeft();
    browsers.assertQuiet();
  });

  test("group-call shows everybody in a room to everybody else there", async () => {
    const names = ["ann", "bob", "eve"];
    const pages = await open("group-call", names.length);
    for (const [at, page] of pages.entries()) {
      await page.fill("#room", "tea");
      await page.fill("#name", names[at]);
      await page.click("#join");
    }
    const seen = pages.flatMap((page, at) => {
      const others = names.filter((name) => name !== names[at]);
      return others.map((other) => watch(page, `[data-name=${other}] video`));
    });
    await Promise.all(seen);
    await pages[2].click("#leave");
    for (const page of pages.slice(0, 2)) {
      await page.locator("[data-name=eve]").waitFor({ state: "detached" });
    }
    await watch(pages[0], "[data-name=bob] video");
    browsers.assertQuiet();
  });

  test("rtp-receiver shows what ffmpeg sends", async () => {
    const [page] = await open("rtp-receiver", 1);
    // As the program says it.
    const [, command] = /\n +(ffmpeg .*)\n/.exec(example.log);
    const [program, ...args] = command.split(" ");
    const sender = spawn(program, ["-hide_banner", "-loglevel", "error", ...args], { stdio: "ignore" });
    const ended = new Promise((resolve, reject) => {
      sender.on("exit", resolve);
      sender.on("error", reject);
    });
    try {
      await page.click("#start");
      await Promise.race([
        watch(page, "#remote", 30),
        ended.then((code) => assert.fail(`ffmpeg ended with ${code}`)),
      ]);
    } finally {
      sender.kill("SIGKILL");
      await ended;
    }
    browsers.assertQuiet();
  });

  test("without a media server an example says how to start one", async () => {
    const lost = new Example("hello-world", ["--kurento", "ws://127.0.0.1:1/kurento", "--listen", "127.0.0.1:0"]);
    assert.equal(await lost.ended(), 1);
    assert.match(lost.log, /no media server at ws:\/\/127\.0\.0\.1:1\/kurento/);
    assert.match(lost.log, /salono media/);
    const help = new Example("one-to-many", ["--help"]);
    assert.equal(await help.ended(), 0);
    assert.match(help.log, /--kurento <URL>/);
    assert.match(help.log, /--listen <ADDRESS>/);
  });
});
