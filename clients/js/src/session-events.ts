/** What a session tells, and what it is told. */

import type { RoomError } from "./errors.js";
import type { JsonObject } from "./jsonrpc.js";
import type { Publication } from "./publication.js";
import type { Quality } from "./quality.js";
import type { RemoteParticipant, RemoteStream, Subscription } from "./remote.js";

/** Who we are, where to, and what to be told. */
export interface JoinOptions {
  /** Room name. */
  room: string;
  /** Our user name, unique in the room. */
  user: string;
  /** Token, from servers that want one. */
  token?: string;
  /** Takes the place of ourselves, if a crash or reload left us in the room: `resumeToken` of that session. */
  resumeToken?: string;
  /** Where to keep the resume token, so that the same tab finds it after a reload: `sessionStorage`. */
  remember?: Pick<Storage, "getItem" | "setItem" | "removeItem">;
  /** Be told who speaks (`active-speaker`), by servers that can tell: default false. */
  activeSpeaker?: boolean;
  /** Be told how loud everybody is (`audio-levels`), by servers that can tell: default false. */
  audioLevels?: boolean;
  /** Be told which quality of each stream comes (`video-layer`), by servers that can tell: default false. */
  videoLayers?: boolean;
  /** Publish with a data channel: default false. */
  dataChannels?: boolean;
  /** ICE servers and the like, for every peer connection. */
  rtcConfiguration?: RTCConfiguration;
  /** Milliseconds between two looks at how well media goes: default 2000, 0 for never. */
  qualityInterval?: number;
}

/** What our token allows. */
export interface Grants {
  publish: boolean;
  subscribe: boolean;
  moderate: boolean;
  record: boolean;
}

/** How somebody's stream is shown. */
export interface Preference {
  stream: RemoteStream;
  /** Lines of the picture that are enough; 0, the default, for as many as there are. */
  height?: number;
  /** Streams with greater numbers come first where not everything fits: 0 to 255, default 0. */
  priority?: number;
}

/** A stream, by names: it may be our own. */
export interface StreamName {
  /** User name. */
  user: string;
  /** Stream id. */
  id: string;
  /** The stream, if it is somebody else's and known here. */
  stream: RemoteStream | null;
}

/** Why a session ended. */
export type EndReason = "left" | "evicted" | "room-closed" | "lost";

/** Events of a session. */
export interface SessionEvents {
  /** Somebody else joined. */
  "participant-joined": { participant: RemoteParticipant };
  /** Somebody else left; the streams went before. */
  "participant-left": { participant: RemoteParticipant };
  /** A stream can be watched. */
  "stream-added": { stream: RemoteStream };
  /** A stream is gone, and its subscription with it. */
  "stream-removed": { stream: RemoteStream };
  /** A chat message, our own included. Plain text: never put it into a page as HTML. */
  message: { user: string; text: string };
  /** Who speaks now, ourselves included; null when nobody does any more. */
  "active-speaker": { speaker: StreamName | null };
  /** How loud everybody is who is to be heard, in dBov, the loudest first; empty once nobody is. */
  "audio-levels": { levels: (StreamName & { level: number })[] };
  /** Which quality of a stream comes: ranks from 0, the smallest; `height` in lines, or null where not known. */
  "video-layer": StreamName & { spatialLayer: number; temporalLayer: number; height: number | null };
  /** A moderator muted a stream, or no longer mutes it; it may be our own. */
  "media-muted": StreamName & { audio: boolean; video: boolean };
  /** A moderator locked the room, or no longer locks it. */
  "room-locked": { locked: boolean };
  /** How well media of one connection goes. */
  quality: { link: Publication | Subscription; quality: Quality };
  /** Media failed in the server. */
  warning: { text: string };
  /** A message of the application's own server. */
  custom: { params: JsonObject };
  /** The connection is lost and being made anew; media may go on meanwhile. */
  reconnecting: void;
  /** It is back. `resumed` is false if we had to join again, with new connections for all media. */
  reconnected: { resumed: boolean };
  /** The session is over. */
  ended: { reason: EndReason; error?: RoomError };
}
