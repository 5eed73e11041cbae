/** Chromium with a made-up camera and microphone, and what its pages complain about. */

import assert from "node:assert/strict";
import { existsSync } from "node:fs";

import { chromium } from "playwright-core";

/** Sound is measured where it is played, so it must be played: no `--mute-audio`. */
const OPTIONS = {
  headless: true,
  ignoreDefaultArgs: ["--mute-audio"],
  args: [
    "--no-sandbox",
    "--use-fake-device-for-media-stream=fps=30",
    "--use-fake-ui-for-media-stream",
    // Without it there is no candidate on a machine that has only loopback.
    "--allow-loopback-in-peer-connection",
    "--autoplay-policy=no-user-gesture-required",
    "--disable-features=WebRtcHideLocalIpsWithMdns",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-background-timer-throttling",
    "--disable-backgrounding-occluded-windows",
    "--disable-renderer-backgrounding",
    "--no-first-run",
  ],
};

function executablePath() {
  const usual = ["chromium", "chromium-browser", "google-chrome"].map((name) => `/usr/bin/${name}`);
  const path = (process.env.CHROMIUM ? [process.env.CHROMIUM] : usual).find((file) => existsSync(file));
  assert.ok(path !== undefined, "no Chromium: install it, or name it in CHROMIUM");
  return path;
}

/**
 * Browsers whose pages are watched. Each page has a browser of its own: the made-up camera of one browser gives a few
 * pictures per second when many pages look through it.
 */
export class Browsers {
  /** What pages complained about: errors on the console, uncaught ones, violations of the content policy. */
  complaints = [];
  #servers = [];

  /**
   * Opens a page.
   *
   * @param {import("playwright-core").BrowserContextOptions} options
   * @param {string} camera file with what the camera shows (YUV4MPEG2), instead of a pattern
   */
  async page(options = {}, camera = undefined) {
    const args = camera ? [...OPTIONS.args, `--use-file-for-fake-video-capture=${camera}`] : OPTIONS.args;
    const server = await chromium.launchServer({ ...OPTIONS, args, executablePath: executablePath() });
    this.#servers.push(server);
    const browser = await chromium.connect(server.wsEndpoint());
    const context = await browser.newContext({ viewport: { width: 960, height: 600 }, ...options });
    const page = await context.newPage();
    const complain = (text) => this.complaints.push(text);
    page.on("console", (message) => {
      if (message.type() === "error") {
        complain(`${message.text()} (${message.location().url})`);
      }
    });
    page.on("pageerror", (error) => complain(`uncaught: ${error.stack ?? error}`));
    page.on("crash", () => complain("the page crashed"));
    /** Ends the browser's processes at once: nobody says goodbye. */
    page.kill = () => server.kill();
    return page;
  }

  /** Fails if any page complained. */
  assertQuiet() {
    assert.deepEqual(this.complaints, [], "pages complain");
  }

  /** Ends all of them. */
  async close() {
    await Promise.all(this.#servers.map((server) => server.close()));
  }
}
