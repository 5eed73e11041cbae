/** What the pages of all examples have in common: the socket to the program, and WebRTC connections. */

/** The socket to the program that served this page. Messages are objects with a member `type`. */
export class Server {
  #socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws`);
  #open = new Promise((resolve) => this.#socket.addEventListener("open", resolve, { once: true }));

  /** @param {Record<string, (message: object) => void>} handlers by type of message */
  constructor(handlers) {
    this.#socket.addEventListener("message", ({ data }) => {
      const message = JSON.parse(data);
      handlers[message.type]?.(message);
    });
    this.#socket.addEventListener("close", () => tell("The program has ended. Reload the page when it runs again."));
  }

  async send(message) {
    await this.#open;
    this.#socket.send(JSON.stringify(message));
  }
}

/** One connection to the media server. */
export class Peer {
  #connection = new RTCPeerConnection();
  #server;
  #of;
  #media;
  #offered;
  #answered;
  #answer = new Promise((resolve) => {
    this.#answered = resolve;
  });

  /**
   * @param {Server} server
   * @param {{of?: string}} options whose media this is, on pages with several connections
   */
  constructor(server, { of } = {}) {
    this.#server = server;
    this.#of = of;
  }

  /**
   * Makes an offer.
   *
   * @param {{local?: HTMLVideoElement, remote?: HTMLMediaElement, audio?: boolean, talk?: string[]}} what show the
   *   own camera in `local` and send it; play what is received in `remote`; or only `talk`, in these codecs
   * @returns {Promise<string>} the offer, for the program
   */
  async offer({ local, remote, audio = true, talk }) {
    if (talk) {
      this.#media = await navigator.mediaDevices.getUserMedia({ audio: true });
      const [track] = this.#media.getAudioTracks();
      const options = { direction: "sendrecv", streams: [this.#media] };
      const transceiver = this.#connection.addTransceiver(track, options);
      transceiver.setCodecPreferences(codecs("audio", talk));
    } else if (local) {
      this.#media = await navigator.mediaDevices.getUserMedia({ audio, video: true });
      local.srcObject = this.#media;
      const direction = remote ? "sendrecv" : "sendonly";
      for (const track of this.#media.getTracks()) {
        this.#connection.addTransceiver(track, { direction, streams: [this.#media] });
      }
    } else {
      if (audio) {
        this.#connection.addTransceiver("audio", { direction: "recvonly" });
      }
      this.#connection.addTransceiver("video", { direction: "recvonly" });
    }
    if (remote) {
      const received = new MediaStream();
      remote.srcObject = received;
      this.#connection.addEventListener("track", ({ track }) => received.addTrack(track));
    }
    // Candidates follow the offer, never the other way round.
    const sent = new Promise((resolve) => {
      this.#offered = resolve;
    });
    this.#connection.addEventListener("icecandidate", async ({ candidate }) => {
      if (candidate?.candidate) {
        await sent;
        this.#server.send({ type: "candidate", of: this.#of, candidate: candidate.toJSON() });
      }
    });
    await this.#connection.setLocalDescription();
    return this.#connection.localDescription.sdp;
  }

  /** Sends a message to the program that carries the offer. */
  async start(message, what) {
    const sdp = await this.offer(what);
    await this.#server.send({ ...message, sdp });
    this.#offered();
  }

  /** The program's answer. */
  async answer({ sdp }) {
    await this.#connection.setRemoteDescription({ type: "answer", sdp });
    this.#answered();
  }

  /** A candidate of the media server. */
  async candidate({ candidate }) {
    await this.#answer;
    await this.#connection.addIceCandidate(candidate);
  }

  close() {
    this.#connection.close();
    for (const track of this.#media?.getTracks() ?? []) {
      track.stop();
    }
  }
}

/** What this browser knows of these codecs, in their order. */
function codecs(kind, names) {
  const known = RTCRtpReceiver.getCapabilities(kind).codecs;
  return names.flatMap((name) => {
    const type = `${kind}/${name}`.toLowerCase();
    return known.filter(({ mimeType }) => mimeType.toLowerCase() === type);
  });
}

/** Tells the person something; nothing clears it. */
export function tell(text) {
  document.querySelector("#status").textContent = text;
}

/** The element with this id. */
export function element(id) {
  return document.getElementById(id);
}

/** Runs a handler at each click, and tells what it complains about. */
export function onClick(id, handler) {
  element(id).addEventListener("click", async () => {
    try {
      tell("");
      await handler();
    } catch (error) {
      tell(String(error));
    }
  });
}

/**
 * Pages with one connection that sends the camera and plays what comes back: buttons `start` and `stop`, videos `local`
 * and `remote`.
 *
 * @param {Record<string, (message: object) => void>} handlers of what else the program says, by type of message
 */
export function thereAndBack(handlers = {}) {
  let peer = null;
  const server = new Server({
    answer: (message) => peer?.answer(message),
    candidate: (message) => peer?.candidate(message),
    error: ({ message }) => tell(message),
    ...handlers,
  });

  function stop() {
    peer?.close();
    peer = null;
    return server.send({ type: "stop" });
  }

  onClick("start", async () => {
    await stop();
    peer = new Peer(server);
    await peer.start({ type: "start" }, { local: element("local"), remote: element("remote") });
  });
  onClick("stop", stop);
}
