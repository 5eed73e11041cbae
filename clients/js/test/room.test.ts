import assert from "node:assert/strict";
import { test } from "node:test";
import { KurentoRoom, KurentoRoomClient, type JsonObject, type RoomEvents } from "../src/index.js";
import { devices, FakeMediaStream, FakePeerConnection, FakeTrack } from "./fake-browser.js";
import { webSocket } from "./fake-server.js";
import { initialised, join, kurento, next, open, server, until, WEBCAM } from "./harness.js";

test("KurentoRoom, Room and Stream work with and without new", async () => {
  const first = await open();
  assert.ok(first instanceof KurentoRoomClient);
  assert.ok(first instanceof KurentoRoom);
  const room = new first.Room({ room: "r1", user: "ann" });
  assert.equal(room.name, "r1");
  const stream = new first.Stream(room, { id: "webcam" });
  assert.equal(stream.getGlobalID(), "ann_webcam");
  assert.equal(first.Stream(room).getID(), "webcam");
  first.close();
  await new Promise<void>((resolve) => {
    const second = new KurentoRoom(server.uri, () => (second.close(), resolve()), { webSocket });
  });
});

test("the callback is told of a server that is not there", async () => {
  await server.stop();
  await assert.rejects(open());
});

test("joining tells who is there and subscribes to what they publish, by global id", async () => {
  server.replies.set("joinRoom", () => ({
    result: { value: [{ id: "bob", streams: WEBCAM }, { id: "carl" }, { id: "dora_d", streams: WEBCAM }], sessionId: "SID" },
  }));
  const opened = await open();
  const room = opened.Room({ room: "r1", user: "ann" });
  const connected = next(room, "room-connected");
  room.connect();
  const { participants, streams } = await connected;
  assert.deepEqual(participants.map((participant) => participant.getID()), ["bob", "carl", "dora_d"]);
  assert.deepEqual(streams.map((stream) => stream.getGlobalID()), ["bob_webcam", "dora_d_webcam"]);
  assert.deepEqual(Object.keys(room.getStreams()), ["bob_webcam", "dora_d_webcam"]);
  await server.until(() => server.of("receiveVideoFrom").length === 2);
  assert.deepEqual(server.of("joinRoom")[0]?.params, { user: "ann", room: "r1" });
  assert.deepEqual(
    server.of("receiveVideoFrom").map(({ params }) => params),
    [
      { sender: "bob_webcam", sdpOffer: "offer 0" },
      { sender: "dora_d_webcam", sdpOffer: "offer 1" },
    ],
  );
  assert.deepEqual(FakePeerConnection.made[0]?.transceivers, [["audio", "recvonly"], ["video", "recvonly"]]);
  await until(() => FakePeerConnection.made.every((connection) => connection.remoteSdp === "answer"));
});

test("a refused join is an error-room with the server's error", async () => {
  server.replies.set("joinRoom", () => ({ error: { code: 104, message: "taken", sessionId: "SID" } }));
  const opened = await open();
  const room = opened.Room({ room: "r1", user: "ann" });
  const failed = next(room, "error-room");
  room.connect();
  const { error } = await failed;
  assert.equal((error as { code: number }).code, 104);
  assert.equal(room.isConnected(), false);
});

test("subscribeToStreams: false leaves the choice to the application", async () => {
  const room = await join([{ id: "bob", streams: WEBCAM }], { subscribeToStreams: false });
  const added = next(room, "stream-added");
  server.notify("participantJoined", { id: "carl" });
  server.notify("participantPublished", { id: "carl", streams: WEBCAM });
  const { stream } = await added;
  assert.equal(FakePeerConnection.made.length, 0);
  const subscribed = next(room, "stream-subscribed");
  room.subscribe(stream);
  assert.equal((await subscribed).stream, stream);
  assert.deepEqual(server.of("receiveVideoFrom").map(({ params }) => params?.["sender"]), ["carl_webcam"]);
});

test("a stream may say that it has no video", async () => {
  await join([{ id: "bob", streams: [{ id: "webcam", recvVideo: false }] }]);
  await server.until(() => server.of("receiveVideoFrom").length === 1);
  assert.deepEqual(FakePeerConnection.made[0]?.transceivers, [["audio", "recvonly"]]);
});

test("joined and published come with id, left and unpublished with name, chat with user", async () => {
  const room = await join();
  const joined = next(room, "participant-joined");
  server.notify("participantJoined", { name: "nobody" });
  server.notify("participantJoined", { id: "bob" });
  assert.equal((await joined).participant.getID(), "bob");

  const published = next(room, "participant-published");
  const added = next(room, "stream-added");
  server.notify("participantPublished", { id: "bob", streams: WEBCAM });
  assert.equal((await published).participant.getID(), "bob");
  assert.equal((await added).stream.getGlobalID(), "bob_webcam");

  const message = next(room, "newMessage");
  server.notify("sendMessage", { room: "r1", name: "bob", message: "wrong key" });
  server.notify("sendMessage", { room: "r1", user: "bob", message: "<b>hi</b>" });
  assert.deepEqual(await message, { room: "r1", user: "bob", message: "<b>hi</b>" });

  const left = next(room, "participant-left");
  server.notify("participantLeft", { id: "bob" });
  server.notify("participantLeft", { name: "bob" });
  assert.equal((await left).participant.getID(), "bob");
  assert.deepEqual(Object.keys(room.getParticipants()), ["ann"]);
  assert.deepEqual(room.getStreams(), {});
  assert.equal(FakePeerConnection.made[0]?.closed, true);
});

test("unpublishing is not leaving: the participant stays and can publish again", async () => {
  const room = await join([{ id: "bob", streams: WEBCAM }]);
  let left = 0;
  let joined = 0;
  room.addEventListener("participant-left", () => (left += 1));
  room.addEventListener("participant-joined", () => (joined += 1));
  const removed = next(room, "stream-removed");
  const unpublished = next(room, "participant-unpublished");
  server.notify("participantUnpublished", { name: "bob" });
  const { stream } = await removed;
  assert.equal(stream.getGlobalID(), "bob_webcam");
  const { participant } = await unpublished;
  assert.equal(room.getParticipants()["bob"], participant);
  assert.equal(FakePeerConnection.made[0]?.closed, true);

  const again = next(room, "stream-added");
  server.notify("participantPublished", { id: "bob", streams: WEBCAM });
  assert.equal((await again).stream.getParticipant(), participant);
  await server.until(() => server.of("receiveVideoFrom").length === 2);
  assert.deepEqual([left, joined], [0, 0]);
});

test("a second publication without an end replaces the first", async () => {
  const room = await join([{ id: "bob", streams: WEBCAM }]);
  const removed = next(room, "stream-removed");
  const added = next(room, "stream-added");
  server.notify("participantPublished", { id: "bob", streams: WEBCAM });
  assert.notEqual((await removed).stream, (await added).stream);
  assert.deepEqual(Object.keys(room.getStreams()), ["bob_webcam"]);
  assert.equal(FakePeerConnection.made[0]?.closed, true);
});

test("notifications about ourselves or strangers change nothing", async () => {
  const room = await join();
  server.notify("participantJoined", { id: "ann" });
  server.notify("participantPublished", { id: "ann", streams: WEBCAM });
  server.notify("participantUnpublished", { name: "ann" });
  server.notify("participantLeft", { name: "ann" });
  server.notify("participantLeft", { name: "stranger" });
  server.notify("iceCandidate", { endpointName: "stranger", candidate: "c", sdpMid: "0", sdpMLineIndex: 0 });
  const message = next(room, "newMessage");
  server.notify("sendMessage", { room: "r1", user: "ann", message: "last" });
  await message;
  assert.deepEqual(Object.keys(room.getParticipants()), ["ann"]);
  assert.deepEqual(room.getStreams(), {});
});

test("publishing sends offer and candidates under our bare name, and takes early candidates", async () => {
  const room = await join();
  const stream = kurento.Stream(room, {});
  await initialised(stream);
  server.replies.set("publishVideo", () => null);
  stream.publish();
  await server.until(() => server.of("publishVideo").length === 1);
  assert.deepEqual(server.of("publishVideo")[0]?.params, { sdpOffer: "offer 0", doLoopback: false });
  const connection = FakePeerConnection.made[0];
  assert.ok(connection);
  assert.deepEqual(connection.transceivers, [["audio", "sendonly"], ["video", "sendonly"]]);

  connection.onicecandidate?.({ candidate: { candidate: "candidate:1", sdpMid: "0", sdpMLineIndex: 0 } });
  connection.onicecandidate?.({ candidate: { candidate: "", sdpMid: "0", sdpMLineIndex: 0 } });
  connection.onicecandidate?.({ candidate: null });
  await server.until(() => server.of("onIceCandidate").length === 1);
  assert.deepEqual(server.of("onIceCandidate")[0]?.params, {
    endpointName: "ann",
    candidate: "candidate:1",
    sdpMid: "0",
    sdpMLineIndex: 0,
  });

  server.notify("iceCandidate", { endpointName: "ann", sdpMLineIndex: 0, sdpMid: "0", candidate: "candidate:2" });
  const published = next(room, "stream-published");
  const id = server.of("publishVideo")[0]?.id;
  server.sendRaw(JSON.stringify({ id, result: { sdpAnswer: "answer", sessionId: "SID" }, jsonrpc: "2.0" }));
  assert.equal((await published).stream, stream);
  assert.equal(connection.remoteSdp, "answer");
  assert.deepEqual(connection.candidates, [{ candidate: "candidate:2", sdpMid: "0", sdpMLineIndex: 0 }]);
});

test("our own stream can come back from the server", async () => {
  const room = await join();
  const stream = kurento.Stream(room, {});
  await initialised(stream);
  stream.subscribeToMyRemote();
  assert.equal(stream.displayMyRemote(), true);
  stream.publish();
  await server.until(() => server.of("publishVideo").length === 1);
  assert.equal(server.of("publishVideo")[0]?.params?.["doLoopback"], true);
  assert.deepEqual(FakePeerConnection.made[0]?.transceivers, [["audio", "sendrecv"], ["video", "sendrecv"]]);
  const subscribed = next(room, "stream-subscribed");
  FakePeerConnection.made[0]?.ontrack?.({ track: new FakeTrack("video") });
  assert.equal((await subscribed).stream, stream);
  assert.equal(stream.getWrStream()?.getVideoTracks().length, 1);
});

test("a data channel is announced at the join and used by sendData", async () => {
  const opened = await open();
  const room = opened.Room({ room: "r1", user: "ann" });
  const stream = opened.Stream(room, { data: true });
  await initialised(stream);
  const connected = next(room, "room-connected");
  room.connect();
  await connected;
  assert.deepEqual(server.of("joinRoom")[0]?.params, { user: "ann", room: "r1", dataChannels: true });
  assert.throws(() => stream.sendData("x"));
  stream.publish();
  assert.equal(stream.isDataChannelEnabled(), true);
  assert.equal(stream.isDataChannelOpened(), false);
  assert.throws(() => stream.sendData("x"), /not open/);
  const channel = FakePeerConnection.made[0]?.channel;
  assert.ok(channel);
  channel.readyState = "open";
  stream.sendData("x");
  assert.deepEqual(channel.sent, ["x"]);
});

test("muting turns tracks off and sends nothing", async () => {
  const room = await join();
  const stream = kurento.Stream(room, {});
  await initialised(stream);
  stream.publish();
  await next(room, "stream-published");
  const sent = server.requests.length;
  const peer = stream.getWebRtcPeer();
  assert.ok(peer);
  peer.audioEnabled = false;
  peer.videoEnabled = false;
  assert.deepEqual(stream.getWrStream()?.getTracks().map((track) => track.enabled), [false, false]);
  peer.videoEnabled = true;
  assert.deepEqual([peer.audioEnabled, peer.videoEnabled], [false, true]);
  kurento.sendMessage("r1", "ann", "marker");
  await server.until(() => server.of("sendMessage").length === 1);
  assert.equal(server.requests.length, sent + 1);
});

test("disconnecting our own stream unpublishes it, and it can be published again", async () => {
  const room = await join();
  const stream = kurento.Stream(room, {});
  await initialised(stream);
  const media = stream.getWrStream();
  stream.publish();
  await next(room, "stream-published");
  kurento.disconnectParticipant(stream);
  await server.until(() => server.of("unpublishVideo").length === 1);
  assert.deepEqual(server.of("unpublishVideo")[0]?.params, {});
  assert.equal(FakePeerConnection.made[0]?.closed, true);
  assert.ok(media?.getTracks().every((track) => track.readyState === "ended"));
  assert.equal(stream.getWebRtcPeer(), null);
  await initialised(stream);
  stream.publish();
  await next(room, "stream-published");
  assert.equal(server.of("publishVideo").length, 2);
});

test("disconnecting somebody else's stream unsubscribes, and it can be watched again", async () => {
  const room = await join([{ id: "bob", streams: WEBCAM }]);
  await next(room, "stream-subscribed");
  const stream = room.getStreams()["bob_webcam"];
  assert.ok(stream);
  kurento.disconnectParticipant(stream);
  await server.until(() => server.of("unsubscribeFromVideo").length === 1);
  assert.deepEqual(server.of("unsubscribeFromVideo")[0]?.params, { sender: "bob_webcam" });
  assert.ok(room.getParticipants()["bob"]);
  room.subscribe(stream);
  await next(room, "stream-subscribed");
  assert.equal(server.of("receiveVideoFrom").length, 2);
});

test("media that fails is an error-media with its stream, and leaves no connection behind", async () => {
  server.replies.set("receiveVideoFrom", () => ({ error: { code: 302, message: "no", sessionId: "SID" } }));
  const room = await join([{ id: "bob", streams: WEBCAM }]);
  const { error, stream } = await next(room, "error-media");
  assert.equal((error as { code: number }).code, 302);
  assert.equal(stream?.getGlobalID(), "bob_webcam");
  assert.equal(stream?.getWebRtcPeer(), null);
  assert.equal(FakePeerConnection.made[0]?.closed, true);
});

test("whoever turns out to be gone has left, whoever publishes nothing any more has unpublished", async () => {
  const refuse = (code: number) => (): { error: JsonObject } => ({ error: { code, message: "no", sessionId: "SID" } });
  const peers = [
    { id: "bob", streams: WEBCAM },
    { id: "carl", streams: WEBCAM },
  ];
  const room = await join(peers, { subscribeToStreams: false });
  const { bob_webcam: bob, carl_webcam: carl } = room.getStreams();
  assert.ok(bob && carl);
  server.replies.set("receiveVideoFrom", refuse(105));
  const unpublished = next(room, "participant-unpublished");
  room.subscribe(bob);
  assert.equal((await unpublished).participant.getID(), "bob");
  server.replies.set("receiveVideoFrom", refuse(102));
  const left = next(room, "participant-left");
  room.subscribe(carl);
  assert.equal((await left).participant.getID(), "carl");
  assert.deepEqual(Object.keys(room.getParticipants()), ["ann", "bob"]);
  assert.deepEqual(room.getStreams(), {});
});

test("an answer without SDP, or with SDP that the browser refuses, is an error-media", async () => {
  server.replies.set("receiveVideoFrom", () => ({ result: { sessionId: "SID" } }));
  const room = await join([{ id: "bob", streams: WEBCAM }], { subscribeToStreams: false });
  const stream = room.getStreams()["bob_webcam"];
  assert.ok(stream);
  room.subscribe(stream);
  await next(room, "error-media");
  server.replies.set("receiveVideoFrom", () => ({ result: { sdpAnswer: "bad", sessionId: "SID" } }));
  room.subscribe(stream);
  assert.match(String((await next(room, "error-media")).error), /bad answer/);
});

test("mediaError, roomClosed, eviction and custom messages reach the application", async () => {
  const room = await join();
  const media = next(room, "error-media");
  server.notify("mediaError", { error: "ICE: failed(errCode=1)" });
  assert.deepEqual(await media, { error: "ICE: failed(errCode=1)" });
  const custom = next(room, "custom-message-received");
  server.notify("custonNotification", { MarkerFilterState: 0 });
  assert.deepEqual(await custom, { params: { MarkerFilterState: 0 } });
  const evicted = next(room, "participant-evicted");
  server.notify("participantEvicted", {});
  assert.equal((await evicted).localParticipant, room.getLocalParticipant());
  const closed = next(room, "room-closed");
  server.notify("roomClosed", { room: "r1" });
  assert.deepEqual(await closed, { room: "r1" });
});

test("a listener that throws does not keep the others from hearing", async () => {
  const room = await join();
  const uncaught = new Promise((resolve) => {
    const original = process.listeners("uncaughtException");
    process.removeAllListeners("uncaughtException");
    process.once("uncaughtException", (error) => {
      for (const listener of original) {
        process.on("uncaughtException", listener);
      }
      resolve(error);
    });
  });
  room.addEventListener("newMessage", () => {
    throw new Error("a fault of the application");
  });
  const message = next(room, "newMessage");
  server.notify("sendMessage", { room: "r1", user: "bob", message: "hi" });
  assert.equal((await message).message, "hi");
  assert.match(String(await uncaught), /a fault of the application/);
});

test("chat, custom and raw requests have the protocol's shapes", async () => {
  await join();
  kurento.setRpcParams({ token: "t" });
  kurento.sendMessage("r1", "ann", "hi");
  const custom = await new Promise((resolve) => kurento.sendCustomRequest({ hat: true }, (error, result) => resolve([error, result])));
  assert.deepEqual(custom, [null, { sessionId: "SID" }]);
  await new Promise<void>((resolve) => kurento.sendRequest("other", () => resolve()));
  assert.deepEqual(server.of("sendMessage")[0]?.params, { message: "hi", userMessage: "ann", roomMessage: "r1", token: "t" });
  assert.deepEqual(server.of("customRequest")[0]?.params, { hat: true, token: "t" });
  assert.deepEqual(server.of("other")[0]?.params, { token: "t" });
});

test("leaving sends leaveRoom, then closes the connection; local state is gone at once", async () => {
  const room = await join([{ id: "bob", streams: WEBCAM }]);
  const stream = kurento.Stream(room, {});
  await initialised(stream);
  const media = stream.getWrStream();
  kurento.close();
  assert.equal(room.isClosed(), true);
  assert.deepEqual(room.getStreams(), {});
  assert.ok(FakePeerConnection.made.every((connection) => connection.closed));
  assert.ok(media?.getTracks().every((track) => track.readyState === "ended"));
  await server.until(() => server.of("leaveRoom").length === 1 && server.sockets.length === 0);
  assert.deepEqual(server.of("leaveRoom")[0]?.params, {});
  assert.equal(server.of("connect").length, 0);
});

test("a forced leave only closes the connection", async () => {
  await join();
  kurento.close(true);
  await server.until(() => server.sockets.length === 0);
  assert.equal(server.of("leaveRoom").length, 0);
});

test("a reconnect resumes the room", async () => {
  const room = await join();
  const reconnecting = next(room, "reconnecting");
  const reconnected = next(room, "reconnected");
  server.cut();
  await reconnecting;
  assert.deepEqual(await reconnected, { room: "r1" });
  assert.deepEqual(server.of("connect")[0]?.params, { sessionId: "SID" });
});

test("a session that is gone after a reconnect is a lost connection", async () => {
  const room = await join();
  server.replies.set("connect", () => ({ error: { code: 40007, message: "reconnection error" } }));
  const lost = next(room, "lost-connection");
  server.cut();
  assert.deepEqual(await lost, { room: "r1" });
});

test("who speaks is asked for on joining, and told with the participant", async () => {
  const plain = await join();
  assert.deepEqual(server.requests.at(-1)?.params, { user: "ann", room: "r1" });
  plain.leave(true);
  const room = await join([{ id: "bob", streams: WEBCAM }], { activeSpeaker: true, audioLevels: true });
  const asked = server.requests.filter(({ method }) => method === "joinRoom").at(-1);
  assert.deepEqual(asked?.params, { user: "ann", room: "r1", activeSpeaker: true, audioLevels: true });
  const bob = room.getParticipants()["bob"];
  const stream = bob?.getStreams()["webcam"];
  assert.ok(bob !== undefined && stream !== undefined);
  const heard = async (params: JsonObject): Promise<RoomEvents["active-speaker"][0]> => {
    const event = next(room, "active-speaker");
    server.notify("activeSpeakerChanged", params);
    return event;
  };
  assert.deepEqual(await heard({ id: "bob", stream: "webcam" }), { participant: bob, stream });
  assert.deepEqual(await heard({}), { participant: null, stream: null });
  assert.deepEqual(await heard({ id: "ann", stream: "webcam" }), {
    participant: room.getLocalParticipant(),
    stream: null,
  });
  for (const params of [{ id: "nobody", stream: "webcam" }, { id: 5 }]) {
    assert.deepEqual(await heard(params), { participant: null, stream: null });
  }
  const levels = next(room, "audio-levels");
  server.notify("audioLevels", {
    levels: [{ id: "bob", stream: "webcam", level: -20 }, { id: "nobody", level: -1 }, { id: "bob" }, null, 7],
  });
  assert.deepEqual(await levels, { levels: [{ participant: bob, stream, level: -20 }] });
  const silence = next(room, "audio-levels");
  server.notify("audioLevels", {});
  assert.deepEqual(await silence, { levels: [] });
});

test("video is published in several qualities if asked to, and only then", async () => {
  const room = await join();
  for (const simulcast of [false, true]) {
    const stream = kurento.Stream(room, { simulcast });
    await initialised(stream);
    const published = next(room, "stream-published");
    stream.publish();
    await published;
    assert.deepEqual(FakePeerConnection.made.at(-1)?.rids, simulcast ? ["q", "h", "f"] : []);
  }
});

test("how large streams are shown is told, and which quality of them comes", async () => {
  server.replies.set("setVideoPreferences", () => ({ result: { sessionId: "SID" } }));
  const room = await join([{ id: "bob", streams: WEBCAM }], { videoLayers: true });
  assert.equal(server.requests.find(({ method }) => method === "joinRoom")?.params?.["videoLayers"], true);
  const bob = room.getParticipants()["bob"];
  const stream = bob?.getStreams()["webcam"];
  assert.ok(bob !== undefined && stream !== undefined);
  const told = (): JsonObject[] =>
    server.requests.filter(({ method }) => method === "setVideoPreferences").map(({ params }) => params ?? {});
  room.setVideoPreferences([{ stream, height: 180 }]);
  kurento.setVideoPreferences([{ stream, priority: 3 }]);
  // There is nothing to say of our own.
  kurento.setVideoPreferences([{ stream: kurento.Stream(room), height: 1 }]);
  await until(() => told().length === 2);
  assert.deepEqual(told(), [
    { preferences: [{ sender: "bob_webcam", height: 180, priority: 0 }] },
    { preferences: [{ sender: "bob_webcam", height: 0, priority: 3 }] },
  ]);
  const layer = next(room, "video-layer");
  const layers: JsonObject = { spatialLayer: 1, temporalLayer: 2 };
  server.notify("videoLayerChanged", { id: "nobody", stream: "webcam", ...layers });
  server.notify("videoLayerChanged", { id: "bob", stream: "webcam", spatialLayer: "1" });
  server.notify("videoLayerChanged", { id: "bob", stream: "webcam", ...layers, height: 360 });
  assert.deepEqual(await layer, { participant: bob, stream, ...layers, height: 360 });
  const unknown = next(room, "video-layer");
  server.notify("videoLayerChanged", { id: "bob", stream: "webcam", ...layers });
  assert.deepEqual(await unknown, { participant: bob, stream, ...layers, height: null });
});

test("a server that does not know how large streams are shown is told once", async () => {
  const error = { code: -32601, message: "unknown method" };
  server.replies.set("setVideoPreferences", () => ({ error }));
  server.replies.set("sendMessage", () => ({ result: { sessionId: "SID" } }));
  const room = await join([{ id: "bob", streams: WEBCAM }]);
  const stream = room.getParticipants()["bob"]?.getStreams()["webcam"];
  assert.ok(stream !== undefined);
  const answered = (): Promise<unknown> => room.call("sendMessage", {});
  for (const height of [90, 180, 360]) {
    room.setVideoPreferences([{ stream, height }]);
    // Answers come in the order of requests.
    await answered();
  }
  const told = server.requests.filter(({ method }) => method === "setVideoPreferences");
  assert.equal(told.length, 1);
});

test("speakers are told by global id, the main one at intervals, and no timer outlives the room", async () => {
  const room = await join([], { updateSpeakerInterval: 5 });
  const speaking = next(room, "stream-speaking");
  const main = next(room, "update-main-speaker");
  room.addParticipantSpeaking("bob_webcam");
  assert.deepEqual(await speaking, { participantId: "bob_webcam" });
  assert.deepEqual(await main, { participantId: "bob_webcam" });
  const stopped = next(room, "stream-stopped-speaking");
  room.removeParticipantSpeaking("bob_webcam");
  assert.deepEqual(await stopped, { participantId: "bob_webcam" });
});

test("without a camera the microphone alone is enough; a refusal counts for both", async () => {
  const room = await join();
  const stream = kurento.Stream(room, {});
  devices.fail = ({ video }) => (video === false ? null : new DOMException("none", "NotFoundError"));
  await initialised(stream);
  assert.equal(stream.getWrStream()?.getVideoTracks().length, 0);
  assert.equal(stream.getWrStream()?.getAudioTracks().length, 1);
  devices.asked = [];
  devices.fail = () => new DOMException("no", "NotAllowedError");
  await assert.rejects(initialised(kurento.Stream(room, {})), { name: "NotAllowedError" });
  assert.equal(devices.asked.length, 1);
});

test("the camera asks for a width of 1280 at 15 frames per second", async () => {
  const room = await join();
  await initialised(kurento.Stream(room, {}));
  assert.deepEqual(devices.asked[0], { audio: true, video: { width: { ideal: 1280 }, frameRate: { ideal: 15 } } });
});

test("media granted after the room was left is turned off again", async () => {
  const room = await join();
  const stream = kurento.Stream(room, {});
  const granted: FakeMediaStream[] = [];
  const { mediaDevices } = navigator;
  const original = mediaDevices.getUserMedia.bind(mediaDevices);
  mediaDevices.getUserMedia = async (constraints) => {
    const media = await original(constraints);
    granted.push(media as unknown as FakeMediaStream);
    return media;
  };
  stream.init();
  kurento.close(true);
  await until(() => granted[0]?.getTracks().every((track) => track.readyState === "ended") ?? false);
  assert.equal(stream.getWrStream(), null);
});
