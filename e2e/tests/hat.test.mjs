/** The hat of the demo page: a filter on what somebody publishes, for everybody who watches. */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";

import { Browsers } from "../support/browser.mjs";
import { Person } from "../support/demo.mjs";
import { faceVideo, redInUpperHalf } from "../support/pictures.mjs";
import { Server } from "../support/server.mjs";
import { until } from "../support/wait.mjs";

describe("hat", () => {
  let server;
  let browsers;
  let folder;

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), "salono-hat-"));
    server = await Server.start();
    browsers = new Browsers();
  });

  after(async () => {
    await browsers?.close();
    await server?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  test("who puts a hat on is seen with it until it is off again, or no longer published", async () => {
    const camera = join(folder, "face.y4m");
    faceVideo(camera);
    const ana = new Person(await browsers.page({}, camera), server.url, "Ana");
    const ben = new Person(await browsers.page(), server.url, "Ben");
    await ana.join("hats");
    await ben.join("hats");
    await ben.perceives("Ana");

    const seen = (what, isRight) =>
      until(`Ben sees Ana ${what}`, async () => {
        const share = await ben.tile("Ana").locator("video").evaluate(redInUpperHalf);
        return isRight(share) || Promise.reject(new Error(`${share} of the upper half is red`));
      });
    await seen("without a hat", (share) => share < 0.001);
    await ana.page.click("#filterButton");
    await seen("with a hat", (share) => share > 0.01);
    await ana.page.click("#filterButton[data-pressed=true]");
    await seen("without the hat", (share) => share < 0.001);

    await ana.page.click("#filterButton[data-pressed=false]");
    await seen("with a hat again", (share) => share > 0.01);
    await ana.page.click("#buttonDisconnect");
    await ana.page.locator("#filterButton[data-pressed=false]:disabled").waitFor();
    await ana.page.click("#buttonDisconnect[data-offer=publish]");
    await ben.perceives("Ana");
    await seen("as she is", (share) => share < 0.001);
    browsers.assertQuiet();
  });
});
