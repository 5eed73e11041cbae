/** A room server over real sockets that records what it is sent and answers as the test says. */

import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { WebSocket, WebSocketServer } from "ws";
import type { JsonObject, WebSocketConstructor } from "../src/jsonrpc.js";

/** A request as it came over the wire. */
export interface Received {
  jsonrpc: string;
  id?: number;
  method: string;
  params?: JsonObject;
}

/** What to answer: a result, an error object, or nothing at all. */
export type Reply = { result: JsonObject; seq?: number } | { error: JsonObject } | null;

/** The socket constructor of the tests: the same API as in the browser. */
export const webSocket = WebSocket as unknown as WebSocketConstructor;

/** Server of one test. */
export class FakeServer {
  /** Everything received, in order. */
  readonly received: Received[] = [];
  /** Answers of the test; methods without one are answered with an empty result. */
  readonly replies = new Map<string, (request: Received) => Reply>();
  readonly #server: WebSocketServer;
  readonly #port: number;
  #waiting: (() => void)[] = [];

  private constructor(server: WebSocketServer) {
    this.#server = server;
    this.#port = (server.address() as AddressInfo).port;
    server.on("connection", (socket) => {
      this.#wake();
      socket.on("message", (data) => this.#take(socket, JSON.parse(String(data)) as Received));
      socket.on("close", () => this.#wake());
    });
  }

  /** Starts a server on a free port of the loopback, or on a given one. */
  static async start(port = 0): Promise<FakeServer> {
    const server = new WebSocketServer({ host: "127.0.0.1", port, path: "/room" });
    await once(server, "listening");
    return new FakeServer(server);
  }

  get uri(): string {
    return `ws://127.0.0.1:${this.#port}/room`;
  }

  get port(): number {
    return this.#port;
  }

  /** Open connections. */
  get sockets(): WebSocket[] {
    return [...this.#server.clients].filter((socket) => socket.readyState === WebSocket.OPEN);
  }

  /** Requests of one method. */
  of(method: string): Received[] {
    return this.received.filter((message) => message.method === method);
  }

  /** Requests other than pings. */
  get requests(): Received[] {
    return this.received.filter((message) => message.method !== "ping");
  }

  /** Resolves as soon as `condition` holds; it is looked at after everything that happens on the server. */
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  /** Sends a notification to every connection. */
  notify(method: string, params: JsonObject): void {
    this.sendRaw(JSON.stringify({ method, params, jsonrpc: "2.0" }));
  }

  /** Sends a text to every connection. */
  sendRaw(text: string): void {
    for (const socket of this.sockets) {
      socket.send(text);
    }
  }

  /** Cuts every connection without a word. */
  cut(): void {
    for (const socket of this.#server.clients) {
      socket.terminate();
    }
  }

  /** Cuts every connection and stops listening. */
  async stop(): Promise<void> {
    this.cut();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  #take(socket: WebSocket, request: Received): void {
    this.received.push(request);
    const reply = this.#replyTo(request);
    if (reply !== null) {
      socket.send(JSON.stringify({ id: request.id, ...reply, jsonrpc: "2.0" }));
    }
    this.#wake();
  }

  #replyTo(request: Received): Reply {
    const reply = this.replies.get(request.method);
    if (reply !== undefined) {
      return reply(request);
    }
    if (request.method === "ping") {
      return { result: { value: "pong" } };
    }
    return { result: { sessionId: "SID" } };
  }

  #wake(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) {
      resolve();
    }
  }
}
