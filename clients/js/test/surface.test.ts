/** What pages made for the Kurento Room client call or listen to, beyond what the other tests go through. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { KurentoRoomClient, Participant, Room, Stream } from "../src/index.js";
import { FakeMediaStream, FakePeerConnection, FakeTrack } from "./fake-browser.js";
import { initialised, join, kurento, next, open, server, until, WEBCAM } from "./harness.js";

/** Members that pages find in the Kurento Room client. */
const SURFACE: [unknown, string[]][] = [
  [
    KurentoRoomClient.prototype,
    ["close", "disconnectParticipant", "sendMessage", "sendCustomRequest", "setRpcParams", "sendRequest"],
  ],
  [
    Room.prototype,
    [
      ...["connect", "getLocalParticipant", "getStreams", "addEventListener", "emitEvent", "subscribe", "disconnect"],
      ...["leave", "onParticipantPublished", "onParticipantJoined", "onParticipantLeft", "onParticipantEvicted"],
      ...["onNewMessage", "recvIceCandidate", "onRoomClosed", "onLostConnection", "onMediaError"],
      ...["addParticipantSpeaking", "removeParticipantSpeaking"],
    ],
  ],
  [Participant.prototype, ["getID", "setId", "getStreams", "addStream", "dispose", "sendIceCandidate"]],
  [
    Stream.prototype,
    [
      ...["init", "publish", "subscribe", "unpublish", "dispose", "subscribeToMyRemote", "displayMyRemote"],
      ...["mirrorLocalStream", "isLocalMirrored", "isDataChannelEnabled", "isDataChannelOpened", "sendData"],
      ...["getWrStream", "getWebRtcPeer", "getID", "getParticipant", "getGlobalID", "getRecvVideo", "getRecvAudio"],
      ...["playOnlyVideo", "playThumbnail", "processSdpAnswer", "publishVideoCallback", "startVideoCallback"],
      "addEventListener",
    ],
  ],
];

test("no member of the Kurento Room client is missing", async () => {
  for (const [prototype, members] of SURFACE) {
    for (const member of members) {
      assert.equal(typeof (prototype as Record<string, unknown>)[member], "function", member);
    }
  }
  const client = await open();
  assert.equal(typeof client.Room, "function");
  assert.equal(typeof client.Stream, "function");
});

test("a page may hand in notifications itself", async () => {
  const room = await join([], { subscribeToStreams: false });
  const heard: string[] = [];
  for (const name of ["participant-joined", "participant-published", "stream-added", "participant-left"] as const) {
    room.addEventListener(name, () => heard.push(name));
  }
  for (const name of ["newMessage", "room-closed", "error-media", "lost-connection", "participant-evicted"] as const) {
    room.addEventListener(name, () => heard.push(name));
  }
  room.onParticipantJoined({ id: "bob" });
  room.onParticipantPublished({ id: "bob", streams: WEBCAM });
  room.onNewMessage({ room: "r1", user: "bob", message: "hi" });
  room.onMediaError({ error: "no" });
  room.onParticipantLeft({ name: "bob" });
  room.onParticipantEvicted();
  room.onRoomClosed({ room: "r1" });
  room.onLostConnection();
  assert.deepEqual(heard, [
    ...["participant-joined", "participant-published", "stream-added", "newMessage", "error-media"],
    ...["participant-left", "participant-evicted", "room-closed", "lost-connection"],
  ]);
});

test("applications emit events of their own on a room, and stop listening", async () => {
  const room = await join();
  const told: string[] = [];
  const listener = ({ message }: { message: string }): void => void told.push(message);
  room.addEventListener("newMessage", listener);
  room.emitEvent("newMessage", [{ room: "r1", user: "ann", message: "one" }]);
  room.removeEventListener("newMessage", listener);
  room.emitEvent("newMessage", [{ room: "r1", user: "ann", message: "two" }]);
  assert.deepEqual(told, ["one"]);
});

test("candidates go out under the name that a participant has now", async () => {
  const room = await join();
  const self = room.getLocalParticipant();
  assert.equal(self.getID(), "ann");
  self.setId("anna");
  self.sendIceCandidate({ candidate: "candidate:1", sdpMid: null, sdpMLineIndex: null } as RTCIceCandidate);
  await server.until(() => server.of("onIceCandidate").length === 1);
  const params = { endpointName: "anna", candidate: "candidate:1", sdpMid: "", sdpMLineIndex: 0 };
  assert.deepEqual(server.of("onIceCandidate")[0]?.params, params);
});

test("a participant that is disposed of ends its streams", async () => {
  const room = await join([{ id: "bob", streams: WEBCAM }]);
  await next(room, "stream-subscribed");
  room.getParticipants()["bob"]?.dispose();
  assert.equal(FakePeerConnection.made[0]?.closed, true);
});

test("what we receive of a stream is what its options say", async () => {
  const client = await open();
  const room = client.Room({ room: "r1", user: "ann" });
  const stream = client.Stream(room, { id: "screen", recvAudio: false });
  assert.equal(stream.getID(), "screen");
  assert.equal(stream.getGlobalID(), "ann_screen");
  assert.equal(stream.getParticipant(), room.getLocalParticipant());
  assert.deepEqual([stream.getRecvAudio(), stream.getRecvVideo()], [false, true]);
});

test("our own stream may show other media than the camera", async () => {
  const room = await join();
  const stream = kurento.Stream(room, { id: "localStream" });
  assert.equal(stream.isLocalMirrored(), false);
  const media = new FakeMediaStream([new FakeTrack("video")]) as unknown as MediaStream;
  stream.mirrorLocalStream(media);
  assert.equal(stream.isLocalMirrored(), true);
  assert.equal(stream.getWrStream(), media);
});

test("offers that the application made are published and watched, and their answers applied", async () => {
  const room = await join([{ id: "bob", streams: WEBCAM }], { subscribeToStreams: false });
  const answers: string[] = [];
  const peer = { processAnswer: (sdp: string) => answers.push(sdp) };
  const mine = kurento.Stream(room, {});
  const published = next(room, "stream-published");
  mine.publishVideoCallback(null, "my offer", peer);
  assert.equal((await published).stream, mine);
  const bob = room.getStreams()["bob_webcam"];
  assert.ok(bob);
  const subscribed = next(room, "stream-subscribed");
  bob.startVideoCallback(undefined, "my other offer", peer);
  assert.equal((await subscribed).stream, bob);
  assert.deepEqual(answers, ["answer", "answer"]);
  assert.deepEqual(server.of("publishVideo")[0]?.params, { sdpOffer: "my offer", doLoopback: false });
  assert.deepEqual(server.of("receiveVideoFrom")[0]?.params, { sender: "bob_webcam", sdpOffer: "my other offer" });

  const failed = next(room, "error-media");
  bob.startVideoCallback(new Error("no offer"), "");
  assert.match(String((await failed).error), /no offer/);
  const homeless = next(room, "error-media");
  bob.startVideoCallback(null, "an offer");
  assert.match(String((await homeless).error), /no connection/);
});

test("an answer may be applied by hand", async () => {
  const room = await join();
  const stream = kurento.Stream(room, {});
  await initialised(stream);
  server.replies.set("publishVideo", () => null);
  stream.publish();
  await until(() => stream.getWebRtcPeer() !== null);
  await stream.processSdpAnswer("by hand");
  assert.equal(FakePeerConnection.made.at(-1)?.remoteSdp, "by hand");
});

test("requests of an application keep their params as they are", async () => {
  const client = await open();
  client.setRpcParams({ token: "t" });
  const params = { one: 1 };
  await new Promise<void>((resolve) => client.sendRequest("mine", params, () => resolve()));
  assert.deepEqual(params, { one: 1 });
  assert.deepEqual(server.of("mine")[0]?.params, { one: 1, token: "t" });
});
