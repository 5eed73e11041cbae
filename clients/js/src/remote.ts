/** Others in the room, what they publish, and what of that we watch. */

import { Link, type LinkEvents, type LinkRequests } from "./link.js";
import type { WebRtcPeerOptions } from "./peer.js";

/** Somebody else in the room. */
export class RemoteParticipant {
  /** User name, unique in the room. */
  readonly name: string;
  /** What is published, by stream id. */
  readonly streams = new Map<string, RemoteStream>();

  /** For {@link RoomSession}. */
  constructor(name: string) {
    this.name = name;
  }
}

/** A stream of somebody else. */
export class RemoteStream {
  /** Stream id, unique within its participant. */
  readonly id: string;
  /** Who publishes. */
  readonly participant: RemoteParticipant;
  /** Whether a moderator muted it; known from servers with moderation. */
  muted = { audio: false, video: false };
  /** What we watch of it, or null. */
  subscription: Subscription | null = null;

  /** For {@link RoomSession}. */
  constructor(participant: RemoteParticipant, id: string) {
    this.participant = participant;
    this.id = id;
  }

  /** Id that is unique in the room: `<user>_<stream id>`. */
  get globalId(): string {
    return `${this.participant.name}_${this.id}`;
  }
}

/** What to receive of a stream. */
export interface SubscribeOptions {
  /** Default true. */
  audio?: boolean;
  /** Default true. */
  video?: boolean;
}

/** Events of a subscription. */
export interface SubscriptionEvents extends LinkEvents {
  /** A track came; it is in `media` already. */
  track: MediaStreamTrack;
  /** Nothing more is received, whoever ended it. */
  ended: void;
}

/** A stream of somebody else that we receive. Made by {@link RoomSession.subscribe}. */
export class Subscription extends Link<SubscriptionEvents> {
  /** What is received. */
  readonly stream: RemoteStream;
  /** Media to play. Stays the same object for as long as the subscription lasts; its tracks may change. */
  readonly media = new MediaStream();
  readonly #options: SubscribeOptions;
  readonly #configuration: RTCConfiguration;
  readonly #elements = new Set<HTMLMediaElement>();

  /** For {@link RoomSession}. */
  constructor(stream: RemoteStream, options: SubscribeOptions, configuration: RTCConfiguration, requests: LinkRequests) {
    super(requests, "received");
    this.stream = stream;
    this.#options = options;
    this.#configuration = configuration;
  }

  /** Plays the stream in an element until {@link detach} or the end; the element plays by itself if it may. */
  attach<Element extends HTMLMediaElement>(element: Element): Element {
    element.autoplay = true;
    if (element instanceof HTMLVideoElement) {
      element.playsInline = true;
    }
    element.srcObject = this.media;
    this.#elements.add(element);
    return element;
  }

  /** Plays it there no longer. */
  detach(element: HTMLMediaElement): void {
    if (this.#elements.delete(element)) {
      element.srcObject = null;
    }
  }

  /** Receives it no longer. */
  close(): Promise<void> {
    return this.end();
  }

  protected override peerOptions(): Omit<WebRtcPeerOptions, "onCandidate" | "onConnectionState"> {
    return {
      receiveAudio: this.#options.audio ?? true,
      receiveVideo: this.#options.video ?? true,
      configuration: this.#configuration,
      onRemoteTrack: (track) => this.#received(track),
    };
  }

  protected override ended(): void {
    for (const element of [...this.#elements]) {
      this.detach(element);
    }
    if (this.stream.subscription === this) {
      this.stream.subscription = null;
    }
    this.emit("ended", undefined);
  }

  /** A new connection brings new tracks in place of those of the old one. */
  #received(track: MediaStreamTrack): void {
    for (const old of this.media.getTracks()) {
      if (old.kind === track.kind) {
        this.media.removeTrack(old);
      }
    }
    this.media.addTrack(track);
    this.emit("track", track);
  }
}
