/** A room that we are in: who else is, what they publish, and everything we do there. */

import {
  ConnectionError,
  ErrorCode,
  NotSupportedError,
  RoomError,
  SessionEndedError,
  TimeoutError,
  UnknownRequestError,
} from "./errors.js";
import { EventSource } from "./events.js";
import type { JsonObject, JsonRpcClient } from "./jsonrpc.js";
import type { LinkRequests } from "./link.js";
import { Publication, type Kind, type PublishOptions } from "./publication.js";
import { RemoteStream, Subscription, type RemoteParticipant, type SubscribeOptions } from "./remote.js";
import { Roster } from "./roster.js";
import type { EndReason, Grants, JoinOptions, Preference, SessionEvents, StreamName } from "./session-events.js";

/** Id of a stream that is not told another. */
const DEFAULT_ID = "webcam";
/** Milliseconds between two looks at how well media goes. */
const QUALITY_INTERVAL = 2000;

/** A room that we are in. Made by {@link Connection.join} or {@link joinRoom}. */
export class RoomSession extends EventSource<SessionEvents> {
  /** Room name. */
  readonly room: string;
  /** Our user name. */
  readonly user: string;
  /** What our token allows; null from servers without tokens. */
  grants: Grants | null = null;
  /** The role that our token gives; null from servers without tokens. */
  role: string | null = null;
  /** Lets us take our own place after a crash; null from servers that know no such thing. */
  resumeToken: string | null = null;
  readonly #rpc: JsonRpcClient;
  readonly #options: JoinOptions;
  readonly #roster: Roster;
  readonly #publications = new Map<string, Publication>();
  readonly #online = (): void => this.#checkWays();
  #qualityTimer: ReturnType<typeof setInterval> | null = null;
  #joined = false;
  #ended = false;

  /** For {@link Connection}. */
  constructor(rpc: JsonRpcClient, options: JoinOptions) {
    super();
    this.#rpc = rpc;
    this.#options = options;
    this.room = options.room;
    this.user = options.user;
    this.resumeToken = options.resumeToken ?? options.remember?.getItem(this.#storageKey()) ?? null;
    this.#roster = new Roster(this.user, {
      joined: (participant) => this.emit("participant-joined", { participant }),
      left: (participant) => this.emit("participant-left", { participant }),
      added: (stream) => this.emit("stream-added", { stream }),
      removed: (stream) => {
        stream.subscription?.abandon();
        this.emit("stream-removed", { stream });
      },
    });
  }

  /** Everybody else, by user name. */
  get participants(): ReadonlyMap<string, RemoteParticipant> {
    return this.#roster.participants;
  }

  /** Every stream of others. */
  get streams(): RemoteStream[] {
    return this.#roster.streams;
  }

  /** What we publish, by stream id. */
  get publications(): ReadonlyMap<string, Publication> {
    return this.#publications;
  }

  /** True until the session is over. */
  get active(): boolean {
    return !this.#ended;
  }

  /** Calls `listener` with every stream that there is, and with every one to come, until the returned function is called. */
  eachStream(listener: (stream: RemoteStream) => void): () => void {
    this.streams.forEach(listener);
    return this.on("stream-added", ({ stream }) => listener(stream));
  }

  /** Publishes media: of {@link openCamera}, {@link openScreen}, or of one's own. */
  async publish(media: MediaStream, options: PublishOptions = {}): Promise<Publication> {
    const id = options.id ?? DEFAULT_ID;
    if (id !== DEFAULT_ID && this.resumeToken === null) {
      throw new NotSupportedError("This server knows one stream per participant only");
    }
    if (this.#publications.has(id)) {
      throw new NotSupportedError(`A stream with the id ${id} is published already`);
    }
    const stream = id === DEFAULT_ID ? {} : { stream: id };
    const publication = new Publication(media, options, this.#options.rtcConfiguration ?? {}, {
      offer: (sdpOffer) =>
        this.#call("publishVideo", { sdpOffer, doLoopback: options.loopback ?? false, ...stream }),
      restart: (sdpOffer) => this.#restart({ sdpOffer, ...stream }),
      candidate: (candidate) => this.#sendCandidate(this.user, candidate, stream),
      release: () => this.#call("unpublishVideo", stream),
    });
    this.#publications.set(id, publication);
    publication.on("ended", () => this.#publications.delete(id));
    publication.on("quality", (quality) => this.emit("quality", { link: publication, quality }));
    await this.#start(publication);
    return publication;
  }

  /** Receives a stream of somebody else; what is received already is given back. */
  async subscribe(stream: RemoteStream, options: SubscribeOptions = {}): Promise<Subscription> {
    if (stream.subscription !== null) {
      return stream.subscription;
    }
    const extra = stream.id === DEFAULT_ID ? {} : { stream: stream.id };
    const sender = stream.globalId;
    const requests: LinkRequests = {
      offer: (sdpOffer) => this.#call("receiveVideoFrom", { sender, sdpOffer }),
      restart: (sdpOffer) => this.#restart({ sdpOffer, sender }),
      candidate: (candidate) => this.#sendCandidate(stream.participant.name, candidate, extra),
      release: () => this.#call("unsubscribeFromVideo", { sender }),
    };
    const subscription = new Subscription(stream, options, this.#options.rtcConfiguration ?? {}, requests);
    stream.subscription = subscription;
    subscription.on("quality", (quality) => this.emit("quality", { link: subscription, quality }));
    await this.#start(subscription);
    return subscription;
  }

  /** Says something to everybody. It comes back as `message`. */
  async chat(text: string): Promise<void> {
    await this.#call("sendMessage", { message: text, userMessage: this.user, roomMessage: this.room });
  }

  /** Sends a request of the application's own making. */
  custom(params: JsonObject): Promise<JsonObject> {
    return this.#call("customRequest", params);
  }

  /** Tells how large streams are shown, so that no more is sent than can be seen. Each holds until told anew. */
  async prefer(preferences: readonly Preference[]): Promise<void> {
    const entries = preferences.map(({ stream, height = 0, priority = 0 }) => ({ sender: stream.globalId, height, priority }));
    await this.#call("setVideoPreferences", { preferences: entries }).catch((error: unknown) => {
      // Servers that know no sizes send what there is.
      if (!(error instanceof UnknownRequestError)) {
        throw error;
      }
    });
  }

  /** Mutes somebody for everybody, or no longer does: for moderators. */
  async muteOther(stream: RemoteStream, muted: Partial<Record<Kind, boolean>>): Promise<void> {
    await this.#call("muteMedia", { sender: stream.globalId, ...muted });
  }

  /** Puts somebody out of the room: for moderators. */
  async evict(participant: RemoteParticipant): Promise<void> {
    await this.#call("evictParticipant", { user: participant.name });
  }

  /** Lets nobody else in, or lets people in again: for moderators. */
  async lock(locked: boolean): Promise<void> {
    await this.#call("lockRoom", { locked });
  }

  /** Closes the room for everybody: for moderators. */
  async closeRoom(): Promise<void> {
    await this.#call("closeRoom", {}).catch((error: unknown) => {
      // Everybody is told before the request is answered, ourselves too: then it is done.
      if (!this.#ended) {
        throw error;
      }
    });
  }

  /** Leaves the room and closes the connection. Devices are off at once. */
  async leave(): Promise<void> {
    if (this.#ended) {
      return;
    }
    const goodbye = this.#joined && this.#rpc.isOpen ? this.#rpc.call("leaveRoom", {}) : Promise.resolve({});
    this.#finish("left");
    // Whether the server has an answer or not, we are gone.
    await goodbye.catch(() => undefined);
    this.#rpc.close();
  }

  /** Enters; for {@link Connection}. */
  async enter(): Promise<void> {
    this.#roster.set(await this.#join());
    this.#joined = true;
    const interval = this.#options.qualityInterval ?? QUALITY_INTERVAL;
    if (interval > 0) {
      this.#qualityTimer = setInterval(() => this.#measure(), interval);
    }
    globalThis.addEventListener?.("online", this.#online);
  }

  /** The connection is lost; for {@link Connection}. */
  connectionLost(): void {
    if (this.#joined && !this.#ended) {
      this.emit("reconnecting", undefined);
    }
  }

  /** The connection is back; for {@link Connection}. */
  connectionBack(resumed: boolean): void {
    if (this.#ended) {
      return;
    }
    if (resumed && this.#joined) {
      this.emit("reconnected", { resumed: true });
      this.#checkWays();
    } else {
      this.#joined = false;
      void this.#joinAgain();
    }
  }

  /** The connection does not come back; for {@link Connection}. */
  connectionGone(): void {
    this.#finish("lost");
  }

  /** Takes a notification of the server; for {@link Connection}. */
  notified(method: string, params: JsonObject): void {
    if (this.#ended) {
      return;
    }
    switch (method) {
      case "participantJoined":
        return this.#roster.join(params["id"]);
      case "participantPublished":
        return this.#roster.publish(params["id"], params["streams"]);
      case "participantUnpublished":
        return this.#roster.unpublish(params["name"], params["streams"]);
      case "participantLeft":
        return this.#roster.leave(params["name"]);
      case "iceCandidate":
        return this.#takeCandidate(params);
      case "sendMessage":
        return this.#heardMessage(params);
      case "participantEvicted":
        return this.#putOut("evicted");
      case "roomClosed":
        return this.#putOut("room-closed");
      case "republish":
        return this.#republish(params["streams"]);
      case "mediaError":
        return this.emit("warning", { text: String(params["error"]) });
      case "custonNotification":
        return this.emit("custom", { params });
      default:
        return this.#told(method, params);
    }
  }

  /** What only those are told who asked for it. */
  #told(method: string, params: JsonObject): void {
    const whose = this.#roster.named(params);
    const { audio, video, spatialLayer, temporalLayer, height, locked, levels } = params;
    if (method === "activeSpeakerChanged") {
      this.emit("active-speaker", { speaker: whose });
    } else if (method === "audioLevels") {
      this.emit("audio-levels", { levels: this.#levels(levels) });
    } else if (method === "roomLocked") {
      this.emit("room-locked", { locked: locked === true });
    } else if (method === "mediaMuted" && whose !== null) {
      const muted = { audio: audio === true, video: video === true };
      if (whose.stream !== null) {
        whose.stream.muted = muted;
      }
      this.emit("media-muted", { ...whose, ...muted });
    } else if (method === "videoLayerChanged" && whose !== null) {
      if (typeof spatialLayer === "number" && typeof temporalLayer === "number") {
        const lines = typeof height === "number" ? height : null;
        this.emit("video-layer", { ...whose, spatialLayer, temporalLayer, height: lines });
      }
    }
  }

  #levels(levels: unknown): (StreamName & { level: number })[] {
    return (Array.isArray(levels) ? (levels as (JsonObject | null)[]) : []).flatMap((entry) => {
      const whose = this.#roster.named(entry ?? {});
      const level = entry?.["level"];
      return whose !== null && typeof level === "number" ? [{ ...whose, level }] : [];
    });
  }

  #heardMessage({ user, message }: JsonObject): void {
    if (typeof user === "string" && typeof message === "string") {
      this.emit("message", { user, text: message });
    }
  }

  #takeCandidate({ endpointName, stream = DEFAULT_ID, candidate, sdpMid, sdpMLineIndex }: JsonObject): void {
    if (typeof endpointName !== "string" || typeof stream !== "string" || typeof candidate !== "string") {
      return;
    }
    const link =
      endpointName === this.user
        ? this.#publications.get(stream)
        : this.#roster.participants.get(endpointName)?.streams.get(stream)?.subscription;
    link?.takeCandidate({
      candidate,
      sdpMid: typeof sdpMid === "string" ? sdpMid : null,
      sdpMLineIndex: typeof sdpMLineIndex === "number" ? sdpMLineIndex : null,
    });
  }

  #sendCandidate(endpointName: string, candidate: RTCIceCandidate, stream: JsonObject): void {
    const sdpMid = candidate.sdpMid ?? "";
    const sdpMLineIndex = candidate.sdpMLineIndex ?? 0;
    // One candidate that the server does not want is no reason to give up.
    this.#call("onIceCandidate", { endpointName, candidate: candidate.candidate, sdpMid, sdpMLineIndex, ...stream }).catch(
      () => undefined,
    );
  }

  /** The server lost its media and has new ones: what we publish has to be offered anew. */
  #republish(streams: unknown): void {
    for (const { id } of Array.isArray(streams) ? (streams as { id?: unknown }[]) : []) {
      const publication = typeof id === "string" ? this.#publications.get(id) : undefined;
      void publication?.renew(false).catch(() => publication.abandon());
    }
  }

  async #join(): Promise<unknown> {
    const { room, user, token, remember } = this.#options;
    const params: JsonObject = { room, user, streams: true, resume: true, moderation: true, recovery: true };
    for (const wish of ["activeSpeaker", "audioLevels", "videoLayers", "dataChannels"] as const) {
      if (this.#options[wish] === true) {
        params[wish] = true;
      }
    }
    if (token !== undefined) {
      params["token"] = token;
    }
    if (this.resumeToken !== null) {
      params["resumeToken"] = this.resumeToken;
    }
    const { value, resumeToken, grants, role } = await this.#rpc.call("joinRoom", params);
    this.resumeToken = typeof resumeToken === "string" ? resumeToken : null;
    this.grants = (grants as Grants | undefined) ?? null;
    this.role = typeof role === "string" ? role : null;
    if (this.resumeToken !== null) {
      remember?.setItem(this.#storageKey(), this.resumeToken);
    }
    return value;
  }

  /** The server has forgotten us: enters once more, and makes every connection anew. */
  async #joinAgain(): Promise<void> {
    try {
      this.#roster.set(await this.#join());
    } catch (error) {
      // Lost once more before the answer: the next connection brings us back here.
      if (!(error instanceof ConnectionError || error instanceof TimeoutError)) {
        this.#finish("lost", error);
        this.#rpc.close();
      }
      return;
    }
    this.#joined = true;
    await Promise.all(this.#links().map((link) => link.renew(false).catch(() => link.abandon())));
    if (!this.#ended) {
      this.emit("reconnected", { resumed: false });
    }
  }

  async #start(link: Publication | Subscription): Promise<void> {
    try {
      await link.start();
    } catch (error) {
      // The server may hold its half: give it back, or the next attempt is refused.
      await link.close().catch(() => undefined);
      throw error;
    }
  }

  /** Servers that know no resume token know no restart either, and some never answer what they do not know. */
  async #restart(params: JsonObject): Promise<JsonObject> {
    if (this.resumeToken === null) {
      throw new UnknownRequestError("restartIce", ErrorCode.UNKNOWN_REQUEST, "This server restarts no connections");
    }
    return this.#call("restartIce", params);
  }

  async #call(method: string, params: JsonObject): Promise<JsonObject> {
    if (this.#ended) {
      throw new SessionEndedError();
    }
    return this.#rpc.call(method, params);
  }

  #links(): (Publication | Subscription)[] {
    return [...this.#publications.values(), ...this.streams.flatMap(({ subscription }) => subscription ?? [])];
  }

  #measure(): void {
    for (const link of this.#links()) {
      // A connection that is being closed has nothing to tell.
      link.measure().catch(() => undefined);
    }
  }

  #checkWays(): void {
    for (const link of this.#links()) {
      link.checkWay();
    }
  }

  #putOut(reason: EndReason): void {
    this.#finish(reason);
    this.#rpc.close();
  }

  #finish(reason: EndReason, error?: unknown): void {
    if (this.#ended) {
      return;
    }
    this.#ended = true;
    if (this.#qualityTimer !== null) {
      clearInterval(this.#qualityTimer);
    }
    globalThis.removeEventListener?.("online", this.#online);
    if (reason !== "lost") {
      this.#options.remember?.removeItem(this.#storageKey());
    }
    for (const link of this.#links()) {
      link.abandon();
    }
    this.emit("ended", error instanceof RoomError ? { reason, error } : { reason });
  }

  #storageKey(): string {
    return `salono-room:${this.room}:${this.user}`;
  }
}
