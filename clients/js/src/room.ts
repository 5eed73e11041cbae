/**
 * One room: who is in it, what they publish, and everything the server tells about it.
 *
 * Participants and streams are kept by name and by global stream id. Notifications may come in any order and twice
 * (the server does not repeat what it sent while a connection was down), so each is applied to what is known.
 */

import { Emitter, type Listener } from "./events.js";
import { ServerError } from "./errors.js";
import type { JsonObject, JsonRpcClient, ResponseCallback } from "./jsonrpc.js";
import { Participant } from "./participant.js";
import type { AudioLevel, RoomEvents } from "./room-events.js";
import { SpeakerMonitor } from "./speaker.js";
import type { Stream, StreamOptions } from "./stream.js";

/** The server knows nobody of that name in this room. */
const USER_NOT_FOUND = 102;
/** The user is there, but publishes nothing. */
const USER_NOT_STREAMING = 105;

/** Options of a room. */
export interface RoomOptions {
  /** Room name. */
  room: string;
  /** Our user name, unique in the room. */
  user: string;
  /** Watch every stream as soon as it is published: default true. */
  subscribeToStreams?: boolean;
  /** Milliseconds between two `update-main-speaker` events: default 1500. */
  updateSpeakerInterval?: number;
  /** Level in dB above which somebody speaks: default -50. */
  thresholdSpeaker?: number;
  /** Ask the server who speaks (`active-speaker`): default false. Servers that cannot tell ignore it. */
  activeSpeaker?: boolean;
  /** Ask the server how loud everybody is (`audio-levels`): default false. Servers that cannot tell ignore it. */
  audioLevels?: boolean;
  /** Ask the server which quality of each stream comes (`video-layer`): default false. Servers that cannot tell ignore it. */
  videoLayers?: boolean;
}

/** How a stream of somebody else is shown. */
export interface VideoPreference {
  /** The stream. */
  stream: Stream;
  /** Lines of the picture that are enough; 0, the default, for as many as there are. */
  height?: number;
  /** Streams with greater numbers come first where not everything fits: 0 to 255, default 0. */
  priority?: number;
}

/** A room that we are in, or about to join. */
export class Room {
  /** Room name. */
  readonly name: string;
  /** ICE servers and the like, for every peer connection of this room. */
  readonly rtcConfiguration: RTCConfiguration;
  readonly #rpc: JsonRpcClient;
  readonly #subscribeToStreams: boolean;
  readonly #updateSpeakerInterval: number;
  /** Members of `joinRoom` that ask for more than everybody gets. */
  readonly #wishes: JsonObject = {};
  readonly #events = new Emitter<RoomEvents>();
  readonly #participants = new Map<string, Participant>();
  readonly #streams = new Map<string, Stream>();
  readonly #localParticipant: Participant;
  readonly #speakers: SpeakerMonitor;
  #speaking: string[] = [];
  #speakerTimer: ReturnType<typeof setInterval> | null = null;
  #connected = false;
  #closed = false;
  /** The server does not know the request: it is not bothered again. */
  #ignoresPreferences = false;

  /** Made by `KurentoRoom.Room`. */
  constructor(rpc: JsonRpcClient, options: RoomOptions, rtcConfiguration: RTCConfiguration) {
    this.name = options.room;
    this.rtcConfiguration = rtcConfiguration;
    this.#rpc = rpc;
    this.#subscribeToStreams = options.subscribeToStreams ?? true;
    this.#updateSpeakerInterval = options.updateSpeakerInterval ?? 1500;
    for (const wish of ["activeSpeaker", "audioLevels", "videoLayers"] as const) {
      if (options[wish] === true) {
        this.#wishes[wish] = true;
      }
    }
    this.#speakers = new SpeakerMonitor({
      threshold: options.thresholdSpeaker ?? -50,
      onSpeaking: (id) => this.addParticipantSpeaking(id),
      onStopped: (id) => this.removeParticipantSpeaking(id),
    });
    this.#localParticipant = new Participant(this, true, options.user);
    this.#participants.set(options.user, this.#localParticipant);
  }

  /** Joins the room. Ends in `room-connected` or `error-room`. */
  connect(): void {
    const params: JsonObject = { user: this.#localParticipant.getID(), room: this.name, ...this.#wishes };
    if (this.#wantsDataChannel()) {
      params["dataChannels"] = true;
    }
    this.request("joinRoom", params, (error, result) => {
      if (this.#closed) {
        return;
      }
      if (error !== null) {
        this.emitEvent("error-room", [{ error }]);
        return;
      }
      this.#joined(result?.["value"]);
    });
  }

  /** Ourselves. */
  getLocalParticipant(): Participant {
    return this.#localParticipant;
  }

  /** Everybody, ourselves included, by user name. */
  getParticipants(): Record<string, Participant> {
    return Object.fromEntries(this.#participants);
  }

  /** Every known stream, by global id. */
  getStreams(): Record<string, Stream> {
    return Object.fromEntries(this.#streams);
  }

  /** True between joining and leaving. */
  isConnected(): boolean {
    return this.#connected;
  }

  /** True after leaving; a closed room stays closed. */
  isClosed(): boolean {
    return this.#closed;
  }

  /** Calls `listener` at every `name` event. */
  addEventListener<Name extends keyof RoomEvents>(name: Name, listener: Listener<RoomEvents[Name]>): void {
    this.#events.addListener(name, listener);
  }

  /** Stops calling `listener`. */
  removeEventListener<Name extends keyof RoomEvents>(name: Name, listener: Listener<RoomEvents[Name]>): void {
    this.#events.removeListener(name, listener);
  }

  /** Emits an event to the listeners of this room, with the list of their arguments. */
  emitEvent<Name extends keyof RoomEvents>(name: Name, args: RoomEvents[Name]): void {
    this.#events.emitEvent(name, args);
  }

  /** Watches a stream of somebody else, for the first time or again after {@link disconnect}. */
  subscribe(stream: Stream): void {
    stream.subscribe();
  }

  /**
   * Stops publishing (our own stream) or watching (anybody else's) and tells the server. Streams and participants
   * stay known: publish or subscribe again at any time. Video elements of the stream leave the page.
   */
  disconnect(stream: Stream): void {
    stream.dispose();
    if (stream.isLocal()) {
      this.#tell("unpublishVideo", {});
    } else {
      this.#tell("unsubscribeFromVideo", { sender: stream.getGlobalID() });
    }
  }

  /**
   * Tells the server how large streams of others are shown, so that it sends no more than can be seen of those that
   * come in several qualities. Each entry holds for its stream until it is told anew; it may precede `subscribe`.
   * Servers that know no such request are asked once, and ignored from then on.
   */
  setVideoPreferences(preferences: readonly VideoPreference[]): void {
    const entries = preferences
      .filter(({ stream }) => !stream.isLocal())
      .map(({ stream, height = 0, priority = 0 }) => ({ sender: stream.getGlobalID(), height, priority }));
    if (!this.#connected || this.#ignoresPreferences || entries.length === 0) {
      return;
    }
    this.request("setVideoPreferences", { preferences: entries }, (error) => {
      // That we are out of the room, or the connection is lost, says nothing about the server.
      const isOut = error instanceof ServerError && error.code === USER_NOT_FOUND;
      if (error !== null && !isOut && this.#rpc.isOpen) {
        this.#ignoresPreferences = true;
      }
    });
  }

  /**
   * Leaves the room and closes the connection. Local state is gone at once; the connection is closed when the
   * server has answered, or at once with `forced`.
   */
  leave(forced = false, rpc: JsonRpcClient = this.#rpc): void {
    if (this.#closed) {
      rpc.close();
      return;
    }
    // Without an open connection there is nobody to say goodbye to; the server's grace time does the rest.
    if (this.#connected && !forced && rpc.isOpen) {
      rpc.request("leaveRoom", {}, () => rpc.close());
    } else {
      rpc.close();
    }
    this.#dispose();
  }

  /** Applies a `participantJoined` notification. */
  onParticipantJoined(params: JsonObject): void {
    const id = params["id"];
    if (typeof id !== "string" || this.#participants.has(id)) {
      return;
    }
    this.#addParticipant(id);
  }

  /** Applies a `participantPublished` notification. */
  onParticipantPublished(params: JsonObject): void {
    const id = params["id"];
    if (typeof id !== "string" || id === this.#localParticipant.getID()) {
      return;
    }
    const participant = this.#participants.get(id) ?? this.#addParticipant(id);
    // Published again without an end in between: what we have is of a connection that is no more.
    this.#removeStreams(participant);
    const streams = this.#addStreams(participant, params["streams"]);
    this.emitEvent("participant-published", [{ participant }]);
    for (const stream of streams) {
      this.#autoSubscribe(stream);
      this.emitEvent("stream-added", [{ stream }]);
    }
  }

  /** Applies a `participantUnpublished` notification: the streams go, the participant stays. */
  onParticipantUnpublished(params: JsonObject): void {
    const participant = this.#remoteParticipant(params["name"]);
    if (participant !== undefined) {
      this.#removeStreams(participant);
      this.emitEvent("participant-unpublished", [{ participant }]);
    }
  }

  /** Applies a `participantLeft` notification. */
  onParticipantLeft(params: JsonObject): void {
    const participant = this.#remoteParticipant(params["name"]);
    if (participant !== undefined) {
      this.#participants.delete(participant.getID());
      this.emitEvent("participant-left", [{ participant }]);
      this.#removeStreams(participant);
    }
  }

  /** Applies a `participantEvicted` notification. */
  onParticipantEvicted(): void {
    this.emitEvent("participant-evicted", [{ localParticipant: this.#localParticipant }]);
  }

  /** Applies a `sendMessage` notification. */
  onNewMessage(params: JsonObject): void {
    const { room, user, message } = params;
    if (typeof room === "string" && typeof user === "string" && typeof message === "string") {
      this.emitEvent("newMessage", [{ room, user, message }]);
    }
  }

  /** Applies an `iceCandidate` notification; candidates about unknown participants are dropped. */
  recvIceCandidate(params: JsonObject): void {
    const { endpointName, candidate, sdpMid, sdpMLineIndex } = params;
    const participant = typeof endpointName === "string" ? this.#participants.get(endpointName) : undefined;
    if (participant === undefined || typeof candidate !== "string") {
      return;
    }
    const init: RTCIceCandidateInit = {
      candidate,
      sdpMid: typeof sdpMid === "string" ? sdpMid : null,
      sdpMLineIndex: typeof sdpMLineIndex === "number" ? sdpMLineIndex : null,
    };
    for (const stream of Object.values(participant.getStreams())) {
      void stream.getWebRtcPeer()?.addIceCandidate(init);
    }
  }

  /** Applies a `roomClosed` notification. */
  onRoomClosed(params: JsonObject): void {
    const room = params["room"];
    this.emitEvent("room-closed", [{ room: typeof room === "string" ? room : this.name }]);
  }

  /** Applies a `mediaError` notification. */
  onMediaError(params: JsonObject): void {
    this.emitEvent("error-media", [{ error: params["error"] }]);
  }

  /** Applies an `activeSpeakerChanged` notification. */
  onActiveSpeakerChanged(params: JsonObject): void {
    const heard = this.#heard(params);
    // Somebody whom we do not know yet is nobody; whoever speaks on will be known at the next change.
    this.emitEvent("active-speaker", [heard ?? { participant: null, stream: null }]);
  }

  /** Applies an `audioLevels` notification; levels of unknown participants are left out. */
  onAudioLevels(params: JsonObject): void {
    const entries = Array.isArray(params["levels"]) ? (params["levels"] as unknown[]) : [];
    const levels: AudioLevel[] = [];
    for (const entry of entries) {
      const members = (entry ?? {}) as JsonObject;
      const heard = this.#heard(members);
      if (heard !== undefined && typeof members["level"] === "number") {
        levels.push({ ...heard, level: members["level"] });
      }
    }
    this.emitEvent("audio-levels", [{ levels }]);
  }

  /** Applies a `videoLayerChanged` notification; those about unknown participants are dropped. */
  onVideoLayerChanged(params: JsonObject): void {
    const whose = this.#heard(params);
    const { spatialLayer, temporalLayer, height } = params;
    if (whose !== undefined && typeof spatialLayer === "number" && typeof temporalLayer === "number") {
      const lines = typeof height === "number" ? height : null;
      this.emitEvent("video-layer", [{ ...whose, spatialLayer, temporalLayer, height: lines }]);
    }
  }

  /** Applies a `custonNotification` (the protocol's own spelling). */
  onCustomNotification(params: JsonObject): void {
    this.emitEvent("custom-message-received", [{ params }]);
  }

  /** The connection was lost and is being reopened. */
  onReconnecting(): void {
    if (this.#connected) {
      this.emitEvent("reconnecting", [{ room: this.name }]);
    }
  }

  /** The connection is back and the server remembers us. */
  onReconnected(): void {
    if (this.#connected) {
      this.emitEvent("reconnected", [{ room: this.name }]);
    }
  }

  /** The connection, or the server's memory of us, is lost for good. */
  onLostConnection(): void {
    if (this.#connected) {
      this.emitEvent("lost-connection", [{ room: this.name }]);
    }
  }

  /** Puts a stream (by global id) on the list of those who speak. */
  addParticipantSpeaking(id: string): void {
    if (!this.#speaking.includes(id)) {
      this.#speaking.push(id);
    }
    this.emitEvent("stream-speaking", [{ participantId: id }]);
  }

  /** Takes a stream (by global id) off the list of those who speak. */
  removeParticipantSpeaking(id: string): void {
    this.#speaking = this.#speaking.filter((other) => other !== id);
    this.emitEvent("stream-stopped-speaking", [{ participantId: id }]);
  }

  /** Sends a request over the connection of this room. */
  request(method: string, params: JsonObject, callback: ResponseCallback): void {
    this.#rpc.request(method, params, callback);
  }

  /** As {@link request}, with a promise of the result. */
  call(method: string, params: JsonObject): Promise<JsonObject> {
    return this.#rpc.call(method, params);
  }

  /** Makes a stream known under its global id. */
  registerStream(stream: Stream): void {
    this.#streams.set(stream.getGlobalID(), stream);
  }

  /**
   * Corrects what is known by what the server answered about a stream of somebody else, and tells whether it did:
   * whoever left or unpublished while our connection was down was never announced.
   */
  correct(stream: Stream, error: unknown): boolean {
    const name = stream.getParticipant()?.getID();
    if (stream.isLocal() || name === undefined || !(error instanceof ServerError)) {
      return false;
    }
    if (error.code === USER_NOT_FOUND) {
      this.onParticipantLeft({ name });
      return true;
    }
    if (error.code === USER_NOT_STREAMING) {
      this.onParticipantUnpublished({ name });
      return true;
    }
    return false;
  }

  /** Starts to listen whether `media` speaks. */
  watchSpeaker(id: string, media: MediaStream): void {
    this.#speakers.add(id, media);
  }

  /** Stops to listen whether the stream with this global id speaks. */
  unwatchSpeaker(id: string): void {
    this.#speakers.remove(id);
  }

  #joined(value: unknown): void {
    this.#connected = true;
    const streams: Stream[] = [];
    for (const peer of Array.isArray(value) ? (value as unknown[]) : []) {
      const { id, streams: published } = (peer ?? {}) as JsonObject;
      if (typeof id !== "string" || id === this.#localParticipant.getID()) {
        continue;
      }
      let participant = this.#participants.get(id);
      if (participant === undefined) {
        participant = new Participant(this, false, id);
        this.#participants.set(id, participant);
      }
      streams.push(...this.#addStreams(participant, published));
    }
    for (const stream of streams) {
      this.#autoSubscribe(stream);
    }
    this.#speakerTimer = setInterval(() => this.#tellMainSpeaker(), this.#updateSpeakerInterval);
    const participants = [...this.#participants.values()].filter((participant) => !participant.isLocal());
    this.emitEvent("room-connected", [{ participants, streams }]);
  }

  #addParticipant(id: string): Participant {
    const participant = new Participant(this, false, id);
    this.#participants.set(id, participant);
    this.emitEvent("participant-joined", [{ participant }]);
    return participant;
  }

  #addStreams(participant: Participant, published: unknown): Stream[] {
    const options = Array.isArray(published) ? (published as unknown[]).map(toStreamOptions) : [];
    return options.map((option) => participant.newStream(option));
  }

  #autoSubscribe(stream: Stream): void {
    if (this.#subscribeToStreams) {
      stream.subscribe();
    }
  }

  #removeStreams(participant: Participant): void {
    for (const stream of Object.values(participant.getStreams())) {
      participant.removeStream(stream);
      this.#streams.delete(stream.getGlobalID());
      this.emitEvent("stream-removed", [{ stream }]);
      stream.dispose();
    }
  }

  /** Whom `id` and `stream` of a notification mean. */
  #heard({ id, stream }: JsonObject): { participant: Participant; stream: Stream | null } | undefined {
    const participant = typeof id === "string" ? this.#participants.get(id) : undefined;
    if (participant === undefined) {
      return undefined;
    }
    const known = typeof stream === "string" ? participant.getStreams()[stream] : undefined;
    return { participant, stream: known ?? null };
  }

  #remoteParticipant(name: unknown): Participant | undefined {
    const participant = typeof name === "string" ? this.#participants.get(name) : undefined;
    return participant?.isLocal() === false ? participant : undefined;
  }

  #wantsDataChannel(): boolean {
    const streams = Object.values(this.#localParticipant.getStreams());
    return streams.some((stream) => stream.isInitialised() && stream.isDataChannelEnabled());
  }

  #tellMainSpeaker(): void {
    const [first] = this.#speaking;
    if (first !== undefined) {
      this.emitEvent("update-main-speaker", [{ participantId: first }]);
    }
  }

  #tell(method: string, params: JsonObject): void {
    this.request(method, params, (error) => {
      if (error !== null && !this.#closed) {
        console.warn(`${method} failed:`, error.message);
      }
    });
  }

  #dispose(): void {
    this.#connected = false;
    this.#closed = true;
    if (this.#speakerTimer !== null) {
      clearInterval(this.#speakerTimer);
      this.#speakerTimer = null;
    }
    for (const participant of this.#participants.values()) {
      participant.dispose();
    }
    this.#participants.clear();
    this.#streams.clear();
    this.#speakers.close();
    this.#speaking = [];
  }
}

function toStreamOptions(published: unknown): StreamOptions {
  const { id, recvVideo, recvAudio } = (published ?? {}) as JsonObject;
  return {
    ...(typeof id === "string" ? { id } : {}),
    ...(typeof recvVideo === "boolean" ? { recvVideo } : {}),
    ...(typeof recvAudio === "boolean" ? { recvAudio } : {}),
  };
}
