/** A relay of TCP connections that a test can cut, and point at another server. */

import { connect, createServer } from "node:net";

export class Proxy {
  #server;
  /** Where connections go, as soon as that is known. */
  #target;
  #found;
  #sockets = new Set();

  /** @param {string} target host:port */
  static async start(target) {
    const proxy = new Proxy();
    proxy.#target = Promise.resolve(target);
    proxy.#server = createServer((from) => {
      from.on("error", () => from.destroy());
      // Those that wait as well: they are to be cut, and in the end to be gone.
      proxy.#sockets.add(from);
      from.on("close", () => proxy.#sockets.delete(from));
      void proxy.#target.then((found) => proxy.#relay(from, found));
    });
    await new Promise((resolve) => proxy.#server.listen(0, "127.0.0.1", resolve));
    return proxy;
  }

  /** Of the Kurento Protocol. */
  get url() {
    return `ws://127.0.0.1:${this.#server.address().port}/kurento`;
  }

  /** Of the room protocol. */
  get roomUrl() {
    return `ws://127.0.0.1:${this.#server.address().port}/room`;
  }

  /** Lets connections that come from now on wait for the next `target`, as those to a host that starts do. */
  hold() {
    this.#target = new Promise((resolve) => {
      this.#found = resolve;
    });
  }

  /** Connections that wait go there, and those that come. */
  set target(target) {
    this.#found(target);
  }

  /** Ends every connection without a word of the WebSocket protocol. */
  cut() {
    for (const socket of this.#sockets) {
      socket.destroy();
    }
  }

  async stop() {
    this.cut();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #relay(from, target) {
    const [host, port] = target.split(":");
    const to = connect(Number(port), host);
    for (const [one, other] of [[from, to], [to, from]]) {
      this.#sockets.add(one);
      one.on("error", () => other.destroy());
      one.on("close", () => {
        this.#sockets.delete(one);
        other.destroy();
      });
    }
    from.pipe(to);
    to.pipe(from);
  }
}
