/** A stream that we publish. */

import { openCamera, stopMedia } from "./devices.js";
import { NotSupportedError } from "./errors.js";
import { Link, type LinkEvents, type LinkRequests } from "./link.js";
import type { WebRtcPeerOptions } from "./peer.js";

/** A kind of media. */
export type Kind = "audio" | "video";

/** How to publish. */
export interface PublishOptions {
  /** Id of the stream, one's own choice: default `webcam`. Others see `<user>_<id>`. */
  id?: string;
  /** Send video in several qualities, of which everybody gets a fitting one: default true. */
  simulcast?: boolean;
  /** Have the stream sent back by the server, to see what others see: default false. */
  loopback?: boolean;
  /** Open a data channel to the server: default false. Say so at the join, too. */
  data?: boolean;
  /** Turn the devices off with the publication: default true. */
  stopDevices?: boolean;
}

/** Events of a publication. */
export interface PublicationEvents extends LinkEvents {
  /** Other media are sent than before. */
  media: MediaStream;
  /** We mute, or no longer mute, this kind. */
  muted: { kind: Kind; muted: boolean };
  /** It is no longer published, whoever ended it. */
  ended: void;
  /** A message came over the data channel. */
  data: unknown;
}

/** A stream that we publish. Made by {@link RoomSession.publish}. */
export class Publication extends Link<PublicationEvents> {
  /** Id of the stream. */
  readonly id: string;
  /** What is sent. Its tracks change with {@link replaceTrack}. */
  readonly media: MediaStream;
  /** What the server sends back, with the option `loopback`; null before it comes. */
  returned: MediaStream | null = null;
  readonly #options: PublishOptions;
  readonly #configuration: RTCConfiguration;
  readonly #unwatch = new Map<MediaStreamTrack, () => void>();

  /** For {@link RoomSession}. */
  constructor(media: MediaStream, options: PublishOptions, configuration: RTCConfiguration, requests: LinkRequests) {
    super(requests, "sent");
    this.id = options.id ?? "webcam";
    this.media = media;
    this.#options = options;
    this.#configuration = configuration;
    for (const track of media.getTracks()) {
      this.#watch(track);
    }
  }

  /** Whether this kind is muted; also true if there is none of it. */
  isMuted(kind: Kind): boolean {
    return !this.#tracks(kind).some((track) => track.enabled);
  }

  /** Sends silence, or black pictures, from now on. */
  mute(kind: Kind): void {
    this.#setMuted(kind, true);
  }

  /** Sends what there is again. */
  unmute(kind: Kind): void {
    this.#setMuted(kind, false);
  }

  /**
   * Sends `track` instead of the present one of its kind, which is turned off. Nobody notices but by what they see
   * and hear. Rejects with {@link NotSupportedError} if nothing of this kind was published.
   */
  async replaceTrack(track: MediaStreamTrack): Promise<void> {
    const kind = track.kind as Kind;
    if ((await this.peer?.replaceTrack(kind, track)) !== true) {
      throw new NotSupportedError(`This publication has no ${kind}`);
    }
    const before = this.#tracks(kind);
    track.enabled = before.some(({ enabled }) => enabled);
    for (const old of before.filter((one) => one !== track)) {
      this.#unwatch.get(old)?.();
      this.media.removeTrack(old);
      old.stop();
    }
    this.media.addTrack(track);
    this.#watch(track);
    this.emit("media", this.media);
  }

  /** Uses another camera or microphone, by its id. Rejects with {@link DeviceError}. */
  async switchDevice(kind: Kind, id: string): Promise<void> {
    const wanted = kind === "video" ? { camera: id, microphone: false } : { camera: false, microphone: id };
    const opened = await openCamera(wanted);
    const [track] = kind === "video" ? opened.getVideoTracks() : opened.getAudioTracks();
    if (track !== undefined) {
      await this.replaceTrack(track);
    }
  }

  /** Sends over the data channel to the server; throws if it is not open. */
  send(data: string): void {
    if (this.peer === null) {
      throw new NotSupportedError("The stream has no connection");
    }
    this.peer.send(data);
  }

  /** Publishes no longer. */
  close(): Promise<void> {
    return this.end();
  }

  protected override peerOptions(): Omit<WebRtcPeerOptions, "onCandidate" | "onConnectionState"> {
    const loopback = this.#options.loopback ?? false;
    return {
      sendStream: this.media,
      receiveAudio: loopback,
      receiveVideo: loopback,
      simulcast: this.#options.simulcast ?? true,
      dataChannel: this.#options.data ?? false,
      configuration: this.#configuration,
      onRemoteTrack: (_track, stream) => {
        this.returned = stream;
      },
      onData: (data) => this.emit("data", data),
    };
  }

  protected override ended(): void {
    for (const unwatch of this.#unwatch.values()) {
      unwatch();
    }
    this.#unwatch.clear();
    if (this.#options.stopDevices ?? true) {
      stopMedia(this.media);
    }
    this.emit("ended", undefined);
  }

  /** A screen that the user stops sharing, or a device that is gone, ends what consists of nothing else. */
  #watch(track: MediaStreamTrack): void {
    const listener = (): void => {
      if (this.media.getTracks().every(({ readyState }) => readyState === "ended")) {
        void this.close().catch(() => undefined);
      }
    };
    track.addEventListener("ended", listener);
    this.#unwatch.set(track, () => {
      track.removeEventListener("ended", listener);
      this.#unwatch.delete(track);
    });
  }

  #setMuted(kind: Kind, muted: boolean): void {
    const tracks = this.#tracks(kind);
    if (tracks.length > 0 && this.isMuted(kind) !== muted) {
      for (const track of tracks) {
        track.enabled = !muted;
      }
      this.emit("muted", { kind, muted });
    }
  }

  #tracks(kind: Kind): MediaStreamTrack[] {
    return kind === "audio" ? this.media.getAudioTracks() : this.media.getVideoTracks();
  }
}
