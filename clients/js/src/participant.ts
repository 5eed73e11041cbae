/** Somebody in a room, ourselves included. */

import type { Room } from "./room.js";
import { Stream, type StreamOptions } from "./stream.js";

/** A participant: a user name and what this user publishes. */
export class Participant {
  readonly #room: Room;
  readonly #local: boolean;
  readonly #streams = new Map<string, Stream>();
  #id: string;

  /** Made by {@link Room}; `id` is the user name. */
  constructor(room: Room, local: boolean, id: string) {
    this.#room = room;
    this.#local = local;
    this.#id = id;
  }

  /** True for ourselves. */
  isLocal(): boolean {
    return this.#local;
  }

  /** The user name. */
  getID(): string {
    return this.#id;
  }

  /** Changes the user name that later requests carry. */
  setId(id: string): void {
    this.#id = id;
  }

  /** What this participant publishes, by stream id. */
  getStreams(): Record<string, Stream> {
    return Object.fromEntries(this.#streams);
  }

  /** Makes a stream that this participant publishes. */
  newStream(options: StreamOptions): Stream {
    const stream = new Stream(this.#room, this.#local, this, options);
    this.addStream(stream);
    return stream;
  }

  /** Adds a stream and makes it known to the room. */
  addStream(stream: Stream): void {
    const previous = this.#streams.get(stream.getID());
    if (previous !== undefined && previous !== stream) {
      previous.dispose();
    }
    this.#streams.set(stream.getID(), stream);
    this.#room.registerStream(stream);
  }

  /** Forgets a stream; the stream itself is left as it is. */
  removeStream(stream: Stream): void {
    if (this.#streams.get(stream.getID()) === stream) {
      this.#streams.delete(stream.getID());
    }
  }

  /** Ends every stream. */
  dispose(): void {
    for (const stream of this.#streams.values()) {
      stream.dispose();
    }
  }

  /** Sends a local candidate of the connection to (or about) this participant. */
  sendIceCandidate(candidate: RTCIceCandidate): void {
    const params = {
      endpointName: this.#id,
      candidate: candidate.candidate,
      // The protocol wants both members; browsers always set them for gathered candidates.
      sdpMid: candidate.sdpMid ?? "",
      sdpMLineIndex: candidate.sdpMLineIndex ?? 0,
    };
    this.#room.request("onIceCandidate", params, (error) => {
      if (error !== null) {
        console.warn("The server refused a candidate:", error.message);
      }
    });
  }
}
