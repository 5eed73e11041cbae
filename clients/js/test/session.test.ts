import assert from "node:assert/strict";
import { test } from "node:test";
import {
  connect,
  ConnectionError,
  joinRoom,
  MediaError,
  NameTakenError,
  NotPermittedError,
  NotSupportedError,
  openCamera,
  openScreen,
  RoomError,
  RoomLockedError,
  SessionEndedError,
  TokenError,
  type JoinOptions,
  type JsonObject,
  type JsonRpcOptions,
  type RemoteStream,
  type RoomSession,
} from "../src/index.js";
import { FakeMediaStream, FakePeerConnection, FakeTrack } from "./fake-browser.js";
import { server, until, WEBCAM } from "./harness.js";
import { webSocket } from "./fake-server.js";

const OPTIONS = { webSocket, reconnectDelay: 20, qualityInterval: 0 };

/** A server of our kind: it hands out a resume token. */
function serve(peers: JsonObject[] = [], extra: JsonObject = { resumeToken: "again" }): void {
  server.replies.set("joinRoom", () => ({ result: { value: peers, ...extra, sessionId: "SID" } }));
  server.replies.set("restartIce", () => ({ result: { sdpAnswer: "new way", sessionId: "SID" } }));
}

async function enter(peers: JsonObject[] = [], options: Partial<JoinOptions & JsonRpcOptions> = {}): Promise<RoomSession> {
  if (!server.replies.has("joinRoom")) {
    serve(peers);
  }
  const session = await joinRoom(server.uri, { room: "r1", user: "ann", ...OPTIONS, ...options });
  entered.push(session);
  return session;
}

const entered: RoomSession[] = [];

/** Ends whatever a test left open. */
async function leaveAll(): Promise<void> {
  for (const session of entered.splice(0)) {
    await session.leave();
  }
}

/** A test whose sessions are left in the end. */
function sessionTest(name: string, run: () => Promise<void>): void {
  test(name, async () => {
    try {
      await run();
    } finally {
      await leaveAll();
    }
  });
}

function streamOf(session: RoomSession, user: string, id = "webcam"): RemoteStream {
  const stream = session.participants.get(user)?.streams.get(id);
  assert.ok(stream);
  return stream;
}

const refuse = (code: number) => (): { error: JsonObject } => ({ error: { code, message: "no", sessionId: "SID" } });
const lastPeer = (): FakePeerConnection => FakePeerConnection.made.at(-1) as FakePeerConnection;

sessionTest("entering says what this client understands, and tells who is there", async () => {
  const session = await enter([{ id: "bob", streams: WEBCAM }, { id: "carl" }], {
    token: "t",
    activeSpeaker: true,
    videoLayers: true,
  });
  assert.deepEqual(server.of("joinRoom")[0]?.params, {
    ...{ room: "r1", user: "ann", streams: true, resume: true, moderation: true, recovery: true },
    ...{ activeSpeaker: true, videoLayers: true, token: "t" },
  });
  assert.deepEqual([...session.participants.keys()], ["bob", "carl"]);
  assert.deepEqual(session.streams.map(({ globalId }) => globalId), ["bob_webcam"]);
  assert.equal(session.resumeToken, "again");
  assert.equal(session.grants, null);
});

sessionTest("what a token allows is known", async () => {
  const grants = { publish: false, subscribe: true, moderate: false, record: false };
  serve([], { resumeToken: "again", grants, role: "subscriber" });
  const session = await enter();
  assert.deepEqual(session.grants, grants);
  assert.equal(session.role, "subscriber");
});

sessionTest("refusals are classes with codes, and the connection is good for another attempt", async () => {
  const connection = await connect(server.uri, OPTIONS);
  const cases: [number, new (...args: never[]) => RoomError][] = [
    [104, NameTakenError],
    [205, RoomLockedError],
    [401, TokenError],
    [404, TokenError],
    [403, NotPermittedError],
    [303, MediaError],
    [999, RoomError],
  ];
  for (const [code, expected] of cases) {
    server.replies.set("joinRoom", refuse(code));
    await assert.rejects(connection.join({ room: "r1", user: "ann" }), (error: RoomError) => {
      assert.ok(error instanceof expected);
      assert.equal(error.code, code);
      return true;
    });
  }
  serve();
  const session = await connection.join({ room: "r1", user: "ann", qualityInterval: 0 });
  entered.push(session);
  await assert.rejects(connection.join({ room: "r2", user: "ann" }), NotSupportedError);
});

test("a server that is not there is a connection error", async () => {
  const uri = server.uri;
  await server.stop();
  await assert.rejects(connect(uri, OPTIONS), ConnectionError);
});

sessionTest("each stream is told once, those of later too, and their ends", async () => {
  const session = await enter([{ id: "bob", streams: WEBCAM }]);
  const seen: string[] = [];
  const stop = session.eachStream((stream) => seen.push(stream.globalId));
  session.on("stream-removed", ({ stream }) => seen.push(`-${stream.globalId}`));
  session.on("participant-left", ({ participant }) => seen.push(`-${participant.name}`));
  server.notify("participantJoined", { id: "dora_d" });
  server.notify("participantPublished", { id: "dora_d", streams: [{ id: "webcam" }] });
  server.notify("participantPublished", { id: "dora_d", streams: [{ id: "screen" }] });
  server.notify("participantUnpublished", { name: "dora_d", streams: [{ id: "webcam" }] });
  // From servers with one stream each.
  server.notify("participantUnpublished", { name: "bob" });
  const left = session.once("participant-left");
  server.notify("participantLeft", { name: "dora_d" });
  await left;
  assert.deepEqual(seen, [
    ...["bob_webcam", "dora_d_webcam", "dora_d_screen", "-dora_d_webcam", "-bob_webcam", "-dora_d_screen", "-dora_d"],
  ]);
  assert.deepEqual([...session.participants.keys()], ["bob"]);
  stop();
  const added = session.once("stream-added");
  server.notify("participantPublished", { id: "bob", streams: WEBCAM });
  await added;
  assert.equal(seen.length, 7);
});

sessionTest("camera and screen are published beside each other, each with its own candidates", async () => {
  const session = await enter();
  const camera = await session.publish(await openCamera());
  const screen = await session.publish(await openScreen(), { id: "screen", simulcast: false });
  assert.deepEqual(server.of("publishVideo").map(({ params }) => params), [
    { sdpOffer: "offer 0", doLoopback: false },
    { sdpOffer: "offer 1", doLoopback: false, stream: "screen" },
  ]);
  assert.deepEqual([...session.publications.keys()], ["webcam", "screen"]);
  assert.deepEqual(FakePeerConnection.made[0]?.rids, ["q", "h", "f"]);
  assert.deepEqual(FakePeerConnection.made[1]?.rids, []);
  await assert.rejects(session.publish(await openScreen(), { id: "screen" }), NotSupportedError);

  lastPeer().onicecandidate?.({ candidate: { candidate: "candidate:1", sdpMid: "0", sdpMLineIndex: 0 } });
  await server.until(() => server.of("onIceCandidate").length === 1);
  const candidate = { candidate: "candidate:1", sdpMid: "0", sdpMLineIndex: 0 };
  assert.deepEqual(server.of("onIceCandidate")[0]?.params, { endpointName: "ann", ...candidate, stream: "screen" });
  server.notify("iceCandidate", { endpointName: "ann", ...candidate });
  server.notify("iceCandidate", { endpointName: "ann", ...candidate, candidate: "candidate:2", stream: "screen" });
  await until(() => FakePeerConnection.made.every(({ candidates }) => candidates.length === 1));
  assert.deepEqual(FakePeerConnection.made[1]?.candidates, [{ ...candidate, candidate: "candidate:2" }]);

  // The user stops sharing with the browser's own button.
  const ended = screen.once("ended");
  (screen.media.getTracks()[0] as unknown as FakeTrack).end();
  await ended;
  await server.until(() => server.of("unpublishVideo").length === 1);
  assert.deepEqual(server.of("unpublishVideo")[0]?.params, { stream: "screen" });
  assert.deepEqual([...session.publications.keys()], ["webcam"]);
  assert.equal(camera.state, "connecting");
});

sessionTest("a server with one stream per participant is not asked for a second", async () => {
  serve([], {});
  const session = await enter();
  await session.publish(await openCamera());
  await assert.rejects(session.publish(await openScreen(), { id: "screen" }), NotSupportedError);
});

sessionTest("a publication that is refused leaves nothing behind", async () => {
  const session = await enter();
  server.replies.set("publishVideo", refuse(403));
  const media = await openCamera();
  await assert.rejects(session.publish(media), NotPermittedError);
  assert.equal(session.publications.size, 0);
  assert.equal(lastPeer().closed, true);
  assert.ok(media.getTracks().every(({ readyState }) => readyState === "ended"));
});

sessionTest("muting, another device and another track need no word to the server", async () => {
  const session = await enter();
  const camera = await session.publish(await openCamera());
  const sent = server.requests.length;
  const muted: unknown[] = [];
  camera.on("muted", (event) => muted.push(event));
  camera.mute("audio");
  camera.mute("audio");
  assert.deepEqual([camera.isMuted("audio"), camera.isMuted("video")], [true, false]);
  const before = camera.media.getAudioTracks()[0];
  await camera.switchDevice("audio", "headset");
  const [after] = camera.media.getAudioTracks();
  assert.equal(camera.media.getAudioTracks().length, 1);
  assert.notEqual(after, before);
  assert.equal(before?.readyState, "ended");
  assert.equal(after?.enabled, false, "who is muted stays muted with another microphone");
  assert.equal(lastPeer().senders[0]?.track as unknown, after);
  camera.unmute("audio");
  assert.deepEqual(muted, [{ kind: "audio", muted: true }, { kind: "audio", muted: false }]);
  assert.equal(server.requests.length, sent);

  const silent = new FakeMediaStream([new FakeTrack("audio")]) as unknown as MediaStream;
  await camera.close();
  const voice = await session.publish(silent);
  await assert.rejects(voice.replaceTrack(new FakeTrack("video") as unknown as MediaStreamTrack), NotSupportedError);
});

sessionTest("a subscription plays through one object, whatever becomes of its connection", async () => {
  const session = await enter([{ id: "bob", streams: [{ id: "webcam" }, { id: "screen" }] }]);
  const stream = streamOf(session, "bob", "screen");
  const subscription = await session.subscribe(stream, { audio: false });
  assert.deepEqual(server.of("receiveVideoFrom")[0]?.params, { sender: "bob_screen", sdpOffer: "offer 0" });
  assert.deepEqual(lastPeer().transceivers, [["video", "recvonly"]]);
  assert.equal(await session.subscribe(stream), subscription);
  lastPeer().ontrack?.({ track: new FakeTrack("video") });
  assert.equal(subscription.media.getTracks().length, 1);
  const { media } = subscription;
  await subscription.renew();
  lastPeer().ontrack?.({ track: new FakeTrack("video") });
  assert.equal(subscription.media, media);
  assert.equal(media.getTracks().length, 1);
  assert.equal(server.of("unsubscribeFromVideo").length, 1);
  assert.equal(FakePeerConnection.made[0]?.closed, true);

  const ended = subscription.once("ended");
  server.notify("participantUnpublished", { name: "bob", streams: [{ id: "screen" }] });
  await ended;
  assert.equal(stream.subscription, null);
  assert.equal(lastPeer().closed, true);
});

sessionTest("a connection that fails looks for another way, without losing media", async () => {
  const session = await enter([{ id: "bob", streams: WEBCAM }]);
  const camera = await session.publish(await openCamera());
  const bob = await session.subscribe(streamOf(session, "bob"));
  const states: string[] = [];
  camera.on("state", (state) => states.push(state));
  const [mine, his] = FakePeerConnection.made;
  mine?.become("connected");
  mine?.become("failed");
  his?.become("failed");
  await server.until(() => server.of("restartIce").length === 2);
  assert.deepEqual(server.of("restartIce").map(({ params }) => params), [
    { sdpOffer: "offer 0" },
    { sdpOffer: "offer 1", sender: "bob_webcam" },
  ]);
  await until(() => mine?.remoteSdp === "new way" && his?.remoteSdp === "new way");
  mine?.become("connected");
  his?.become("connected");
  assert.deepEqual(states, ["connected", "interrupted", "connected"]);
  assert.equal(bob.state, "connected");
  assert.equal(FakePeerConnection.made.length, 2, "the connections are the same");
  assert.deepEqual([mine?.restarts, his?.restarts], [1, 1]);
});

sessionTest("where no other way can be asked for, a connection is made anew", async () => {
  serve([{ id: "bob", streams: WEBCAM }], {});
  const session = await enter();
  await session.subscribe(streamOf(session, "bob"));
  lastPeer().become("failed");
  await server.until(() => server.of("receiveVideoFrom").length === 2);
  assert.equal(server.of("restartIce").length, 0);
  assert.equal(server.of("unsubscribeFromVideo").length, 1);
  assert.equal(FakePeerConnection.made[0]?.closed, true);
});

sessionTest("a lost socket resumes, and media that was not interrupted is left alone", async () => {
  const session = await enter();
  await session.publish(await openCamera());
  lastPeer().become("connected");
  const back = session.once("reconnected");
  const lost = session.once("reconnecting");
  server.cut();
  await lost;
  assert.deepEqual(await back, { resumed: true });
  assert.equal(server.of("restartIce").length, 0);
  assert.equal(server.of("publishVideo").length, 1);
});

sessionTest("a server that has forgotten us is entered again, with everything that we published and watched", async () => {
  const session = await enter([{ id: "bob", streams: WEBCAM }, { id: "carl", streams: WEBCAM }]);
  const camera = await session.publish(await openCamera());
  const bob = streamOf(session, "bob");
  const subscription = await session.subscribe(bob);
  await session.subscribe(streamOf(session, "carl"));
  serve([{ id: "bob", streams: WEBCAM }, { id: "dora", streams: WEBCAM }], { resumeToken: "third" });
  server.replies.set("connect", refuse(40007));
  const told: string[] = [];
  session.on("participant-left", ({ participant }) => told.push(`-${participant.name}`));
  session.on("participant-joined", ({ participant }) => told.push(participant.name));
  const back = session.once("reconnected");
  server.cut();
  assert.deepEqual(await back, { resumed: false });
  assert.deepEqual(told, ["-carl", "dora"]);
  assert.equal(server.of("joinRoom").at(-1)?.params?.["resumeToken"], "again");
  assert.equal(session.resumeToken, "third");
  assert.equal(streamOf(session, "bob"), bob);
  assert.equal(bob.subscription, subscription);
  assert.equal(server.of("publishVideo").length, 2);
  assert.deepEqual(server.of("receiveVideoFrom").map(({ params }) => params?.["sender"]), [
    ...["bob_webcam", "carl_webcam", "bob_webcam"],
  ]);
  assert.ok(camera.media.getTracks().every(({ readyState }) => readyState === "live"));
});

sessionTest("who cannot enter again is told why, and devices are off", async () => {
  const session = await enter();
  const camera = await session.publish(await openCamera());
  server.replies.set("connect", refuse(40007));
  server.replies.set("joinRoom", refuse(404));
  const ended = session.once("ended");
  server.cut();
  const { reason, error } = await ended;
  assert.equal(reason, "lost");
  assert.ok(error instanceof TokenError);
  assert.equal(session.active, false);
  assert.ok(camera.media.getTracks().every(({ readyState }) => readyState === "ended"));
  await assert.rejects(session.chat("anybody?"), SessionEndedError);
});

sessionTest("the server's media that are lost are offered anew", async () => {
  const session = await enter();
  const camera = await session.publish(await openCamera());
  server.notify("republish", { streams: [{ id: "webcam" }, { id: "unknown" }] });
  await server.until(() => server.of("publishVideo").length === 2);
  assert.equal(session.publications.get("webcam"), camera);
  assert.equal(server.of("unpublishVideo").length, 0);
});

sessionTest("the same tab takes its own place after a reload", async () => {
  const kept = new Map<string, string>();
  const remember = {
    getItem: (key: string) => kept.get(key) ?? null,
    setItem: (key: string, value: string) => void kept.set(key, value),
    removeItem: (key: string) => void kept.delete(key),
  };
  await enter([], { remember });
  const again = await enter([], { remember });
  assert.equal(server.of("joinRoom")[1]?.params?.["resumeToken"], "again");
  await again.leave();
  assert.equal(kept.size, 0, "who said goodbye has no place to take");
});

sessionTest("chat, custom requests, preferences and moderation have the protocol's shapes", async () => {
  const session = await enter([{ id: "bob", streams: WEBCAM }]);
  const bob = streamOf(session, "bob");
  await session.chat("<b>hi</b>");
  await session.custom({ hat: true });
  await session.prefer([{ stream: bob, height: 180 }]);
  await session.muteOther(bob, { audio: true });
  await session.evict(bob.participant);
  await session.lock(true);
  await session.closeRoom();
  const shapes = server.requests.slice(1).map(({ method, params }) => [method, params]);
  assert.deepEqual(shapes, [
    ["sendMessage", { message: "<b>hi</b>", userMessage: "ann", roomMessage: "r1" }],
    ["customRequest", { hat: true }],
    ["setVideoPreferences", { preferences: [{ sender: "bob_webcam", height: 180, priority: 0 }] }],
    ["muteMedia", { sender: "bob_webcam", audio: true }],
    ["evictParticipant", { user: "bob" }],
    ["lockRoom", { locked: true }],
    ["closeRoom", {}],
  ]);
});

sessionTest("what the server tells becomes typed events", async () => {
  const session = await enter([{ id: "bob", streams: WEBCAM }]);
  const stream = streamOf(session, "bob");
  const bob = { user: "bob", id: "webcam", stream };
  const heard = async <Name extends Parameters<RoomSession["once"]>[0]>(name: Name, method: string, params: JsonObject) => {
    const event = session.once(name);
    server.notify(method, params);
    return event;
  };
  assert.deepEqual(await heard("message", "sendMessage", { room: "r1", user: "bob", message: "hi" }), { user: "bob", text: "hi" });
  assert.deepEqual(await heard("active-speaker", "activeSpeakerChanged", { id: "bob", stream: "webcam" }), { speaker: bob });
  assert.deepEqual(await heard("active-speaker", "activeSpeakerChanged", {}), { speaker: null });
  assert.deepEqual(await heard("active-speaker", "activeSpeakerChanged", { id: "ann", stream: "webcam" }), {
    speaker: { user: "ann", id: "webcam", stream: null },
  });
  const levels = [{ id: "bob", stream: "webcam", level: -20 }, { id: "bob" }, null];
  assert.deepEqual(await heard("audio-levels", "audioLevels", { levels }), { levels: [{ ...bob, level: -20 }] });
  const layer = { spatialLayer: 1, temporalLayer: 2 };
  assert.deepEqual(await heard("video-layer", "videoLayerChanged", { id: "bob", stream: "webcam", ...layer, height: 360 }), {
    ...bob,
    ...layer,
    height: 360,
  });
  const muted = { audio: true, video: false };
  assert.deepEqual(await heard("media-muted", "mediaMuted", { id: "bob", stream: "webcam", ...muted }), { ...bob, ...muted });
  assert.deepEqual(stream.muted, muted);
  assert.deepEqual(await heard("room-locked", "roomLocked", { locked: true }), { locked: true });
  assert.deepEqual(await heard("warning", "mediaError", { error: "ICE: failed" }), { text: "ICE: failed" });
  assert.deepEqual(await heard("custom", "custonNotification", { one: 1 }), { params: { one: 1 } });
});

for (const [method, reason] of [["participantEvicted", "evicted"], ["roomClosed", "room-closed"]] as const) {
  sessionTest(`${method} ends the session`, async () => {
    const session = await enter();
    const camera = await session.publish(await openCamera());
    const ended = session.once("ended");
    server.notify(method, {});
    assert.deepEqual(await ended, { reason });
    assert.equal(camera.state, "closed");
    await server.until(() => server.sockets.length === 0);
  });
}

sessionTest("leaving turns devices off at once and waits for the server's word", async () => {
  const session = await enter([{ id: "bob", streams: WEBCAM }]);
  const camera = await session.publish(await openCamera());
  await session.subscribe(streamOf(session, "bob"));
  const ended = session.once("ended");
  const left = session.leave();
  assert.ok(camera.media.getTracks().every(({ readyState }) => readyState === "ended"));
  assert.deepEqual(await ended, { reason: "left" });
  await left;
  assert.equal(server.of("leaveRoom").length, 1);
  assert.equal(server.of("unpublishVideo").length, 0, "leaving says it all");
  assert.ok(FakePeerConnection.made.every(({ closed }) => closed));
});

sessionTest("how well media goes is told at intervals, of either direction", async () => {
  const session = await enter([{ id: "bob", streams: WEBCAM }], { qualityInterval: 5 });
  await session.subscribe(streamOf(session, "bob"));
  const peer = lastPeer();
  const entry = { type: "inbound-rtp", kind: "video", timestamp: 1000, packetsReceived: 100, bytesReceived: 1000 };
  peer.stats = [entry];
  const bob = streamOf(session, "bob").subscription;
  await bob?.measure();
  peer.stats = [{ ...entry, timestamp: 2000, packetsReceived: 190, packetsLost: 10, bytesReceived: 126_000, frameHeight: 360 }];
  const { link, quality } = await session.once("quality");
  assert.equal(link, bob);
  assert.deepEqual(quality, { level: "poor", kbps: 1000, lines: 360, roundTrip: 0, loss: 0.1 });
});
