/** Names and payloads of every event that a room and a stream emit. */

import type { JsonObject } from "./jsonrpc.js";
import type { Participant } from "./participant.js";
import type { Stream } from "./stream.js";

/** How loud somebody is. */
export interface AudioLevel {
  participant: Participant;
  /** What is heard; null if it is not known here. */
  stream: Stream | null;
  /** Level in dBov: 0 is the loudest there can be, -127 is silence. */
  level: number;
}

/** Which quality of a stream comes. */
export interface VideoLayer {
  participant: Participant;
  /** The stream; null if it is not known here. */
  stream: Stream | null;
  /** Rank by picture size, 0 is the smallest. */
  spatialLayer: number;
  /** Rank by frame rate, 0 is the lowest. */
  temporalLayer: number;
  /** Lines of the picture, or null where the server does not know. */
  height: number | null;
}

/** Events of a `Room`: the name and the list of arguments that a listener receives. */
export interface RoomEvents {
  /** Joined: everybody who was there already, and what they publish. */
  "room-connected": [{ participants: Participant[]; streams: Stream[] }];
  /** Joining failed, or the server sent a message that makes no sense. */
  "error-room": [{ error: unknown }];
  /** Somebody else joined. */
  "participant-joined": [{ participant: Participant }];
  /** Somebody else left. */
  "participant-left": [{ participant: Participant }];
  /** The server put us out of the room. */
  "participant-evicted": [{ localParticipant: Participant }];
  /** Somebody else started to publish. */
  "participant-published": [{ participant: Participant }];
  /** Somebody else stopped publishing and stays in the room. */
  "participant-unpublished": [{ participant: Participant }];
  /** The server accepted our own stream. */
  "stream-published": [{ stream: Stream }];
  /** A stream of somebody else can be watched. */
  "stream-added": [{ stream: Stream }];
  /** A stream of somebody else is gone. */
  "stream-removed": [{ stream: Stream }];
  /** Media of this stream can be played. */
  "stream-subscribed": [{ stream: Stream }];
  /** The peer connection of this stream changed its state. */
  "stream-connection": [{ stream: Stream; state: RTCPeerConnectionState }];
  /** Media failed, here or in the server. */
  "error-media": [{ error: unknown; stream?: Stream }];
  /** A chat message, our own included. */
  newMessage: [{ room: string; user: string; message: string }];
  /** The server closed the room. */
  "room-closed": [{ room: string }];
  /** The connection was lost and is being reopened; media may go on meanwhile. */
  reconnecting: [{ room: string }];
  /** The connection is back and we are still in the room. */
  reconnected: [{ room: string }];
  /** The connection was lost for good: we are no longer in the room. */
  "lost-connection": [{ room: string }];
  /** The main speaker, by global stream id. */
  "update-main-speaker": [{ participantId: string }];
  /** Somebody started to speak, by global stream id. */
  "stream-speaking": [{ participantId: string }];
  /** Somebody stopped speaking, by global stream id. */
  "stream-stopped-speaking": [{ participantId: string }];
  /**
   * Who speaks, as the server hears it: somebody else than before, or nobody (null) any more. Only with the option
   * `activeSpeaker`, and only from a server that can tell.
   */
  "active-speaker": [{ participant: Participant | null; stream: Stream | null }];
  /**
   * How loud everybody is who is to be heard now, the loudest first; empty once nobody is. Five times a second, only
   * with the option `audioLevels`, and only from a server that can tell.
   */
  "audio-levels": [{ levels: AudioLevel[] }];
  /**
   * A stream that we watch comes in another quality, or begins to come. Only with the option `videoLayers`, and only
   * from a server that can tell.
   */
  "video-layer": [VideoLayer];
  /** The application's own message from the server. */
  "custom-message-received": [{ params: JsonObject }];
}

/** Events of a `Stream`. */
export interface StreamEvents {
  /** Camera and microphone are ours. */
  "access-accepted": [];
  /** Neither camera nor microphone; the browser's error says why. */
  "access-denied": [error: unknown];
  /** There is media to show, or other media than before. */
  "media-changed": [media: MediaStream | null];
  /** A message came over the data channel. */
  data: [data: unknown];
}
