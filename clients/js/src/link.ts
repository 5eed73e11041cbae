/**
 * One peer connection to the server and the care that it takes: negotiation, candidates, a new way when the network
 * changes, and a whole new connection when the server has forgotten the old one.
 */

import { RoomError, ServerError, SessionEndedError, UnknownRequestError } from "./errors.js";
import { EventSource } from "./events.js";
import type { JsonObject } from "./jsonrpc.js";
import { WebRtcPeer, type WebRtcPeerOptions } from "./peer.js";
import { judge, readReport, type Direction, type Quality, type Reading } from "./quality.js";

/** Milliseconds that a connection may be interrupted before a new way is looked for. */
const INTERRUPTION = 2000;
/** Milliseconds until the next attempt if that one failed; doubled each time. */
const RETRY_DELAY = 1000;
/** Attempts until a connection counts as failed. */
const MAX_ATTEMPTS = 4;

/** How a link speaks with the server. */
export interface LinkRequests {
  /** Offers media; the result holds the answer. */
  offer(sdpOffer: string): Promise<JsonObject>;
  /** Offers a new way for the same media. */
  restart(sdpOffer: string): Promise<JsonObject>;
  /** Tells a candidate. */
  candidate(candidate: RTCIceCandidate): void;
  /** Gives back what the server holds. */
  release(): Promise<unknown>;
}

/** How a link is doing. */
export type LinkState = "connecting" | "connected" | "interrupted" | "failed" | "closed";

/** Events of every link. */
export interface LinkEvents {
  /** The connection is doing otherwise than before. */
  state: LinkState;
  /** How well media goes; at the intervals that the session was told. */
  quality: Quality;
}

/** What publications and subscriptions have in common. */
export abstract class Link<Events extends LinkEvents> extends EventSource<Events> {
  readonly #requests: LinkRequests;
  readonly #direction: Direction;
  #peer: WebRtcPeer | null = null;
  #state: LinkState = "connecting";
  #timer: ReturnType<typeof setTimeout> | null = null;
  #attempts = 0;
  #restarting = false;
  #reading: Reading | null = null;

  constructor(requests: LinkRequests, direction: Direction) {
    super();
    this.#requests = requests;
    this.#direction = direction;
  }

  /** How the connection is doing. */
  get state(): LinkState {
    return this.#state;
  }

  /** The browser's own object, or null while there is none. */
  get peerConnection(): RTCPeerConnection | null {
    return this.#peer?.peerConnection ?? null;
  }

  /** How well media went since this was asked last; null if that cannot be told yet. */
  async measure(): Promise<Quality | null> {
    const peer = this.#peer;
    if (peer === null) {
      return null;
    }
    const now = readReport((await peer.peerConnection.getStats()).values(), this.#direction);
    if (peer !== this.#peer) {
      return null;
    }
    const quality = this.#reading === null ? null : judge(this.#reading, now);
    this.#reading = now;
    if (quality !== null) {
      this.tell("quality", quality);
    }
    return quality;
  }

  /**
   * Looks for a new way to the server without interrupting media, as after a change of the network. The session does
   * so by itself whenever a connection is interrupted.
   */
  async restartIce(): Promise<void> {
    const peer = this.#peer;
    if (peer === null || this.#restarting) {
      return;
    }
    this.#restarting = true;
    try {
      const answer = answerOf(await this.#requests.restart(await peer.generateRestartOffer()));
      if (peer === this.#peer) {
        await peer.processAnswer(answer);
      }
    } catch (error) {
      if (!(error instanceof UnknownRequestError) || peer !== this.#peer) {
        throw error;
      }
      await this.renew();
    } finally {
      this.#restarting = false;
    }
  }

  /** What the connection sends and receives. Called for each new one. */
  protected abstract peerOptions(): Omit<WebRtcPeerOptions, "onCandidate" | "onConnectionState">;

  /** Called when the link has ended, whoever ended it. */
  protected abstract ended(): void;

  /** Emits one of the events of every link. */
  protected tell<Name extends keyof LinkEvents>(name: Name, event: LinkEvents[Name]): void {
    this.emit(name, event as Events[Name]);
  }

  /** The connection of the moment. */
  protected get peer(): WebRtcPeer | null {
    return this.#peer;
  }

  /** Makes a connection and negotiates it; for the session. */
  async start(): Promise<void> {
    if (this.#state === "closed") {
      throw new SessionEndedError("What was to be connected has been closed");
    }
    const peer: WebRtcPeer = new WebRtcPeer({
      ...this.peerOptions(),
      onCandidate: (candidate) => {
        if (peer === this.#peer) {
          this.#requests.candidate(candidate);
        }
      },
      onConnectionState: (state) => {
        if (peer === this.#peer) {
          this.#connectionChanged(state);
        }
      },
    });
    this.#peer?.dispose();
    this.#peer = peer;
    this.#reading = null;
    const offer = await peer.generateOffer();
    this.#check(peer);
    const answer = answerOf(await this.#requests.offer(offer));
    this.#check(peer);
    await peer.processAnswer(answer);
  }

  /** Begins anew with a server that has forgotten, or no longer wants, the old connection; for the session. */
  async renew(release = true): Promise<void> {
    if (release) {
      await this.#requests.release().catch(() => undefined);
    }
    this.#become("interrupted");
    await this.start();
  }

  /** Takes a candidate of the server; for the session. */
  takeCandidate(candidate: RTCIceCandidateInit): void {
    void this.#peer?.addIceCandidate(candidate);
  }

  /** The way to the server may have changed; for the session. */
  checkWay(): void {
    if (this.#state === "interrupted" || this.#state === "failed") {
      this.#attempts = 0;
      this.#mend();
    }
  }

  /** Ends the connection on this side; for the session. */
  abandon(): void {
    if (this.#state === "closed") {
      return;
    }
    this.#become("closed");
    this.#stopTimer();
    this.#peer?.dispose();
    this.#peer = null;
    this.ended();
  }

  /** Ends the connection on both sides; for the session. */
  protected async end(): Promise<void> {
    if (this.#state !== "closed") {
      this.abandon();
      await this.#requests.release().catch((error: unknown) => {
        // What the server has given back already needs no giving back.
        if (!(error instanceof ServerError)) {
          throw error;
        }
      });
    }
  }

  #check(peer: WebRtcPeer): void {
    if (peer !== this.#peer) {
      throw new SessionEndedError("The connection was closed while it was being made");
    }
  }

  #connectionChanged(state: RTCPeerConnectionState): void {
    if (state === "connected") {
      this.#attempts = 0;
      this.#stopTimer();
      this.#become("connected");
    } else if (state === "disconnected") {
      this.#become("interrupted");
      // It often comes back by itself.
      this.#later(INTERRUPTION);
    } else if (state === "failed") {
      this.#become("interrupted");
      this.#mend();
    }
  }

  #mend(): void {
    this.#stopTimer();
    if (this.#attempts >= MAX_ATTEMPTS) {
      this.#become("failed");
      return;
    }
    this.#attempts += 1;
    const again = (): void => {
      if (this.#state === "interrupted") {
        this.#later(RETRY_DELAY * 2 ** this.#attempts);
      }
    };
    this.restartIce().then(again, again);
  }

  #later(delay: number): void {
    this.#stopTimer();
    this.#timer = setTimeout(() => this.#mend(), delay);
  }

  #stopTimer(): void {
    if (this.#timer !== null) {
      clearTimeout(this.#timer);
      this.#timer = null;
    }
  }

  #become(state: LinkState): void {
    if (this.#state !== state && this.#state !== "closed") {
      this.#state = state;
      this.tell("state", state);
    }
  }
}

function answerOf({ sdpAnswer }: JsonObject): string {
  if (typeof sdpAnswer !== "string") {
    throw new RoomError(-1, "The server's reply has no SDP answer");
  }
  return sdpAnswer;
}
