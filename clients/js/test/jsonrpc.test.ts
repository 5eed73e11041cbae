import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { RequestError, ServerError } from "../src/errors.js";
import { JsonRpcClient, MAX_QUEUED_REQUESTS, type JsonObject, type JsonRpcOptions } from "../src/jsonrpc.js";
import { FakeServer, webSocket } from "./fake-server.js";

let server: FakeServer;
let client: JsonRpcClient | undefined;

interface Happening {
  what: string;
  detail?: unknown;
}

/** Opens a client and collects what its handler is told. */
function open(options: JsonRpcOptions = {}, uri = server.uri) {
  const happenings: Happening[] = [];
  let wake: () => void = () => undefined;
  const push = (what: string, detail?: unknown): void => {
    happenings.push(detail === undefined ? { what } : { what, detail });
    wake();
  };
  const happened = async (what: string): Promise<Happening> => {
    for (;;) {
      const found = happenings.find((happening) => happening.what === what);
      if (found !== undefined) {
        return found;
      }
      await new Promise<void>((resolve) => (wake = resolve));
    }
  };
  client = new JsonRpcClient(
    uri,
    {
      connected: (error) => push("connected", error),
      reconnecting: () => push("reconnecting"),
      reconnected: (resumed) => push("reconnected", resumed),
      disconnected: () => push("disconnected"),
      notification: (method, params) => push(method, params),
    },
    { webSocket, reconnectDelay: 20, ...options },
  );
  return { client, happenings, happened };
}

beforeEach(async () => {
  server = await FakeServer.start();
});

afterEach(async () => {
  client?.close();
  await server.stop();
});

test("the first message is a ping with its interval and the id 0; requests go on counting", async () => {
  const { client, happened } = open();
  await happened("connected");
  await client.call("joinRoom", { user: "ann", room: "r1" });
  assert.deepEqual(server.received, [
    { jsonrpc: "2.0", method: "ping", params: { interval: 5000 }, id: 0 },
    { jsonrpc: "2.0", method: "joinRoom", params: { user: "ann", room: "r1" }, id: 1 },
  ]);
});

test("pings go on without params, and share the counter of the requests", async () => {
  open({ heartbeat: 10 });
  await server.until(() => server.of("ping").length >= 3);
  assert.deepEqual(server.received[1], { jsonrpc: "2.0", method: "ping", id: 1 });
  assert.deepEqual(server.received[2], { jsonrpc: "2.0", method: "ping", id: 2 });
});

test("the session id of any answer is remembered and only told by connect", async () => {
  const { client, happened } = open();
  await happened("connected");
  await client.call("joinRoom", {});
  await client.call("leaveRoom", {});
  assert.equal(client.sessionId, "SID");
  assert.ok(server.requests.every((request) => request.params?.["sessionId"] === undefined));
});

test("an error of the server arrives with its code, message and data", async () => {
  server.replies.set("joinRoom", () => ({ error: { code: 104, message: "taken", sessionId: "SID" } }));
  const { client, happened } = open();
  await happened("connected");
  await assert.rejects(client.call("joinRoom", {}), (error: unknown) => {
    assert.ok(error instanceof ServerError);
    assert.equal(error.code, 104);
    assert.equal(error.message, "taken");
    assert.equal(error.method, "joinRoom");
    return true;
  });
  assert.equal(client.sessionId, "SID");
});

test("a request without an answer fails after its timeout and leaves the connection alone", async () => {
  server.replies.set("joinRoom", () => null);
  const { client, happened, happenings } = open({ requestTimeout: 20 });
  await happened("connected");
  await assert.rejects(client.call("joinRoom", {}), { message: "Request has timed out", code: -1 });
  assert.equal(client.isOpen, true);
  assert.deepEqual(happenings, [{ what: "connected" }]);
});

test("messages that are no JSON-RPC are dropped without harm", async () => {
  const { client, happened, happenings } = open();
  await happened("connected");
  await server.until(() => server.sockets.length === 1);
  server.sendRaw("{");
  server.sendRaw("[]");
  server.sendRaw('"text"');
  server.sendRaw("null");
  server.sendRaw('{"method":"participantJoined","params":{"id":"x"}}');
  server.sendRaw('{"jsonrpc":"2.0","id":1}');
  server.sendRaw('{"jsonrpc":"2.0","id":1,"result":{},"error":{}}');
  server.sendRaw('{"jsonrpc":"2.0","id":999,"result":{}}');
  server.sendRaw('{"jsonrpc":"2.0","id":"1","result":{}}');
  server.replies.set("last", () => ({ result: { value: 7 } }));
  assert.deepEqual(await client.call("last"), { value: 7 });
  assert.deepEqual(happenings, [{ what: "connected" }]);
});

test("a bare result is wrapped, a notification without params has empty ones", async () => {
  const { client, happened } = open();
  await happened("connected");
  server.replies.set("closeSession", () => ({ result: "bye" as unknown as JsonObject }));
  assert.deepEqual(await client.call("closeSession"), { value: "bye" });
  server.sendRaw('{"jsonrpc":"2.0","method":"participantEvicted"}');
  assert.deepEqual((await happened("participantEvicted")).detail, {});
});

test("a lost connection is reopened at once and the session resumed before anything else is sent", async () => {
  const { client, happened } = open();
  await happened("connected");
  await client.call("joinRoom", {});
  server.received.length = 0;
  server.cut();
  await happened("reconnecting");
  const message = client.call("sendMessage", { message: "hi" });
  assert.equal((await happened("reconnected")).detail, true);
  await message;
  assert.deepEqual(
    server.received.map(({ method, params, id }) => [method, params, id]),
    [
      ["ping", { interval: 5000 }, 2],
      ["connect", { sessionId: "SID" }, 3],
      ["sendMessage", { message: "hi" }, 4],
    ],
  );
});

test("without a session there is nothing to resume: no connect, and open requests fail", async () => {
  server.replies.set("joinRoom", () => null);
  const { client, happened } = open();
  await happened("connected");
  const join = client.call("joinRoom", {});
  await server.until(() => server.of("joinRoom").length === 1);
  server.cut();
  await assert.rejects(join, { message: "The connection was lost" });
  await happened("reconnected");
  assert.equal(server.of("connect").length, 0);
});

test("a session that the server has forgotten is told, and waiting requests fail", async () => {
  server.replies.set("connect", () => ({ error: { code: 40007, message: "reconnection error" } }));
  const { client, happened } = open();
  await happened("connected");
  await client.call("joinRoom", {});
  server.cut();
  await happened("reconnecting");
  const message = client.call("sendMessage", {});
  assert.equal((await happened("reconnected")).detail, false);
  await assert.rejects(message, RequestError);
  assert.equal(client.sessionId, null);
  await client.call("joinRoom", {});
});

test("a server that does not answer pings counts as lost", async () => {
  const { client, happened } = open({ heartbeat: 10, pingTimeout: 500 });
  await happened("connected");
  await client.call("joinRoom", {});
  let silent = true;
  server.replies.set("ping", () => (silent ? null : { result: { value: "pong" } }));
  await happened("reconnecting");
  silent = false;
  assert.equal((await happened("reconnected")).detail, true);
});

test("reopening is tried again and again until the server is back", async () => {
  const { client, happened } = open();
  await happened("connected");
  await client.call("joinRoom", {});
  const { port } = server;
  await server.stop();
  await happened("reconnecting");
  server = await FakeServer.start(port);
  assert.equal((await happened("reconnected")).detail, true);
  assert.deepEqual(server.of("connect")[0]?.params, { sessionId: "SID" });
});

test("after the last attempt the client is closed and says so", async () => {
  const { client, happened } = open({ maxReconnects: 2, reconnectDelay: 1 });
  await happened("connected");
  await server.stop();
  await happened("disconnected");
  await assert.rejects(client.call("joinRoom", {}), { message: "The connection is closed" });
});

test("a server that cannot be reached is told once, and not tried again", async () => {
  const { uri } = server;
  await server.stop();
  const { happened, happenings } = open({ reconnectDelay: 1 }, uri);
  assert.ok((await happened("connected")).detail instanceof Error);
  assert.equal(happenings.length, 1);
});

test("an address that is none is told as well", async () => {
  const { happened } = open({}, "no address");
  assert.ok((await happened("connected")).detail instanceof Error);
});

test("requests that wait for the connection are limited in number and in time", async () => {
  const { client, happened } = open({ requestTimeout: 30, reconnectDelay: 60_000 });
  await happened("connected");
  await server.stop();
  await happened("reconnecting");
  const waiting = Array.from({ length: MAX_QUEUED_REQUESTS }, () => client.call("sendMessage", {}));
  const outcomes = Promise.allSettled(waiting);
  await assert.rejects(client.call("sendMessage", {}), /Too many requests/);
  for (const outcome of await outcomes) {
    assert.equal(outcome.status, "rejected");
  }
});

test("closing fails open requests, closes the socket and stops every timer", async () => {
  server.replies.set("joinRoom", () => null);
  const { client, happened, happenings } = open({ heartbeat: 5 });
  await happened("connected");
  const join = client.call("joinRoom", {});
  const rejected = assert.rejects(join, { message: "The connection was closed" });
  client.close();
  await rejected;
  await server.until(() => server.sockets.length === 0);
  assert.deepEqual(happenings, [{ what: "connected" }]);
});

test("rpc params are added to every request but to pings", async () => {
  const { client, happened } = open({ heartbeat: 10 });
  await happened("connected");
  client.setRpcParams({ token: "t" });
  await client.call("joinRoom", { user: "ann" });
  await client.call("unpublishVideo");
  await server.until(() => server.of("ping").length >= 2);
  assert.deepEqual(server.of("joinRoom")[0]?.params, { user: "ann", token: "t" });
  assert.deepEqual(server.of("unpublishVideo")[0]?.params, { token: "t" });
  assert.equal(server.of("ping")[1]?.params, undefined);
});

/** Connects to a server that numbers its frames and has sent three of them. */
async function numbered(options: JsonRpcOptions = {}) {
  const opened = open(options);
  await opened.happened("connected");
  server.replies.set("joinRoom", () => ({ result: { sessionId: "SID" }, seq: 1 }));
  await opened.client.call("joinRoom");
  for (const seq of [2, 3]) {
    server.sendRaw(JSON.stringify({ method: `news${seq}`, params: {}, jsonrpc: "2.0", seq }));
  }
  await opened.happened("news3");
  return opened;
}

test("numbered frames are acknowledged with pings, and one that comes twice is taken once", async () => {
  const { happenings, happened } = await numbered({ heartbeat: 10 });
  await server.until(() => server.of("ping").some(({ params }) => params?.["seq"] === 3));
  for (const seq of [2, 3, 4]) {
    server.sendRaw(JSON.stringify({ method: `news${seq}`, params: {}, jsonrpc: "2.0", seq }));
  }
  await happened("news4");
  assert.deepEqual(
    happenings.map(({ what }) => what).filter((what) => what.startsWith("news")),
    ["news2", "news3", "news4"],
  );
});

test("a resumed session says how far it was, and repeats what was never answered under its own id", async () => {
  const { client, happened } = await numbered();
  server.replies.set("slow", () => null);
  server.replies.set("lost", () => null);
  const [slow, lost] = [client.call("slow", { one: 1 }), client.call("lost", { two: 2 })];
  await server.until(() => server.of("lost").length === 1);
  server.replies.set("connect", () => ({ result: { value: "reconnection successful", seq: 5, sessionId: "SID" } }));
  server.cut();
  await happened("reconnected");
  assert.deepEqual(server.of("connect")[0]?.params, { sessionId: "SID", seq: 3 });
  // What the server kept: the answer to one of the two, and news.
  const id = server.of("slow")[0]?.id;
  server.sendRaw(JSON.stringify({ id, result: { sessionId: "SID", value: "kept" }, jsonrpc: "2.0", seq: 4 }));
  assert.equal((await slow)["value"], "kept");
  server.replies.set("lost", () => ({ result: { sessionId: "SID", value: "repeated" }, seq: 6 }));
  server.sendRaw(JSON.stringify({ method: "news5", params: {}, jsonrpc: "2.0", seq: 5 }));
  assert.equal((await lost)["value"], "repeated");
  const [first, second, third] = server.of("lost");
  assert.deepEqual(first, second);
  assert.equal(third, undefined);
  assert.equal(server.of("slow").length, 1);
});

test("a session that missed too much is not resumed", async () => {
  const { happened } = await numbered();
  server.replies.set("connect", () => ({ result: { value: "reconnection successful", seq: 900, lost: 600, sessionId: "SID" } }));
  server.cut();
  assert.deepEqual(await happened("reconnected"), { what: "reconnected", detail: false });
});

test("the next session counts from the beginning", async () => {
  const { client, happened } = await numbered();
  server.replies.set("connect", () => ({ error: { code: 40007, message: "reconnection error" } }));
  server.cut();
  await happened("reconnected");
  server.replies.set("joinRoom", () => ({ result: { sessionId: "NEXT" }, seq: 1 }));
  assert.deepEqual(await client.call("joinRoom"), { sessionId: "NEXT" });
});

test("an address that the browser refuses with an error and no close is not waited for", async () => {
  class Refused {
    readonly readyState = 3;
    onerror: (() => void) | null = null;
    constructor() {
      queueMicrotask(() => this.onerror?.());
    }
    send(): void {}
    close(): void {}
  }
  const { happened } = open({ webSocket: Refused as unknown as NonNullable<JsonRpcOptions["webSocket"]> });
  assert.ok((await happened("connected")).detail instanceof Error);
});
