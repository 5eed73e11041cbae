/** A browser's connection to a WebRtcEndpoint that a test drives through somebody else's Kurento client. */

import kurento from "kurento-client";

import { until } from "./wait.mjs";

/** The client wants its structures made by itself. */
const iceCandidate = kurento.getComplexType("IceCandidate");

/** Numbers the peers of a page. */
let count = 0;

export class KurentoPeer {
  #page;
  #name;

  constructor(page) {
    this.#page = page;
    count += 1;
    this.#name = `peer${count}`;
  }

  /**
   * Negotiates as applications do: the browser offers, candidates trickle both ways.
   *
   * @param {import("playwright-core").Page} page any page of a secure origin
   * @param {object} endpoint a WebRtcEndpoint of the client
   * @param {{send?: boolean, receive?: boolean, data?: boolean, bundled?: boolean, serverOffers?: boolean,
   *   only?: (line: string) => boolean, layers?: {codec: string, encodings: object[]},
   *   munge?: (sdp: string) => string}} what
   *   `bundled: false` lets every m-line have a transport of its own; `serverOffers` turns the roles round; `only`
   *   says which of the server's candidates the browser learns; `layers` lets it send 1280 × 720 in several qualities;
   *   `munge` changes its offer before the browser itself takes it
   * @returns {Promise<KurentoPeer>}
   */
  static async connect(page, endpoint, what) {
    const peer = new KurentoPeer(page);
    const fromServer = [];
    let answered = false;
    const { only = () => true, munge = null, ...shape } = what;
    shape.munged = munge !== null;
    const deliver = (candidate) => page.evaluate(add, [peer.#name, candidate]);
    endpoint.on("IceCandidateFound", ({ candidate }) => {
      if (!only(candidate.candidate)) {
        return;
      }
      if (answered) {
        deliver(candidate).catch(() => undefined);
      } else {
        fromServer.push(candidate);
      }
    });
    await page.exposeFunction(`${peer.#name}Candidate`, async ({ candidate, sdpMid, sdpMLineIndex }) => {
      await endpoint.addIceCandidate(iceCandidate({ candidate, sdpMid, sdpMLineIndex }));
    });
    if (what.serverOffers) {
      const offer = await endpoint.generateOffer();
      const answer = await page.evaluate(offerIn, [peer.#name, shape, offer]);
      await endpoint.processAnswer(answer);
      await endpoint.gatherCandidates();
    } else {
      let offer = await page.evaluate(offerIn, [peer.#name, shape, null]);
      if (munge !== null) {
        offer = await page.evaluate(takeMunged, [peer.#name, munge(offer)]);
      }
      const answer = await endpoint.processOffer(what.bundled === false ? withoutBundle(offer) : offer);
      await endpoint.gatherCandidates();
      await page.evaluate(acceptIn, [peer.#name, answer]);
    }
    answered = true;
    await Promise.all(fromServer.splice(0).map(deliver));
    await until(`${peer.#name} is connected`, () => page.evaluate(stateIn, peer.#name));
    return peer;
  }

  /** What the connection measured on what it receives. */
  received() {
    return this.#page.evaluate(async (name) => {
      const report = [...(await window[name].peer.getStats()).values()];
      const of = (kind) => report.find((entry) => entry.type === "inbound-rtp" && entry.kind === kind) ?? {};
      const [video, audio] = [of("video"), of("audio")];
      return {
        frames: video.framesDecoded ?? 0,
        frozen: video.totalFreezesDuration ?? 0,
        lost: video.packetsLost ?? 0,
        energy: audio.totalAudioEnergy ?? 0,
      };
    }, this.#name);
  }

  /** Negotiates once more, with the browser's offer; `restart` is an ICE restart. */
  async renegotiate(endpoint, { restart = false, change = null } = {}) {
    const offer = await this.#page.evaluate(offerAgain, [this.#name, restart, change]);
    const answer = await endpoint.processOffer(offer);
    await this.#page.evaluate(acceptIn, [this.#name, answer]);
  }

  /** Takes an offer of the server in the middle of the call, and answers it. */
  async takeOffer(endpoint, offer) {
    const answer = await this.#page.evaluate(answerAgain, [this.#name, offer]);
    await endpoint.processAnswer(answer);
  }

  /** The user name fragment that the browser's packets are checked with now. */
  selected() {
    return this.#page.evaluate(async (name) => {
      const report = [...(await window[name].peer.getStats()).values()];
      const transport = report.find((entry) => entry.type === "transport");
      return { ufrag: transport.iceLocalUsernameFragment, state: window[name].peer.iceConnectionState };
    }, this.#name);
  }

  /** The bitrate in bit/s that the browser's video encoder is set to. */
  videoTarget() {
    return this.#page.evaluate(async (name) => {
      const report = [...(await window[name].peer.getStats()).values()];
      return report.find((entry) => entry.type === "outbound-rtp" && entry.kind === "video")?.targetBitrate ?? 0;
    }, this.#name);
  }

  /** What DTLS agreed on, as the browser says. */
  security() {
    return this.#page.evaluate(async (name) => {
      const report = [...(await window[name].peer.getStats()).values()];
      const transport = report.find((entry) => entry.type === "transport");
      const certificate = report.find((entry) => entry.id === transport.remoteCertificateId);
      return { srtp: transport.srtpCipher, tls: transport.tlsVersion, dtls: transport.dtlsCipher, certificate: certificate?.fingerprint };
    }, this.#name);
  }

  /** The picture that is received: its height and what decoding it met with. */
  picture() {
    return this.#page.evaluate(async (name) => {
      const report = [...(await window[name].peer.getStats()).values()];
      const video = report.find((entry) => entry.type === "inbound-rtp" && entry.kind === "video") ?? {};
      return {
        height: video.frameHeight ?? 0,
        frames: video.framesDecoded ?? 0,
        bytes: video.bytesReceived ?? 0,
        plis: video.pliCount ?? 0,
        freezes: video.freezeCount ?? 0,
      };
    }, this.#name);
  }

  /** What is sent of the camera: heights of the layers that are active. */
  layers() {
    return this.#page.evaluate(async (name) => {
      const report = [...(await window[name].peer.getStats()).values()];
      const sent = report.filter((entry) => entry.type === "outbound-rtp" && entry.kind === "video");
      return sent.map(({ rid, frameHeight, framesPerSecond, scalabilityMode, qualityLimitationReason }) => ({
        rid, height: frameHeight ?? 0, rate: framesPerSecond ?? 0, mode: scalabilityMode, limit: qualityLimitationReason,
      }));
    }, this.#name);
  }

  /** The browser's own address of the connection. */
  address() {
    return this.#page.evaluate(async (name) => {
      const report = await window[name].peer.getStats();
      const pair = [...report.values()].find((entry) => entry.type === "candidate-pair" && entry.nominated);
      const local = report.get(pair.localCandidateId);
      return { address: local.address, port: local.port };
    }, this.#name);
  }

  /** Waits until `count` more frames have been decoded. */
  async watch(count) {
    const { frames } = await this.received();
    await until(`${count} more frames than ${frames}`, async () => {
      const now = await this.received();
      return now.frames >= frames + count || Promise.reject(new Error(JSON.stringify(now)));
    });
  }

  /** Sends through the data channel as soon as it is open. */
  async say(message) {
    await until("the data channel is open", () =>
      this.#page.evaluate((name) => window[name].channel.readyState === "open", this.#name),
    );
    await this.#page.evaluate(([name, text]) => window[name].channel.send(text), [this.#name, message]);
  }

  /** What came through data channels. */
  heard() {
    return this.#page.evaluate((name) => window[name].heard, this.#name);
  }
}

/** An offer whose m-lines are transports of their own, as before RFC 8843. */
function withoutBundle(sdp) {
  return sdp.replace(/^a=group:BUNDLE.*\r\n/m, "");
}

// The rest runs in the page.

/** Makes an offer, or the answer to one. */
async function offerIn([name, { send = false, receive = false, data = false, bundled = true, layers, munged }, offer]) {
  const peer = new RTCPeerConnection({ bundlePolicy: bundled ? "balanced" : "max-compat" });
  const held = { peer, heard: [], channel: null };
  window[name] = held;
  peer.addEventListener("icecandidate", ({ candidate }) => {
    if (candidate !== null && candidate.candidate !== "") {
      window[`${name}Candidate`](candidate.toJSON());
    }
  });
  const listen = (channel) => channel.addEventListener("message", (event) => held.heard.push(event.data));
  peer.addEventListener("datachannel", ({ channel }) => listen(channel));
  if (send) {
    const size = layers ? { width: 1280, height: 720 } : {};
    const media = await navigator.mediaDevices.getUserMedia({ audio: true, video: { frameRate: 30, ...size } });
    for (const track of media.getTracks()) {
      if (layers && track.kind === "video") {
        const options = { direction: "sendonly", streams: [media], sendEncodings: layers.encodings };
        const transceiver = peer.addTransceiver(track, options);
        const { codecs } = RTCRtpSender.getCapabilities("video");
        const taken = [`video/${layers.codec}`, "video/rtx"];
        transceiver.setCodecPreferences(codecs.filter((one) => taken.includes(one.mimeType)));
      } else if (offer === null) {
        peer.addTransceiver(track, { direction: receive ? "sendrecv" : "sendonly", streams: [media] });
      } else {
        // Unlike a transceiver of our own, an added track takes the m-line of the offer.
        peer.addTrack(track, media);
      }
    }
  } else if (receive && offer === null) {
    peer.addTransceiver("audio", { direction: "recvonly" });
    peer.addTransceiver("video", { direction: "recvonly" });
  }
  if (data) {
    held.channel = peer.createDataChannel("chat");
    listen(held.channel);
  }
  if (receive) {
    const media = new MediaStream();
    const video = document.createElement("video");
    video.autoplay = true;
    video.srcObject = media;
    document.body.append(video);
    peer.addEventListener("track", ({ track }) => media.addTrack(track));
  }
  if (offer !== null) {
    await peer.setRemoteDescription({ type: "offer", sdp: offer });
  }
  if (munged) {
    return (await peer.createOffer()).sdp;
  }
  await peer.setLocalDescription();
  return peer.localDescription.sdp;
}

async function takeMunged([name, sdp]) {
  const { peer } = window[name];
  await peer.setLocalDescription({ type: "offer", sdp });
  return peer.localDescription.sdp;
}

async function offerAgain([name, iceRestart, change]) {
  const { peer } = window[name];
  if (change !== null) {
    const of = (transceiver) => transceiver.receiver.track.kind === change.kind;
    peer.getTransceivers().find(of).direction = change.direction;
  }
  await peer.setLocalDescription(await peer.createOffer({ iceRestart }));
  return peer.localDescription.sdp;
}

async function answerAgain([name, sdp]) {
  const { peer } = window[name];
  await peer.setRemoteDescription({ type: "offer", sdp });
  await peer.setLocalDescription();
  return peer.localDescription.sdp;
}

function acceptIn([name, sdp]) {
  return window[name].peer.setRemoteDescription({ type: "answer", sdp });
}

function add([name, { candidate, sdpMid, sdpMLineIndex }]) {
  return window[name].peer.addIceCandidate({ candidate, sdpMid, sdpMLineIndex });
}

function stateIn(name) {
  return window[name].peer.connectionState === "connected";
}
