/** Browser client for rooms of Salono and of every other server that speaks the Kurento Room protocol. */

export { connect, Connection, joinRoom } from "./connection.js";
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
export { Link, type LinkEvents, type LinkState } from "./link.js";
export { Participant } from "./participant.js";
export { WebRtcPeer } from "./peer.js";
export { Publication, type Kind, type PublicationEvents, type PublishOptions } from "./publication.js";
export { judge, readReport, type Direction, type Quality, type Reading } from "./quality.js";
export {
  RemoteParticipant,
  RemoteStream,
  Subscription,
  type SubscribeOptions,
  type SubscriptionEvents,
} from "./remote.js";
export { Room, type RoomOptions, type VideoPreference } from "./room.js";
export type { AudioLevel, RoomEvents, StreamEvents, VideoLayer } from "./room-events.js";
export { RoomSession } from "./session.js";
export type * from "./session-events.js";
export { watchSpeech } from "./speaker.js";
export { DEFAULT_STREAM_ID, Stream, type AnswerTaker, type StreamOptions } from "./stream.js";
