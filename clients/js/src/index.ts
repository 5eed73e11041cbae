/** Browser client for rooms of Salono and of every other server that speaks the Kurento Room protocol. */

export * from "./devices.js";
export * from "./errors.js";
export { Emitter, EventSource, type Listener } from "./events.js";
export {
  type JsonObject,
  type JsonRpcOptions,
  type ResponseCallback,
  type WebSocketConstructor,
  type WebSocketLike,
} from "./jsonrpc.js";
export {
  KurentoRoom,
  KurentoRoomClient,
  type KurentoRoomCallback,
  type KurentoRoomOptions,
} from "./kurento-room.js";
export { Participant } from "./participant.js";
export { WebRtcPeer } from "./peer.js";
export { judge, readReport, type Direction, type Quality, type Reading } from "./quality.js";
export { Room, type RoomOptions, type VideoPreference } from "./room.js";
export type { AudioLevel, RoomEvents, StreamEvents, VideoLayer } from "./room-events.js";
export { DEFAULT_STREAM_ID, Stream, type AnswerTaker, type StreamOptions } from "./stream.js";
