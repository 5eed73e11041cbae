/** The JavaScript client with promises in a page of its own: `session` and `client` are there for what a test says. */

import { until } from "./wait.mjs";

export class Client {
  /** The browser's page. */
  page;

  /** @param {import("playwright-core").Page} page */
  constructor(page) {
    this.page = page;
  }

  /**
   * Opens a page of the server and joins from there.
   *
   * @param {import("./browser.mjs").Browsers} browsers
   * @param {string} url of the server
   * @param {object} options of `joinRoom`
   * @param {string} address WebSocket address, if it is not that of the server
   * @param {import("playwright-core").BrowserContextOptions} context the page's policy keeps to the server, unless told
   *   otherwise
   */
  static async join(browsers, url, options, address = `${url.replace(/^http/, "ws")}/room`, context = { bypassCSP: true }) {
    const client = new Client(await browsers.page(context));
    await client.page.goto(`${url}/basic`);
    await client.enter(options, address);
    return client;
  }

  /** Joins, once more or with other options; rejects with the error's name and code. */
  async enter(options, address) {
    const error = await this.page.evaluate(
      async ([address, options]) => {
        const client = await import("/js/salono-client.js");
        window.client = client;
        window.told = [];
        try {
          window.session = await client.joinRoom(address, options);
        } catch (error) {
          return { name: error.name, code: error.code };
        }
        const names = ["media-muted", "room-locked", "reconnecting", "reconnected", "ended"];
        for (const name of [...names, "participant-joined", "participant-left"]) {
          window.session.on(name, ({ stream, participant, ...event } = {}) => {
            window.told.push([name, participant === undefined ? event : participant.name]);
          });
        }
        return null;
      },
      [address, options],
    );
    if (error !== null) {
      throw Object.assign(new Error(`${error.name} ${error.code}`), error);
    }
  }

  /** Publishes the camera, or another stream that looks like it. */
  publish(id = "webcam") {
    return this.page.evaluate(async (id) => {
      await window.session.publish(await window.client.openCamera(), { id });
    }, id);
  }

  /** Receives a stream and waits until its pictures come. */
  async watch(user, id = "webcam") {
    const stream = `${user}_${id}`;
    await until(`${stream} is published`, () => this.page.evaluate((id) => window.session.streams.some(({ globalId }) => globalId === id), stream));
    await this.page.evaluate(async (id) => {
      const subscription = await window.session.subscribe(window.session.streams.find(({ globalId }) => globalId === id));
      const video = subscription.attach(document.createElement("video"));
      video.id = `seen-${id}`;
      document.body.append(video);
    }, stream);
    await this.sees(stream);
  }

  /** Waits until pictures of a stream come, from now on. */
  async sees(stream) {
    const before = await this.frames(stream);
    await until(`pictures of ${stream} come`, async () => (await this.frames(stream)) > before + 10);
  }

  /** Pictures of a stream that came over its present connection. */
  frames(stream) {
    return this.#inbound(stream, "video", "framesDecoded");
  }

  /** Sound of a stream that came over its present connection. */
  energy(stream) {
    return this.#inbound(stream, "audio", "totalAudioEnergy");
  }

  /** Waits until the session told this: name and details. */
  hears(name, detail) {
    const expected = JSON.stringify([name, detail]);
    return until(`the session tells ${expected}`, async () => {
      const told = (await this.page.evaluate(() => window.told)).map((entry) => JSON.stringify(entry));
      return told.includes(expected) || Promise.reject(new Error(told.join()));
    });
  }

  #inbound(stream, kind, member) {
    return this.page.evaluate(
      async ([id, kind, member]) => {
        const subscription = window.session.streams.find(({ globalId }) => globalId === id)?.subscription;
        const report = [...((await subscription?.peerConnection?.getStats())?.values() ?? [])];
        return report.find((entry) => entry.type === "inbound-rtp" && entry.kind === kind)?.[member] ?? 0;
      },
      [stream, kind, member],
    );
  }
}
