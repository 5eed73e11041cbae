/** The parts of a browser that Node.js does not have: media streams and peer connections without media. */

export class FakeTrack extends EventTarget {
  enabled = true;
  readyState = "live";
  constructor(readonly kind: "audio" | "video") {
    super();
  }
  stop(): void {
    this.readyState = "ended";
  }
  /** Ends as when its device is gone, or the user no longer shares it. */
  end(): void {
    this.stop();
    this.dispatchEvent(new Event("ended"));
  }
}

export class FakeMediaStream {
  constructor(private readonly tracks: FakeTrack[] = []) {}
  getTracks(): FakeTrack[] {
    return [...this.tracks];
  }
  getAudioTracks(): FakeTrack[] {
    return this.tracks.filter((track) => track.kind === "audio");
  }
  getVideoTracks(): FakeTrack[] {
    return this.tracks.filter((track) => track.kind === "video");
  }
  addTrack(track: FakeTrack): void {
    if (!this.tracks.includes(track)) {
      this.tracks.push(track);
    }
  }
  removeTrack(track: FakeTrack): void {
    this.tracks.splice(this.tracks.indexOf(track), 1);
  }
}

type Handler<Event> = ((event: Event) => void) | null;

export class FakePeerConnection {
  static made: FakePeerConnection[] = [];
  onicecandidate: Handler<{ candidate: unknown }> = null;
  ontrack: Handler<{ track: FakeTrack }> = null;
  onconnectionstatechange: Handler<unknown> = null;
  connectionState = "new";
  localDescription: { sdp: string } | null = null;
  remoteSdp: string | null = null;
  readonly senders: { track: FakeTrack | null }[] = [];
  restarts = 0;
  /** What `getStats` tells. */
  stats: unknown[] = [];
  readonly transceivers: [string, string][] = [];
  readonly rids: string[] = [];
  readonly candidates: unknown[] = [];
  channel: { readyState: string; sent: string[]; onmessage: Handler<{ data: unknown }> } | null = null;
  closed = false;

  constructor() {
    FakePeerConnection.made.push(this);
  }
  addTransceiver(what: string | FakeTrack, init: { direction: string; sendEncodings?: { rid: string }[] }) {
    const { direction, sendEncodings = [] } = init;
    this.rids.push(...sendEncodings.map(({ rid }) => rid));
    this.transceivers.push([typeof what === "string" ? what : what.kind, direction]);
    const sender = { track: typeof what === "string" ? null : what, replaceTrack: (track: FakeTrack | null) => void (sender.track = track) };
    this.senders.push(sender);
    return { sender };
  }
  restartIce(): void {
    this.restarts += 1;
  }
  getStats() {
    return Promise.resolve(new Map<string, unknown>(this.stats.map((entry, index) => [String(index), entry])));
  }
  /** Goes to another state, and says so. */
  become(state: string): void {
    this.connectionState = state;
    this.onconnectionstatechange?.(undefined);
  }
  createDataChannel() {
    const channel = {
      readyState: "connecting",
      sent: [] as string[],
      onmessage: null,
      send: (data: string) => void channel.sent.push(data),
      close: () => (channel.readyState = "closed"),
    };
    this.channel = channel;
    return channel;
  }
  createOffer() {
    return Promise.resolve({ type: "offer", sdp: `offer ${FakePeerConnection.made.indexOf(this)}` });
  }
  setLocalDescription(description: { sdp: string }): Promise<void> {
    this.localDescription = description;
    return Promise.resolve();
  }
  setRemoteDescription({ sdp }: { sdp: string }): Promise<void> {
    if (sdp === "bad") {
      return Promise.reject(new Error("bad answer"));
    }
    this.remoteSdp = sdp;
    return Promise.resolve();
  }
  addIceCandidate(candidate: unknown): Promise<void> {
    if (this.remoteSdp === null) {
      return Promise.reject(new Error("no remote description"));
    }
    this.candidates.push(candidate);
    return Promise.resolve();
  }
  close(): void {
    this.closed = true;
  }
}

/** What `getUserMedia` does next. */
export const devices = {
  asked: [] as unknown[],
  /** What `enumerateDevices` lists. */
  there: [] as { kind: string; deviceId: string; label: string }[],
  fail: null as ((constraints: { audio: unknown; video: unknown }) => Error | null) | null,
};

/** Puts the fakes where the client looks for them, and forgets the earlier test. */
export function installFakeBrowser(): void {
  FakePeerConnection.made = [];
  devices.asked = [];
  devices.fail = null;
  devices.there = [];
  const getUserMedia = (constraints: { audio: unknown; video: unknown }): Promise<FakeMediaStream> => {
    devices.asked.push(constraints);
    const error = devices.fail?.(constraints) ?? null;
    if (error !== null) {
      return Promise.reject(error);
    }
    const tracks = [];
    if (constraints.audio !== false) {
      tracks.push(new FakeTrack("audio"));
    }
    if (constraints.video !== false) {
      tracks.push(new FakeTrack("video"));
    }
    return Promise.resolve(new FakeMediaStream(tracks));
  };
  const define = (name: string, value: unknown): void => {
    Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
  };
  define("RTCPeerConnection", FakePeerConnection);
  define("MediaStream", FakeMediaStream);
  const mediaDevices = Object.assign(new EventTarget(), {
    getUserMedia,
    getDisplayMedia: ({ audio }: { audio: unknown }) => getUserMedia({ audio, video: true }),
    enumerateDevices: () => Promise.resolve(devices.there),
  });
  define("navigator", { mediaDevices });
}
