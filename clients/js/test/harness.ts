/** A client in a made-up browser against a made-up server, as every test of the client has it. */

import { afterEach, beforeEach } from "node:test";
import {
  KurentoRoom,
  type JsonObject,
  type KurentoRoomClient,
  type KurentoRoomOptions,
  type Room,
  type RoomEvents,
  type RoomOptions,
  type Stream,
} from "../src/index.js";
import { installFakeBrowser } from "./fake-browser.js";
import { FakeServer, webSocket } from "./fake-server.js";

/** The server of the test that runs. */
export let server: FakeServer;
/** The client that {@link open} made last. */
export let kurento: KurentoRoomClient;
/** Whatever has to be ended after the test. */
let opened: KurentoRoomClient[] = [];

/** What somebody publishes who publishes one stream. */
export const WEBCAM = [{ id: "webcam" }];

/** Connects. */
export function open(options: KurentoRoomOptions = {}): Promise<KurentoRoomClient> {
  return new Promise((resolve, reject) => {
    kurento = KurentoRoom(
      server.uri,
      (error, client) => (client === undefined ? reject(error ?? new Error("no client")) : resolve(client)),
      { webSocket, reconnectDelay: 20, ...options },
    );
    opened.push(kurento);
  });
}

/** The next event of a name. */
export function next<Name extends keyof RoomEvents>(room: Room, name: Name): Promise<RoomEvents[Name][0]> {
  return new Promise((resolve) => {
    const listener = (...args: RoomEvents[Name]): void => {
      room.removeEventListener(name, listener as never);
      resolve(args[0]);
    };
    room.addEventListener(name, listener as never);
  });
}

/** Resolves as soon as `condition` holds, which happens with one of the next turns of the event loop. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) {
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** Joins `r1` as `ann`, with `peers` there already. */
export async function join(peers: JsonObject[] = [], options: Partial<RoomOptions> = {}): Promise<Room> {
  server.replies.set("joinRoom", () => ({ result: { value: peers, sessionId: "SID" } }));
  const client = await open();
  const room = client.Room({ room: "r1", user: "ann", ...options });
  const connected = next(room, "room-connected");
  room.connect();
  await connected;
  return room;
}

/** Opens the devices of a stream. */
export async function initialised(stream: Stream): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    stream.addEventListener("access-accepted", resolve);
    stream.addEventListener("access-denied", reject);
    stream.init();
  });
}

beforeEach(async () => {
  installFakeBrowser();
  server = await FakeServer.start();
  const answer = (): { result: JsonObject } => ({ result: { sdpAnswer: "answer", sessionId: "SID" } });
  server.replies.set("publishVideo", answer);
  server.replies.set("receiveVideoFrom", answer);
});

afterEach(async () => {
  for (const client of opened) {
    client.close(true);
  }
  opened = [];
  await server.stop();
});
