/**
 * A stream: what we publish ourselves (`local`), or what somebody else publishes.
 *
 * A stream has at most one peer connection. It ends with `unpublish()` or `unsubscribe()` and can be started again
 * by `publish()` or `subscribe()`; `dispose()` also takes its elements from the page.
 */

import { Emitter, type Listener } from "./events.js";
import type { JsonObject } from "./jsonrpc.js";
import type { Participant } from "./participant.js";
import { WebRtcPeer } from "./peer.js";
import type { StreamEvents } from "./room-events.js";
import type { Room } from "./room.js";
import { openUserMedia, type UserMediaOptions } from "./user-media.js";
import { StreamElements } from "./video.js";

/** Id of the one stream that a user of a Kurento Room has. */
export const DEFAULT_STREAM_ID = "webcam";

/** Options of a stream. */
export interface StreamOptions {
  /** Stream id, `webcam` unless told otherwise. */
  id?: string;
  /** Publish with a data channel to the server: default false. */
  data?: boolean;
  /** Ask for the microphone: default true. */
  audio?: boolean;
  /** Ask for the camera: default true. */
  video?: boolean;
  /** Publish video in several qualities (simulcast), of which everybody gets a fitting one: default false. */
  simulcast?: boolean;
  /** Receive video: default true. */
  recvVideo?: boolean;
  /** Receive audio: default true. */
  recvAudio?: boolean;
}

/** Whatever takes the server's answer: a {@link WebRtcPeer}, or one of kurento-utils. */
export interface AnswerTaker {
  /** Applies an answer. */
  processAnswer(sdpAnswer: string): unknown;
}

interface Negotiation {
  readonly request: (sdpOffer: string) => Promise<JsonObject>;
  readonly done: () => void;
}

/** A published stream of a participant. */
export class Stream {
  readonly #room: Room;
  readonly #local: boolean;
  readonly #participant: Participant | undefined;
  readonly #options: StreamOptions;
  readonly #id: string;
  readonly #events = new Emitter<StreamEvents>();
  readonly #elements: StreamElements;
  #peer: WebRtcPeer | null = null;
  #localMedia: MediaStream | null = null;
  #shownMedia: MediaStream | null = null;
  #loopback = false;
  #mirrored = false;
  #initialised = false;

  /** Made by the room, or by `KurentoRoom.Stream` for our own. */
  constructor(room: Room, local: boolean, participant: Participant | undefined, options: StreamOptions) {
    this.#room = room;
    this.#local = local;
    this.#participant = participant;
    this.#options = options;
    this.#id = options.id ?? DEFAULT_STREAM_ID;
    this.#elements = new StreamElements(this.getGlobalID(), participant?.getID() ?? this.#id);
  }

  /** Stream id, unique within its participant. */
  getID(): string {
    return this.#id;
  }

  /** Id that is unique in the room: `<user>_<stream id>`. */
  getGlobalID(): string {
    return this.#participant === undefined ? `${this.#id}_webcam` : `${this.#participant.getID()}_${this.#id}`;
  }

  /** Who publishes. */
  getParticipant(): Participant | undefined {
    return this.#participant;
  }

  /** True for our own stream. */
  isLocal(): boolean {
    return this.#local;
  }

  /** Whether video is received. */
  getRecvVideo(): boolean {
    return this.#options.recvVideo ?? true;
  }

  /** Whether audio is received. */
  getRecvAudio(): boolean {
    return this.#options.recvAudio ?? true;
  }

  /** What is shown, or null while there is nothing. */
  getWrStream(): MediaStream | null {
    return this.#shownMedia;
  }

  /** The peer connection while publishing or subscribed. */
  getWebRtcPeer(): WebRtcPeer | null {
    return this.#peer;
  }

  /** True while there is a peer connection. */
  isActive(): boolean {
    return this.#peer !== null;
  }

  /** Adds a listener for `access-accepted`, `access-denied`, `media-changed` or `data`. */
  addEventListener<Name extends keyof StreamEvents>(name: Name, listener: Listener<StreamEvents[Name]>): void {
    this.#events.addListener(name, listener);
  }

  /** Removes a listener. */
  removeEventListener<Name extends keyof StreamEvents>(name: Name, listener: Listener<StreamEvents[Name]>): void {
    this.#events.removeListener(name, listener);
  }

  /** Opens camera and microphone, then emits `access-accepted` or `access-denied`. */
  init(): void {
    this.#initialised = true;
    this.#participant?.addStream(this);
    const wanted: UserMediaOptions = { audio: this.#options.audio ?? true, video: this.#options.video ?? true };
    openUserMedia(wanted).then(
      (media) => {
        if (!this.#initialised || this.#room.isClosed()) {
          // Disposed while the user was thinking: nobody is going to turn the camera off but us.
          stopTracks(media);
          return;
        }
        this.#setLocalMedia(media);
        this.#events.emitEvent("access-accepted", []);
      },
      (error: unknown) => {
        this.#events.emitEvent("access-denied", [error]);
      },
    );
  }

  /** Publishes what `init()` opened. Ends in `stream-published` or `error-media` of the room. */
  publish(): void {
    if (!this.#local) {
      throw new Error("Only our own stream can be published");
    }
    if (this.#peer !== null) {
      return;
    }
    const loopback = this.#loopback;
    const peer = this.#connect(this.#localMedia, loopback && this.getRecvAudio(), loopback && this.getRecvVideo());
    this.#negotiate(peer, this.#publication());
  }

  /**
   * Publishes with an offer of an application that makes its own. `error` says why there is none; `peer` takes the
   * answer, the connection of this stream unless told otherwise.
   */
  publishVideoCallback(error: unknown, sdpOffer: string, peer: AnswerTaker | null = this.#peer): void {
    this.#offerMade(error, sdpOffer, peer, this.#publication());
  }

  /** Watches this stream of somebody else. Ends in `stream-subscribed` or `error-media` of the room. */
  subscribe(): void {
    if (this.#local) {
      throw new Error("Our own stream comes back with subscribeToMyRemote()");
    }
    if (this.#peer !== null) {
      return;
    }
    this.#negotiate(this.#connect(null, this.getRecvAudio(), this.getRecvVideo()), this.#subscription());
  }

  /** As {@link publishVideoCallback}, to watch this stream of somebody else. */
  startVideoCallback(error: unknown, sdpOffer: string, peer: AnswerTaker | null = this.#peer): void {
    this.#offerMade(error, sdpOffer, peer, this.#subscription());
  }

  /** Ends our own connection and turns camera and microphone off; the server is told by the room. */
  unpublish(): void {
    this.#disconnect();
    if (this.#localMedia !== null) {
      stopTracks(this.#localMedia);
      this.#localMedia = null;
    }
    this.#initialised = false;
    this.#show(null);
  }

  /** Ends the connection to somebody else's stream; the server is told by the room. */
  unsubscribe(): void {
    this.#disconnect();
    this.#show(null);
  }

  /** Ends everything, elements on the page included. */
  dispose(): void {
    this.unpublish();
    this.#elements.remove();
  }

  /** Asks the server to send our own stream back at the next `publish()`, and shows that. */
  subscribeToMyRemote(): void {
    this.#loopback = true;
  }

  /** True when what the server sends back is shown instead of the camera. */
  displayMyRemote(): boolean {
    return this.#loopback;
  }

  /** Shows `media` of our own instead of the camera. */
  mirrorLocalStream(media: MediaStream): void {
    this.#mirrored = true;
    this.#show(media);
  }

  /** True after `mirrorLocalStream`. */
  isLocalMirrored(): boolean {
    return this.#mirrored;
  }

  /** True if the stream was made with `data: true`. */
  isDataChannelEnabled(): boolean {
    return this.#options.data ?? false;
  }

  /** True once the data channel is open. */
  isDataChannelOpened(): boolean {
    return this.#peer?.dataChannel?.readyState === "open";
  }

  /** Sends over the data channel to the server; throws if there is no connection or the channel is not open. */
  sendData(data: string): void {
    if (this.#peer === null) {
      throw new Error("The stream has no connection");
    }
    this.#peer.send(data);
  }

  /** True once `init()` was called, until the stream ends. */
  isInitialised(): boolean {
    return this.#initialised;
  }

  /** Appends a video element `native-video-<global id>` to `parent` and returns it. */
  playOnlyVideo(parent: string | HTMLElement, thumbId?: string): HTMLVideoElement {
    return this.#elements.addVideo(parent, thumbId);
  }

  /** Appends name tag and video to the element `thumbId` and returns the video element. */
  playThumbnail(thumbId: string): HTMLVideoElement {
    return this.#elements.addThumbnail(thumbId);
  }

  /** Takes a video element that this stream made off the page. */
  removeVideo(video: HTMLVideoElement): void {
    this.#elements.removeVideo(video);
  }

  /** Applies an answer of the server by hand. */
  async processSdpAnswer(sdpAnswer: string): Promise<void> {
    await this.#peer?.processAnswer(sdpAnswer);
  }

  #connect(sendStream: MediaStream | null, receiveAudio: boolean, receiveVideo: boolean): WebRtcPeer {
    const peer = new WebRtcPeer({
      sendStream,
      receiveAudio,
      receiveVideo,
      simulcast: this.#local && (this.#options.simulcast ?? false),
      dataChannel: this.#local && this.isDataChannelEnabled(),
      configuration: this.#room.rtcConfiguration,
      onCandidate: (candidate) => {
        if (this.#peer === peer) {
          this.#participant?.sendIceCandidate(candidate);
        }
      },
      onRemoteTrack: (track, media) => this.#showRemote(track, media),
      onConnectionState: (state) => this.#room.emitEvent("stream-connection", [{ stream: this, state }]),
      onData: (data) => this.#events.emitEvent("data", [data]),
    });
    this.#peer = peer;
    return peer;
  }

  /** How our own stream is offered, and what happens once it is taken. */
  #publication(): Negotiation {
    return {
      request: (sdpOffer) => this.#room.call("publishVideo", { sdpOffer, doLoopback: this.#loopback }),
      done: () => this.#room.emitEvent("stream-published", [{ stream: this }]),
    };
  }

  /** How somebody else's stream is asked for, and what happens once it is ours. */
  #subscription(): Negotiation {
    return {
      request: (sdpOffer) => this.#room.call("receiveVideoFrom", { sender: this.getGlobalID(), sdpOffer }),
      done: () => this.#room.emitEvent("stream-subscribed", [{ stream: this }]),
    };
  }

  #negotiate(peer: WebRtcPeer, { request, done }: Negotiation): void {
    const run = async (): Promise<void> => {
      const offer = await peer.generateOffer();
      if (this.#peer !== peer) {
        return;
      }
      const answer = answerOf(await request(offer));
      if (this.#peer !== peer) {
        return;
      }
      await peer.processAnswer(answer);
      if (this.#peer === peer) {
        done();
      }
    };
    run().catch((error: unknown) => {
      if (this.#peer !== peer) {
        return;
      }
      this.#disconnect();
      if (!this.#room.correct(this, error)) {
        this.#room.emitEvent("error-media", [{ error, stream: this }]);
      }
    });
  }

  #offerMade(error: unknown, sdpOffer: string, peer: AnswerTaker | null, { request, done }: Negotiation): void {
    const run = async (): Promise<void> => {
      if (error !== null && error !== undefined) {
        throw error;
      }
      if (peer === null) {
        throw new Error("The stream has no connection");
      }
      await peer.processAnswer(answerOf(await request(sdpOffer)));
      done();
    };
    run().catch((reason: unknown) => this.#room.emitEvent("error-media", [{ error: reason, stream: this }]));
  }

  #showRemote(track: MediaStreamTrack, media: MediaStream): void {
    if (this.#local && !this.#loopback) {
      return;
    }
    if (!this.#local && track.kind === "audio") {
      this.#room.watchSpeaker(this.getGlobalID(), media);
    }
    if (this.#shownMedia === media) {
      return;
    }
    this.#show(media);
    if (this.#local) {
      this.#room.emitEvent("stream-subscribed", [{ stream: this }]);
    }
  }

  #setLocalMedia(media: MediaStream): void {
    if (this.#localMedia !== null) {
      stopTracks(this.#localMedia);
    }
    this.#localMedia = media;
    this.#show(media);
  }

  #show(media: MediaStream | null): void {
    this.#shownMedia = media;
    this.#elements.show(media, this.#local);
    this.#events.emitEvent("media-changed", [media]);
  }

  #disconnect(): void {
    const peer = this.#peer;
    this.#peer = null;
    peer?.dispose();
    this.#room.unwatchSpeaker(this.getGlobalID());
  }
}

function answerOf({ sdpAnswer }: JsonObject): string {
  if (typeof sdpAnswer !== "string") {
    throw new Error("The server's reply has no SDP answer");
  }
  return sdpAnswer;
}

function stopTracks(media: MediaStream): void {
  for (const track of media.getTracks()) {
    track.stop();
  }
}
