/**
 * What a program of somebody who runs Kurento does, with the npm package `kurento-client`:
 *
 *     node program.js FOLDER_OF_THE_PACKAGE ADDRESS
 *
 * Runs on Node.js 6 too, because explicit transactions of the package need one of before version 10. Every kept
 * promise is a line "ok"; "cut" and "restart" ask whoever runs it to do that to the server, and to say when done.
 */

"use strict";

const assert = require("assert");
const readline = require("readline");

const kurento = require(process.argv[2]);
const version = require(process.argv[2] + "/package.json").version;
const former = version.indexOf("6.") === 0;
const address = process.argv[3];
const PATIENCE = 20000;
const MEDIA_KINDS = ["AUDIO", "DATA", "VIDEO"];

const replies = readline.createInterface({ input: process.stdin });

function say(line) {
  process.stdout.write(line + "\n");
}

function ok(promise, kept) {
  assert.ok(kept, promise);
  say("ok " + promise);
}

function equal(promise, is, wanted) {
  assert.deepEqual(is, wanted, promise + ": " + JSON.stringify(is));
  say("ok " + promise);
}

/** Lets whoever runs this do something to the server. */
function ask(deed) {
  return new Promise((resolve) => {
    replies.once("line", resolve);
    say(deed);
  });
}

/** Runs a generator that yields promises, as async functions do where they exist. */
function run(generator) {
  const steps = generator();
  return new Promise((resolve, reject) => {
    function go(method, value) {
      let step;
      try {
        step = steps[method](value);
      } catch (error) {
        return reject(error);
      }
      if (step.done) {
        return resolve(step.value);
      }
      return Promise.resolve(step.value).then((value) => go("next", value), (error) => go("throw", error));
    }
    go("next");
  });
}

/** The next event of this kind that passes. */
function event(object, name, passes) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error("no " + name)), PATIENCE);
    object.on(name, (details) => {
      if (!passes || passes(details)) {
        clearTimeout(timer);
        resolve(details);
      }
    });
  });
}

/** What a call gives to its callback. */
function answer(call) {
  return new Promise((resolve, reject) => {
    call((error, result) => (error ? reject(error) : resolve(result)));
  });
}

/** The call fails with this code and name of a Kurento error. */
function refused(promise, code, type, call) {
  return answer(call).then(
    () => assert.fail(null, null, promise + ": it worked", ""),
    (error) => equal(promise, [error.code, error.data && error.data.type], [code, type])
  );
}

/** Two endpoints call each other, as the package's users make them do. */
function* negotiate(one, other) {
  const found = former ? "OnIceCandidate" : "IceCandidateFound";
  const Candidate = kurento.getComplexType("IceCandidate");
  let candidates = 0;
  [[one, other], [other, one]].forEach((pair) => {
    pair[0].on(found, (details) => {
      candidates += 1;
      pair[1].addIceCandidate(Candidate(details.candidate), (error) => assert.ifError(error));
    });
  });
  const offer = yield one.generateOffer();
  ok("an endpoint offers", /^v=0\r\n/.test(offer));
  const reply = yield other.processOffer(offer);
  ok("another answers", /a=fingerprint:/.test(reply));
  yield one.processAnswer(reply);
  const done = former ? "OnIceGatheringDone" : "IceGatheringDone";
  const events = [
    event(one, done),
    event(one, "ConnectionStateChanged", (details) => details.newState === "CONNECTED"),
    event(other, "ConnectionStateChanged", (details) => details.newState === "CONNECTED"),
    event(other, former ? "OnDataChannelOpened" : "DataChannelOpened"),
  ];
  yield one.gatherCandidates();
  yield other.gatherCandidates();
  yield one.createDataChannel("talk");
  yield Promise.all(events);
  ok("candidates are found, gathering ends, both are connected, data channels too", candidates > 0);
}

run(function* () {
  // Not waited for: that would give a copy, which does not follow the session.
  const client = kurento(address);

  const manager = yield client.getServerManager();
  const info = yield manager.getInfo();
  equal("the server is a KMS", info.type, "KMS");
  const modules = info.modules.map((module) => module.name);
  ok("with the usual modules", ["core", "elements", "filters"].every((name) => modules.indexOf(name) >= 0));
  ok("it counts its processors", (yield manager.getCpuCount()) > 0);
  ok("its memory", (yield manager.getUsedMemory()) > 0);
  ok("its load", (yield manager.getUsedCpu(100)) >= 0);
  ok("its sessions", (yield manager.getSessions()).indexOf(client.sessionId) >= 0);
  equal("it describes modules", JSON.parse(yield manager.getKmd("core")).name, "core");
  yield refused("but none that it has not", 40500, "UNDEFINED", (done) => manager.getKmd("nothing", done));

  const created = event(manager, "ObjectCreated");
  // The package may let a creation overtake a subscription.
  yield manager.getName();
  const pipeline = yield client.create("MediaPipeline");
  const born = (yield created).object;
  equal("a new object is announced", String(born.id || born), pipeline.id);
  equal("it is called by its id", yield pipeline.getName(), pipeline.id);
  yield pipeline.setName("stage ✓");
  equal("until it is named", yield pipeline.getName(), "stage ✓");
  yield pipeline.addTag("room", "17");
  yield pipeline.addTag("floor", "2");
  equal("tags are kept", yield pipeline.getTag("room"), "17");
  equal("listed", (yield pipeline.getTags()).map((tag) => tag.key + "=" + tag.value).sort(), ["floor=2", "room=17"]);
  yield pipeline.removeTag("floor");
  yield refused("and removed", 40110, "MEDIA_OBJECT_TAG_KEY_NOT_FOUND", (done) => pipeline.getTag("floor", done));
  ok("it knows when it was made", Math.abs((yield pipeline.getCreationTime()) - Date.now() / 1000) < 60);
  yield pipeline.setLatencyStats(true);
  equal("properties are set", yield pipeline.getLatencyStats(), true);
  ok("it draws itself", /digraph/.test(yield pipeline.getGstreamerDot()));

  const one = yield pipeline.create("WebRtcEndpoint", { useDataChannels: true });
  const other = yield pipeline.create("WebRtcEndpoint", { useDataChannels: true });
  const through = yield pipeline.create("PassThrough");
  const children = yield former ? pipeline.getChilds() : pipeline.getChildren();
  equal("it lists its children", children.map((child) => child.id).sort(), [one.id, other.id, through.id].sort());
  equal("they know their parent", (yield one.getParent()).id, pipeline.id);
  equal("and their pipeline", (yield through.getMediaPipeline()).id, pipeline.id);

  yield one.setSendTagsInEvents(true);
  yield one.addTag("who", "one");
  const connected = event(one, "ElementConnected");
  yield one.connect(through, "VIDEO");
  const details = yield connected;
  equal("a connection is announced", [details.type, details.mediaType], ["ElementConnected", "VIDEO"]);
  equal("with the tags of its source", details.tags.map((tag) => tag.key + "=" + tag.value), ["who=one"]);
  equal("with its time, also in seconds", Number(details.timestamp), Math.floor(Number(details.timestampMillis) / 1000));
  const outgoing = yield one.getSinkConnections();
  equal("it is listed at its source", outgoing.map((data) => data.type), ["VIDEO"]);
  equal("and at its sink", (yield through.getSourceConnections()).length, 1);
  yield through.connect(other);
  equal("elements connect in every kind", (yield through.getSinkConnections()).map((data) => data.type).sort(), MEDIA_KINDS);
  const cut = event(through, "ElementDisconnected");
  yield through.disconnect(other);
  yield cut;
  equal("and disconnect", yield through.getSinkConnections(), []);
  equal("nothing flows yet", yield through.isMediaFlowingIn("VIDEO"), false);

  yield one.setStunServerAddress("192.0.2.1");
  equal("endpoints keep their settings", yield one.getStunServerAddress(), "192.0.2.1");
  yield one.setStunServerAddress("");
  yield one.setMaxVideoSendBandwidth(900);
  equal("and limits", yield one.getMaxVideoSendBandwidth(), 900);
  const Fraction = kurento.getComplexType("Fraction");
  const VideoCaps = kurento.getComplexType("VideoCaps");
  const caps = VideoCaps({ codec: "VP8", framerate: Fraction({ numerator: 30, denominator: 1 }) });
  yield answer((done) => through.setVideoFormat(caps, done));
  ok("structures in structures are taken", true);
  yield refused("nonsense is no offer", 40201, "SDP_PARSE_ERROR", (done) => one.processOffer("nonsense", done));
  yield refused("no answer without an offer", 40209, "SDP_END_POINT_NOT_OFFER_GENERATED", (done) =>
    one.processAnswer("v=0\r\n", done));
  yield refused("nothing to look at yet", 40202, "SDP_END_POINT_NO_LOCAL_SDP_ERROR", (done) =>
    other.getLocalSessionDescriptor(done));
  const elsewhere = yield client.create("MediaPipeline");
  const stranger = yield elsewhere.create("PassThrough");
  yield refused("pipelines do not mix", 40004, "CONNECT_ERROR", (done) => one.connect(stranger, done));

  yield* negotiate(one, other);
  ok("what was agreed on can be read", /^v=0/.test(yield one.getRemoteSessionDescriptor()));
  equal("states too", yield one.getConnectionState(), "CONNECTED");
  equal("so can the pair of candidates", (yield one.getICECandidatePairs())[0].componentId, 1);
  const stats = yield one.getStats();
  const kinds = Object.keys(stats).map((id) => stats[id].type);
  ok("it has statistics", kinds.indexOf("outboundrtp") >= 0 && kinds.indexOf("endpoint") >= 0);

  const rtp = yield pipeline.create("RtpEndpoint");
  ok("plain RTP is offered", /m=audio [1-9]\d* RTP\/AVPF? /.test(yield rtp.generateOffer()));
  const crypto = kurento.getComplexType("SDES")({ crypto: "AES_128_CM_HMAC_SHA1_80", key: "a".repeat(30) });
  const srtp = yield pipeline.create("RtpEndpoint", { crypto: crypto });
  ok("and SRTP", /a=crypto:\d+ AES_CM_128_HMAC_SHA1_80 /.test(yield srtp.generateOffer()));

  const hub = yield pipeline.create("Dispatcher");
  const left = yield hub.createHubPort();
  const right = yield hub.createHubPort();
  equal("hubs list their ports", (yield hub.getChildren()).map((port) => port.id).sort(), [left.id, right.id].sort());
  yield one.connect(left);
  yield hub.connect(left, right);
  yield right.connect(through);
  equal("ports are elements", (yield left.getSourceConnections()).length, 3);
  yield hub.release();
  yield refused("and go with their hub", 40101, "MEDIA_OBJECT_NOT_FOUND", (done) => left.getName(done));

  const transaction = client.beginTransaction();
  const promised = pipeline.create(transaction, "PassThrough");
  promised.setName(transaction, "made at once", (error) => assert.ifError(error));
  const naming = answer((done) => promised.getName(transaction, done));
  yield transaction.commit();
  equal("a transaction makes and uses an object", yield naming, "made at once");
  const failing = client.beginTransaction();
  const missing = answer((done) => stranger.getTag(failing, "none", done)).then(() => "worked", (error) => error.code);
  const behind = answer((done) => stranger.setName(failing, "unreached", done)).then(() => "worked", () => "failed");
  yield failing.commit().then(() => undefined, () => undefined);
  equal("a transaction stops at its first failure", [yield missing, yield behind], [40110, "failed"]);
  equal("what is behind it is not done", yield stranger.getName(), stranger.id);
  const dropped = client.beginTransaction();
  elsewhere.create(dropped, "PassThrough", () => undefined);
  dropped.rollback();
  equal("a rollback does nothing", (yield elsewhere.getChildren()).map((child) => child.id), [stranger.id]);

  const batching = kurento(address, { useImplicitTransactions: true });
  const batched = yield batching.create("MediaPipeline");
  const pair = yield Promise.all([batched.create("PassThrough"), batched.create("PassThrough")]);
  ok("implicit transactions", pair[0].id.indexOf(batched.id) === 0 && pair[1].id !== pair[0].id);
  yield batched.release();
  batching.close();

  const session = client.sessionId;
  const again = event(client, "reconnected");
  yield ask("cut");
  equal("a cut connection is made again with its session", yield again, true);
  equal("which is the same", client.sessionId, session);
  equal("its objects are there", yield pipeline.getName(), "stage ✓");
  const returned = event(through, "ElementConnected");
  yield through.connect(other, "AUDIO");
  equal("subscriptions too", (yield returned).mediaType, "AUDIO");

  const gone = event(manager, "ObjectDestroyed", (what) => what.objectId === through.id);
  yield pipeline.release();
  yield gone;
  yield refused("what is released takes its children along", 40101, "MEDIA_OBJECT_NOT_FOUND", (done) => one.getName(done));
  equal("only the rest is left", (yield manager.getPipelines()).map((left) => left.id), [elsewhere.id]);

  const anew = event(client, "reconnected");
  yield ask("restart");
  equal("a server that was restarted has no such session", yield anew, false);
  const fresh = yield client.create("MediaPipeline");
  equal("programs begin anew with it", yield fresh.getName(), fresh.id);
  yield fresh.release();
  client.close();
}).then(
  () => {
    say("end");
    process.exit(0);
  },
  (error) => {
    process.stderr.write((error.stack || error) + "\n" + JSON.stringify(error) + "\n");
    process.exit(1);
  }
);
