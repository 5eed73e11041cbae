/** A browser that sends or receives any number of tracks over one connection, and changes them in the call. */

import kurento from "kurento-client";

import { until } from "./wait.mjs";

const iceCandidate = kurento.getComplexType("IceCandidate");

/** Numbers the peers of a page. */
let count = 0;

export class StreamsPeer {
  #page;
  #endpoint;
  #name;
  #bundled;

  constructor(page, endpoint, bundled) {
    this.#page = page;
    this.#endpoint = endpoint;
    this.#bundled = bundled;
    count += 1;
    this.#name = `streams${count}`;
  }

  /** A connection without m-lines; `bundled: false` gives each of them a transport of its own. */
  static async open(page, endpoint, { bundled = true } = {}) {
    const peer = new StreamsPeer(page, endpoint, bundled);
    await page.exposeFunction(`${peer.#name}Candidate`, async ({ candidate, sdpMid, sdpMLineIndex }) => {
      await endpoint.addIceCandidate(iceCandidate({ candidate, sdpMid, sdpMLineIndex }));
    });
    await page.evaluate(openIn, [peer.#name, bundled]);
    return peer;
  }

  /** Negotiates with the browser's offer; the first time candidates are gathered, too. Returns the server's answer. */
  async negotiate({ gather = false } = {}) {
    const offer = await this.#page.evaluate(offerIn, this.#name);
    const answer = await this.#endpoint.processOffer(this.#bundled ? offer : withoutBundle(offer));
    if (gather) {
      const gathered = new Promise((resolve) => this.#endpoint.on("IceGatheringDone", resolve));
      const found = [];
      this.#endpoint.on("IceCandidateFound", ({ candidate }) => found.push(candidate));
      await this.#endpoint.gatherCandidates();
      await gathered;
      await this.#page.evaluate(acceptIn, [this.#name, answer]);
      for (const candidate of found) {
        await this.#page.evaluate(addIn, [this.#name, candidate]);
      }
    } else {
      await this.#page.evaluate(acceptIn, [this.#name, answer]);
    }
    await until(`${this.#name} is connected`, () =>
      this.#page.evaluate((name) => window[name].peer.connectionState === "connected", this.#name),
    );
    return answer;
  }

  /** Sends one more track: `microphone`, `camera`, or a picture of the given shape (width by height). */
  send(what) {
    return this.#page.evaluate(sendIn, [this.#name, what]);
  }

  /** Asks for one more track of a kind. */
  receive(kind) {
    return this.#page.evaluate(([name, of]) => {
      return void window[name].peer.addTransceiver(of, { direction: "recvonly" });
    }, [this.#name, kind]);
  }

  /** The mids of the m-lines in use, in their order, as agreed on last. */
  mids(kind) {
    return this.#page.evaluate(([name, of]) => {
      const live = window[name].peer.getTransceivers().filter((it) => it.mid !== null && !it.stopped);
      return live.filter((it) => it.receiver.track.kind === of).map((it) => it.mid);
    }, [this.#name, kind]);
  }

  /** Turns an m-line to another direction, or stops it for good. */
  turn(mid, direction) {
    return this.#page.evaluate(([name, of, to]) => {
      const transceiver = window[name].peer.getTransceivers().find((it) => it.mid === of);
      if (to === "stopped") {
        transceiver.stop();
      } else {
        transceiver.direction = to;
      }
    }, [this.#name, mid, direction]);
  }

  /** What came by an m-line so far. */
  received(mid) {
    return this.#page.evaluate(async ([name, of]) => {
      const report = [...(await window[name].peer.getStats()).values()];
      const entry = report.find((it) => it.type === "inbound-rtp" && it.mid === of) ?? {};
      return {
        frames: entry.framesDecoded ?? 0,
        shape: entry.frameHeight ? entry.frameWidth / entry.frameHeight : 0,
        lost: entry.packetsLost ?? 0,
        energy: entry.totalAudioEnergy ?? 0,
      };
    }, [this.#name, mid]);
  }

  /** Waits until an m-line shows that many more frames, all of the given shape at the end. */
  async watch(mid, more, shape) {
    const { frames } = await this.received(mid);
    await until(`${more} more frames of ${mid} with shape ${shape}`, async () => {
      const now = await this.received(mid);
      const fits = now.frames >= frames + more && Math.abs(now.shape - shape) < 0.1;
      return fits || Promise.reject(new Error(JSON.stringify(now)));
    });
  }
}

/** An offer whose m-lines are transports of their own, as before RFC 8843. */
function withoutBundle(sdp) {
  return sdp.replace(/^a=group:BUNDLE.*\r\n/m, "").replace(/^a=bundle-only\r\n/gm, "");
}

// The rest runs in the page.

function openIn([name, bundled]) {
  const peer = new RTCPeerConnection({ bundlePolicy: bundled ? "balanced" : "max-compat" });
  window[name] = { peer };
  peer.addEventListener("icecandidate", ({ candidate }) => {
    if (candidate !== null && candidate.candidate !== "") {
      window[`${name}Candidate`](candidate.toJSON());
    }
  });
  // Each track plays in an element of its own: what nobody plays is not decoded.
  peer.addEventListener("track", ({ track }) => {
    const player = document.createElement("video");
    player.autoplay = true;
    player.srcObject = new MediaStream([track]);
    document.body.append(player);
  });
}

async function sendIn([name, what]) {
  const { peer } = window[name];
  let track;
  if (what === "microphone") {
    [track] = (await navigator.mediaDevices.getUserMedia({ audio: true })).getTracks();
  } else if (what === "camera") {
    [track] = (await navigator.mediaDevices.getUserMedia({ video: { width: 640, height: 480 } })).getTracks();
  } else {
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = what;
    const context = canvas.getContext("2d");
    let frame = 0;
    setInterval(() => {
      frame += 1;
      context.fillStyle = `hsl(${frame % 360} 80% 50%)`;
      context.fillRect(0, 0, canvas.width, canvas.height);
      context.fillStyle = "black";
      context.fillText(String(frame), 10, 20);
    }, 50);
    [track] = canvas.captureStream(20).getTracks();
  }
  peer.addTransceiver(track, { direction: "sendonly", streams: [new MediaStream([track])] });
}

async function offerIn(name) {
  const { peer } = window[name];
  await peer.setLocalDescription();
  return peer.localDescription.sdp;
}

function acceptIn([name, sdp]) {
  return window[name].peer.setRemoteDescription({ type: "answer", sdp });
}

function addIn([name, { candidate, sdpMid, sdpMLineIndex }]) {
  return window[name].peer.addIceCandidate({ candidate, sdpMid, sdpMLineIndex });
}
