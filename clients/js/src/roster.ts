/**
 * Who else is in a room and what they publish, by what the server tells: each notification, and the whole list after
 * joining. Whatever is told twice is told once.
 */

import type { JsonObject } from "./jsonrpc.js";
import { RemoteParticipant, RemoteStream } from "./remote.js";
import type { StreamName } from "./session-events.js";

/** Who is told about changes. */
export interface RosterListener {
  joined(participant: RemoteParticipant): void;
  left(participant: RemoteParticipant): void;
  added(stream: RemoteStream): void;
  removed(stream: RemoteStream): void;
}

/** Everybody but ourselves. */
export class Roster {
  /** By user name. */
  readonly participants = new Map<string, RemoteParticipant>();
  readonly #self: string;
  readonly #listener: RosterListener;

  /** `self` is our own name, of which notifications are ignored. */
  constructor(self: string, listener: RosterListener) {
    this.#self = self;
    this.#listener = listener;
  }

  /** Every stream. */
  get streams(): RemoteStream[] {
    return [...this.participants.values()].flatMap(({ streams }) => [...streams.values()]);
  }

  /** Whom `id` and `stream` of a notification mean; null if nobody is named. */
  named({ id, stream }: JsonObject): StreamName | null {
    if (typeof id !== "string") {
      return null;
    }
    const streamId = typeof stream === "string" ? stream : "webcam";
    return { user: id, id: streamId, stream: this.participants.get(id)?.streams.get(streamId) ?? null };
  }

  /** The whole list, as a join tells it: whoever is not on it is gone. Streams that stay are the same as before. */
  set(list: unknown): void {
    const peers = new Map(
      entries(list).flatMap(({ id, streams }) => (typeof id === "string" ? [[id, new Set(ids(streams))]] : [])),
    );
    for (const participant of [...this.participants.values()]) {
      const published = peers.get(participant.name);
      if (published === undefined) {
        this.leave(participant.name);
      } else {
        [...participant.streams.values()].filter(({ id }) => !published.has(id)).forEach((stream) => this.#remove(stream));
      }
    }
    for (const [name, published] of peers) {
      const participant = this.#enter(name);
      for (const id of published) {
        if (participant !== undefined && !participant.streams.has(id)) {
          this.#add(participant, id);
        }
      }
    }
  }

  /** Somebody joined. */
  join(name: unknown): void {
    this.#enter(name);
  }

  /** Somebody publishes streams. One that is known is another one now. */
  publish(name: unknown, streams: unknown): void {
    const participant = this.#enter(name);
    if (participant === undefined) {
      return;
    }
    for (const id of ids(streams)) {
      const before = participant.streams.get(id);
      if (before !== undefined) {
        this.#remove(before);
      }
      this.#add(participant, id);
    }
  }

  /** Somebody publishes these streams no longer, or none if they are not named. */
  unpublish(name: unknown, streams: unknown): void {
    const participant = this.participants.get(String(name));
    const named = Array.isArray(streams) ? ids(streams) : [...(participant?.streams.keys() ?? [])];
    for (const id of named) {
      const stream = participant?.streams.get(id);
      if (stream !== undefined) {
        this.#remove(stream);
      }
    }
  }

  /** Somebody left. */
  leave(name: unknown): void {
    const participant = this.participants.get(String(name));
    if (participant !== undefined) {
      this.unpublish(name, undefined);
      this.participants.delete(participant.name);
      this.#listener.left(participant);
    }
  }

  #enter(name: unknown): RemoteParticipant | undefined {
    if (typeof name !== "string" || name === this.#self) {
      return undefined;
    }
    const known = this.participants.get(name);
    if (known !== undefined) {
      return known;
    }
    const participant = new RemoteParticipant(name);
    this.participants.set(name, participant);
    this.#listener.joined(participant);
    return participant;
  }

  #add(participant: RemoteParticipant, id: string): void {
    const stream = new RemoteStream(participant, id);
    participant.streams.set(id, stream);
    this.#listener.added(stream);
  }

  #remove(stream: RemoteStream): void {
    stream.participant.streams.delete(stream.id);
    this.#listener.removed(stream);
  }
}

function entries(list: unknown): JsonObject[] {
  return Array.isArray(list) ? list.filter((entry): entry is JsonObject => typeof entry === "object" && entry !== null) : [];
}

function ids(streams: unknown): string[] {
  return entries(streams).flatMap(({ id }) => (typeof id === "string" ? [id] : []));
}
