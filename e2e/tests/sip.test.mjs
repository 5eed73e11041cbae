/** The SIP bridge of `examples/`: telephones and browsers talk to each other. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";

import kurento from "kurento-client";

import { Browsers } from "../support/browser.mjs";
import { Example, says } from "../support/example.mjs";
import { Phone } from "../support/phone.mjs";
import { Server } from "../support/server.mjs";
import { until } from "../support/wait.mjs";

/** Packets of a second. */
const PACKETS = 50;

describe("the SIP bridge", () => {
  let server;
  let observer;
  let browsers;
  let bridge;
  let page;
  let phone;
  let target;

  before(async () => {
    server = await Server.start();
    observer = await kurento(server.kurento);
  });

  after(async () => {
    observer?.close();
    await server?.stop();
  });

  beforeEach(async () => {
    browsers = new Browsers();
    bridge = await Example.start("sip-bridge", server.kurento, ["--sip", "127.0.0.1:0"]);
    target = /sip:desk@(\S+)/.exec(bridge.log)[1];
    phone = await Phone.start(target);
    page = await browsers.page();
    await page.goto(bridge.url);
    await until("the page is ready", async () => (await page.locator("#address").textContent()) === `sip:desk@${target}`);
  });

  afterEach(async () => {
    phone.stop();
    await browsers.close();
    await bridge.stop();
    await nothingIsLeft();
  });

  async function nothingIsLeft() {
    const manager = await observer.getServerManager();
    await until("the media server has no pipeline", async () => {
      const pipelines = await manager.getPipelines();
      return pipelines.length === 0 || Promise.reject(new Error(JSON.stringify(pipelines)));
    });
  }

  /** A second of a loud tone of 500 Hz in A-law, and what `sipp` does with it. */
  function scenario(folder) {
    writeFileSync(join(folder, "speech.raw"), Buffer.alloc(8000, Buffer.from([...Array(8).fill(0xa5), ...Array(8).fill(0x25)])));
    const text = readFileSync(new URL("../../examples/sip-bridge/caller.xml", import.meta.url), "utf8");
    writeFileSync(join(folder, "caller.xml"), text.replace("[speech]", "speech.raw").replace("[back]", String(phone.port)));
    return ["-sf", "caller.xml", "-i", "127.0.0.1", "-mi", "127.0.0.1", "-m", "1", "-nostdin", "-timeout", "60s", "-timeout_error", target];
  }

  /** The loudest sample that the page plays. */
  function loudness() {
    return page.evaluate(() => {
      const stream = document.querySelector("#remote").srcObject;
      if (!stream?.getAudioTracks().length) {
        return 0;
      }
      if (window.analyser === undefined) {
        const context = new AudioContext();
        window.analyser = context.createAnalyser();
        context.createMediaStreamSource(stream).connect(window.analyser);
      }
      const samples = new Float32Array(window.analyser.fftSize);
      window.analyser.getFloatTimeDomainData(samples);
      return Math.max(...samples.map(Math.abs));
    });
  }

  test("a telephone and a browser hear each other", async () => {
    const folder = mkdtempSync(join(tmpdir(), "salono-sip-"));
    const caller = spawn("sipp", scenario(folder), { cwd: folder, stdio: ["ignore", "ignore", "pipe"] });
    let complaints = "";
    caller.stderr.setEncoding("utf8").on("data", (text) => {
      complaints += text;
    });
    const ended = new Promise((resolve, reject) => {
      caller.on("exit", resolve);
      caller.on("error", reject);
    });
    try {
      await says(page, /sip:sipp@\S+ calls/);
      await page.click("#answer");
      await says(page, /You talk to sip:sipp@/);
      // Both at a time, while the call lasts.
      await Promise.all([
        until("the browser hears the tone of the telephone", async () => (await loudness()) > 0.3),
        until("the telephone hears the browser", () => phone.heard >= PACKETS),
      ]);
      assert.equal(await ended, 0, complaints);
      await says(page, /has ended/);
    } finally {
      caller.kill("SIGKILL");
      rmSync(folder, { recursive: true, force: true });
    }
    browsers.assertQuiet();
  });

  test("a browser rejects a call, ends one, and leaves one", async () => {
    phone.send("INVITE");
    await phone.hears("SIP/2.0 180");
    await page.click("#reject");
    await phone.hears("SIP/2.0 603");
    phone.send("ACK");
    await says(page, /has ended/);

    phone.send("INVITE");
    await says(page, /calls/);
    await page.click("#answer");
    await phone.hears("SIP/2.0 200");
    phone.send("ACK");
    await until("the telephone hears the browser", () => phone.heard >= PACKETS);
    await page.click("#hangup");
    phone.agree(await phone.hears("BYE "));
    await says(page, /has ended/);

    phone.send("INVITE");
    await phone.hears("SIP/2.0 180");
    await page.click("#answer");
    await phone.hears("SIP/2.0 200");
    phone.send("ACK");
    await page.close();
    phone.agree(await phone.hears("BYE "));
  });

  test("a telephone gives up while the page rings; another one is busy in the meantime", async () => {
    phone.send("INVITE");
    await phone.hears("SIP/2.0 180");
    const other = await Phone.start(target);
    other.send("OPTIONS");
    await other.hears("SIP/2.0 200");
    other.send("INVITE");
    await other.hears("SIP/2.0 486");
    other.stop();
    phone.send("CANCEL");
    await phone.hears("SIP/2.0 487");
    await says(page, /has ended/);
    browsers.assertQuiet();
  });
});
