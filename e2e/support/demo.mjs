/** The demo page as a person uses it, and a look at what WebRTC measured. */

import { until } from "./wait.mjs";

export class Person {
  /** The browser's page. */
  page;
  /** User name. */
  name;
  #url;

  /**
   * @param {import("playwright-core").Page} page
   * @param {string} url of the server
   * @param {string} name
   */
  constructor(page, url, name) {
    this.page = page;
    this.name = name;
    this.#url = url;
  }

  /** Fills in the form and enters. */
  async submit(room) {
    await this.page.goto(this.#url);
    await this.page.fill("#name", this.name);
    await this.page.fill("#roomName", room);
    await this.page.click("#joinBtn");
  }

  /** Enters and waits until the call is on the screen and we are published. */
  async join(room) {
    await this.submit(room);
    await this.page.waitForSelector("#call:not([hidden])");
    await until(`${this.name} is connected to the server`, async () => {
      const { connection } = (await this.stats())[`${this.name}_webcam`];
      return connection === "connected";
    });
  }

  /** The tile of a person. */
  tile(name) {
    return this.page.locator(`[data-testid=tile][data-user="${name}"]`);
  }

  /** Names on the stage. */
  people() {
    return this.page.locator("[data-testid=tile]").evaluateAll((tiles) => tiles.map((tile) => tile.dataset.user).sort());
  }

  /** Opens the chat and says something. */
  async say(text) {
    if (await this.page.locator("#chat").isHidden()) {
      await this.page.click("#buttonChat");
    }
    await this.page.fill("#chatInput", text);
    await this.page.click("#chatSend");
  }

  /** Messages as they are read: author and text. */
  messages() {
    return this.page
      .locator("[data-testid=chat-message]")
      .evaluateAll((items) =>
        items.map((item) => [
          item.querySelector(".message-author").textContent,
          item.querySelector(".message-text").textContent,
        ]),
      );
  }

  /** What every connection measured, by global stream id. */
  stats() {
    return this.page.evaluate(async () => {
      const all = {};
      for (const [id, peer] of Object.entries(window.salonoDemo.peers())) {
        const report = [...(await peer.getStats()).values()];
        const of = (type, kind) => report.find((entry) => entry.type === type && entry.kind === kind) ?? {};
        const video = of("inbound-rtp", "video");
        const audio = of("inbound-rtp", "audio");
        const sent = of("outbound-rtp", "video");
        const codec = report.find((entry) => entry.id === (video.codecId ?? sent.codecId));
        all[id] = {
          connection: peer.connectionState,
          framesDecoded: video.framesDecoded ?? 0,
          energy: audio.totalAudioEnergy ?? 0,
          audioPackets: audio.packetsReceived ?? 0,
          framesSent: sent.framesSent ?? 0,
          codec: codec?.mimeType,
        };
      }
      return all;
    });
  }

  /** Waits until the person `name` is seen and heard: pictures and sound arrive from now on. */
  async perceives(name) {
    const id = `${name}_webcam`;
    const before = await until(`${this.name} receives ${name}`, async () => (await this.stats())[id]);
    await until(`${this.name} sees and hears ${name}`, async () => {
      const now = (await this.stats())[id];
      const alive = now.framesDecoded >= before.framesDecoded + 20 && now.energy > before.energy;
      return alive || Promise.reject(new Error(JSON.stringify({ before, now })));
    });
    await until(`${this.name} has the picture of ${name} on the screen`, async () => {
      return (await this.tile(name).getAttribute("data-picture")) === "on";
    });
  }

  /** Waits until exactly these people are on the stage. */
  async meets(...names) {
    const expected = JSON.stringify([...names].sort());
    await until(`${this.name} sees the tiles ${expected}`, async () => {
      const people = JSON.stringify(await this.people());
      return people === expected || Promise.reject(new Error(people));
    });
  }
}
