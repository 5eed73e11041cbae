/**
 * The entry point: one connection to a room server, the room on it, and our own streams.
 *
 * `KurentoRoom(uri, callback)` has the call shape of the Kurento Room client, with or without `new`.
 */

import type { RequestError } from "./errors.js";
import {
  JsonRpcClient,
  type ConnectionHandler,
  type JsonObject,
  type JsonRpcOptions,
  type ResponseCallback,
} from "./jsonrpc.js";
import { Room, type RoomOptions, type VideoPreference } from "./room.js";
import { Stream, type StreamOptions } from "./stream.js";

/** Connection times and the configuration of peer connections. */
export interface KurentoRoomOptions extends JsonRpcOptions {
  /** ICE servers and the like for every peer connection. */
  rtcConfiguration?: RTCConfiguration;
}

/** Called once, when the first attempt to reach the server has ended. */
export type KurentoRoomCallback = (error: Error | null, kurento?: KurentoRoomClient) => void;

/** One connection to a room server. */
export class KurentoRoomClient {
  /** Makes the room of this connection; with or without `new`. There is one room per connection. */
  readonly Room: { (options: RoomOptions): Room; new (options: RoomOptions): Room };
  /** Makes a stream of our own; with or without `new`. */
  readonly Stream: { (room: Room, options?: StreamOptions): Stream; new (room: Room, options?: StreamOptions): Stream };
  readonly #rpc: JsonRpcClient;
  #room: Room | null = null;

  constructor(wsUri: string, callback: KurentoRoomCallback, options: KurentoRoomOptions = {}) {
    this.#rpc = new JsonRpcClient(wsUri, this.#connectionHandler(callback), options);
    const newRoom = (roomOptions: RoomOptions): Room => {
      this.#room = new Room(this.#rpc, roomOptions, options.rtcConfiguration ?? {});
      return this.#room;
    };
    const newStream = (room: Room, streamOptions: StreamOptions = {}): Stream =>
      new Stream(room, true, room.getLocalParticipant(), streamOptions);
    // Ordinary functions, for `new kurento.Room(…)` must work as well as `kurento.Room(…)`.
    this.Room = function (roomOptions: RoomOptions) {
      return newRoom(roomOptions);
    } as unknown as typeof this.Room;
    this.Stream = function (room: Room, streamOptions?: StreamOptions) {
      return newStream(room, streamOptions);
    } as unknown as typeof this.Stream;
  }

  /** Leaves the room and closes the connection; `forced` does not wait for the server's answer. */
  close(forced = false): void {
    if (this.#room === null) {
      this.#rpc.close();
    } else {
      this.#room.leave(forced, this.#rpc);
    }
  }

  /** Stops publishing (our own stream) or watching (anybody else's). */
  disconnectParticipant(stream: Stream): void {
    this.#room?.disconnect(stream);
  }

  /** Tells the server how large streams of others are shown; as `setVideoPreferences` of the room. */
  setVideoPreferences(preferences: readonly VideoPreference[]): void {
    this.#room?.setVideoPreferences(preferences);
  }

  /** Sends a chat message; `room` and `user` must be our own. It comes back as `newMessage`. */
  sendMessage(room: string, user: string, message: string): void {
    const params = { message, userMessage: user, roomMessage: room };
    this.#rpc.request("sendMessage", params, (error) => {
      if (error !== null) {
        console.warn("The message was not sent:", error.message);
      }
    });
  }

  /** Sends a request of the application's own making. */
  sendCustomRequest(params: JsonObject, callback: ResponseCallback): void {
    this.#rpc.request("customRequest", params, callback);
  }

  /** Members of `params` are added to the `params` of every later request (a token, for instance). */
  setRpcParams(params: JsonObject): void {
    this.#rpc.setRpcParams(params);
  }

  /** Sends any request. `params` may be left out. */
  sendRequest(method: string, callback: ResponseCallback): void;
  sendRequest(method: string, params: JsonObject, callback?: ResponseCallback): void;
  sendRequest(method: string, params: JsonObject | ResponseCallback, callback?: ResponseCallback): void {
    const ignore = (_error: RequestError | null): void => undefined;
    if (typeof params === "function") {
      this.#rpc.request(method, undefined, params);
    } else {
      this.#rpc.request(method, params, callback ?? ignore);
    }
  }

  #connectionHandler(callback: KurentoRoomCallback): ConnectionHandler {
    return {
      connected: (error) => {
        if (error === undefined) {
          callback(null, this);
        } else {
          callback(error);
        }
      },
      reconnecting: () => this.#room?.onReconnecting(),
      reconnected: (resumed) => (resumed ? this.#room?.onReconnected() : this.#room?.onLostConnection()),
      disconnected: () => this.#room?.onLostConnection(),
      notification: (method, params) => this.#notified(method, params),
    };
  }

  #notified(method: string, params: JsonObject): void {
    const room = this.#room;
    if (room === null || room.isClosed()) {
      return;
    }
    switch (method) {
      case "participantJoined":
        return room.onParticipantJoined(params);
      case "participantPublished":
        return room.onParticipantPublished(params);
      case "participantUnpublished":
        return room.onParticipantUnpublished(params);
      case "participantLeft":
        return room.onParticipantLeft(params);
      case "participantEvicted":
        return room.onParticipantEvicted();
      case "sendMessage":
        return room.onNewMessage(params);
      case "iceCandidate":
        return room.recvIceCandidate(params);
      case "roomClosed":
        return room.onRoomClosed(params);
      case "mediaError":
        return room.onMediaError(params);
      case "activeSpeakerChanged":
        return room.onActiveSpeakerChanged(params);
      case "audioLevels":
        return room.onAudioLevels(params);
      case "videoLayerChanged":
        return room.onVideoLayerChanged(params);
      case "custonNotification":
        return room.onCustomNotification(params);
      default:
        console.warn(`Unknown notification ${method}`);
    }
  }
}

/** `KurentoRoom(wsUri, callback, options?)`, with or without `new`. */
export const KurentoRoom = function (wsUri: string, callback: KurentoRoomCallback, options?: KurentoRoomOptions) {
  return new KurentoRoomClient(wsUri, callback, options);
} as unknown as {
  (wsUri: string, callback: KurentoRoomCallback, options?: KurentoRoomOptions): KurentoRoomClient;
  new (wsUri: string, callback: KurentoRoomCallback, options?: KurentoRoomOptions): KurentoRoomClient;
};
// Objects made without `new` are instances all the same.
Object.defineProperty(KurentoRoom, "prototype", { value: KurentoRoomClient.prototype });
