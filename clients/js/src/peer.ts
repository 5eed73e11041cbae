/**
 * One RTCPeerConnection towards the media server: publishes tracks, receives tracks, or both.
 *
 * The client always makes the offer (unified plan, one transceiver per kind) and trickles candidates. Candidates of
 * the server that come before its answer wait for it.
 */

/** Server candidates that are kept until the answer is there; further ones are dropped. */
export const MAX_EARLY_CANDIDATES = 256;

/** A quarter, half and the whole of the picture's height; browsers leave out what makes no sense for small pictures. */
const SIMULCAST: RTCRtpEncodingParameters[] = [
  { rid: "q", scaleResolutionDownBy: 4 },
  { rid: "h", scaleResolutionDownBy: 2 },
  { rid: "f", scaleResolutionDownBy: 1 },
];

/** What a connection sends and receives, and who is told about it. */
export interface WebRtcPeerOptions {
  /** Media to send; absent or without tracks of a kind: that kind is not sent. */
  sendStream?: MediaStream | null;
  /** Whether to ask for audio of the server. */
  receiveAudio: boolean;
  /** Whether to ask for video of the server. */
  receiveVideo: boolean;
  /** Sends video in several qualities, if the browser can. */
  simulcast?: boolean;
  /** Opens a data channel to the server. */
  dataChannel?: boolean;
  /** ICE servers and the like. */
  configuration?: RTCConfiguration;
  /** Called with every local candidate. */
  onCandidate: (candidate: RTCIceCandidate) => void;
  /** Called with every track of the server, and the one stream that holds all of them. */
  onRemoteTrack?: (track: MediaStreamTrack, stream: MediaStream) => void;
  /** Called when the state of the connection changes. */
  onConnectionState?: (state: RTCPeerConnectionState) => void;
  /** Called with every message of the data channel. */
  onData?: (data: unknown) => void;
}

/** A peer connection with the negotiation that Kurento servers expect. */
export class WebRtcPeer {
  /** The browser's own object, e.g. for `getStats()`. */
  readonly peerConnection: RTCPeerConnection;
  readonly #options: WebRtcPeerOptions;
  readonly #dataChannel: RTCDataChannel | null;
  readonly #senders = new Map<"audio" | "video", RTCRtpSender>();
  #earlyCandidates: RTCIceCandidateInit[] = [];
  #answered = false;
  #remoteStream: MediaStream | null = null;
  #disposed = false;

  constructor(options: WebRtcPeerOptions) {
    this.#options = options;
    const connection = new RTCPeerConnection(options.configuration);
    this.peerConnection = connection;
    connection.onicecandidate = ({ candidate }) => {
      // An empty candidate string marks the end of one generation; the protocol has no word for it.
      if (candidate !== null && candidate.candidate !== "") {
        options.onCandidate(candidate);
      }
    };
    connection.ontrack = ({ track }) => this.#received(track);
    connection.onconnectionstatechange = () => options.onConnectionState?.(connection.connectionState);
    this.#addTransceiver("audio", options.receiveAudio);
    this.#addTransceiver("video", options.receiveVideo);
    this.#dataChannel = options.dataChannel === true ? connection.createDataChannel("data") : null;
    if (this.#dataChannel !== null) {
      this.#dataChannel.onmessage = ({ data }) => options.onData?.(data);
    }
  }

  /** Makes the offer, applies it locally and returns its SDP. */
  async generateOffer(): Promise<string> {
    await this.peerConnection.setLocalDescription(await this.peerConnection.createOffer());
    return this.peerConnection.localDescription?.sdp ?? "";
  }

  /**
   * Makes an offer that looks for a new way to the server, after a change of the network; media stays what it is.
   * Candidates that come before the answer wait for it, for they belong to the new way.
   */
  async generateRestartOffer(): Promise<string> {
    this.#answered = false;
    this.peerConnection.restartIce();
    return this.generateOffer();
  }

  /**
   * Sends `track` instead of what is sent of its kind, without a word to the server; null sends nothing of `kind`.
   * False if nothing of this kind was ever sent.
   */
  async replaceTrack(kind: "audio" | "video", track: MediaStreamTrack | null): Promise<boolean> {
    const sender = this.#senders.get(kind);
    await sender?.replaceTrack(track);
    return sender !== undefined;
  }

  /** Applies the server's answer and every candidate that came before it. */
  async processAnswer(sdp: string): Promise<void> {
    await this.peerConnection.setRemoteDescription({ type: "answer", sdp });
    this.#answered = true;
    const candidates = this.#earlyCandidates;
    this.#earlyCandidates = [];
    await Promise.all(candidates.map((candidate) => this.#apply(candidate)));
  }

  /** Takes a candidate of the server, at any time. */
  async addIceCandidate(candidate: RTCIceCandidateInit): Promise<void> {
    if (this.#disposed) {
      return;
    }
    if (this.#answered) {
      await this.#apply(candidate);
    } else if (this.#earlyCandidates.length < MAX_EARLY_CANDIDATES) {
      this.#earlyCandidates.push(candidate);
    }
  }

  /** Whether the sent audio is live; false sends silence and tells nobody. */
  get audioEnabled(): boolean {
    return isEnabled(this.#options.sendStream?.getAudioTracks());
  }

  set audioEnabled(enabled: boolean) {
    setEnabled(this.#options.sendStream?.getAudioTracks(), enabled);
  }

  /** Whether the sent video is live; false sends black pictures and tells nobody. */
  get videoEnabled(): boolean {
    return isEnabled(this.#options.sendStream?.getVideoTracks());
  }

  set videoEnabled(enabled: boolean) {
    setEnabled(this.#options.sendStream?.getVideoTracks(), enabled);
  }

  /** The data channel, or null when none was asked for. */
  get dataChannel(): RTCDataChannel | null {
    return this.#dataChannel;
  }

  /** What is sent, or null. */
  getLocalStream(): MediaStream | null {
    return this.#options.sendStream ?? null;
  }

  /** What is received, or null before the first track. */
  getRemoteStream(): MediaStream | null {
    return this.#remoteStream;
  }

  /** Sends over the data channel; throws if it is not open. */
  send(data: string): void {
    if (this.#dataChannel?.readyState !== "open") {
      throw new Error("The data channel is not open");
    }
    this.#dataChannel.send(data);
  }

  /** Closes the connection. The tracks that were sent go on living. */
  dispose(): void {
    if (this.#disposed) {
      return;
    }
    this.#disposed = true;
    this.#earlyCandidates = [];
    this.peerConnection.onicecandidate = null;
    this.peerConnection.ontrack = null;
    this.peerConnection.onconnectionstatechange = null;
    this.#dataChannel?.close();
    this.peerConnection.close();
  }

  #addTransceiver(kind: "audio" | "video", receive: boolean): void {
    const stream = this.#options.sendStream ?? null;
    const track = (kind === "audio" ? stream?.getAudioTracks() : stream?.getVideoTracks())?.[0];
    if (stream !== null && track !== undefined) {
      const direction = receive ? "sendrecv" : "sendonly";
      const init: RTCRtpTransceiverInit = { direction, streams: [stream] };
      if (kind === "video" && this.#options.simulcast === true) {
        init.sendEncodings = SIMULCAST;
      }
      this.#senders.set(kind, this.peerConnection.addTransceiver(track, init).sender);
    } else if (receive) {
      const transceiver: RTCRtpTransceiver & HeaderExtensionControl = this.peerConnection.addTransceiver(kind, {
        direction: "recvonly",
      });
      if (kind === "video") {
        askForDependencies(transceiver);
      }
    }
  }

  #received(track: MediaStreamTrack): void {
    // A stream of our own: whether the server's answer groups its tracks does not matter.
    this.#remoteStream ??= new MediaStream();
    this.#remoteStream.addTrack(track);
    this.#options.onRemoteTrack?.(track, this.#remoteStream);
  }

  async #apply(candidate: RTCIceCandidateInit): Promise<void> {
    try {
      await this.peerConnection.addIceCandidate(candidate);
    } catch (error) {
      // One candidate that this browser cannot use is no reason to give up the connection.
      console.warn("A candidate of the server was refused:", error);
    }
  }
}

function isEnabled(tracks: MediaStreamTrack[] | undefined): boolean {
  return tracks?.some((track) => track.enabled) ?? false;
}

function setEnabled(tracks: MediaStreamTrack[] | undefined, enabled: boolean): void {
  for (const track of tracks ?? []) {
    track.enabled = enabled;
  }
}

/** What the WebRTC Extensions draft adds to transceivers (section 5.2); not every browser has it. */
interface HeaderExtensionControl {
  getHeaderExtensionsToNegotiate?(): { uri: string; direction: string }[];
  setHeaderExtensionsToNegotiate?(extensions: { uri: string; direction: string }[]): void;
}

/**
 * Lets the server say which pictures of AV1 depend on which others, so that it can send more than the smallest ones.
 * Browsers know the header extension but do not offer it by themselves.
 */
function askForDependencies(transceiver: HeaderExtensionControl): void {
  const extensions = transceiver.getHeaderExtensionsToNegotiate?.();
  if (extensions !== undefined) {
    const wanted = ({ uri }: { uri: string }): boolean => uri.includes("dependency-descriptor");
    transceiver.setHeaderExtensionsToNegotiate?.(
      extensions.map((extension) => (wanted(extension) ? { ...extension, direction: "sendrecv" } : extension)),
    );
  }
}
