/**
 * What may go wrong, as classes with codes: a server's refusal, a connection that is not there, a device that does
 * not open. Every class is a `RoomError`, so one `catch` sees all of them, and `instanceof` tells them apart.
 */

/** Numbers that servers give their refusals. */
export const ErrorCode = {
  /** A fault on this side: no connection, no answer in time. */
  LOCAL: -1,
  /** The server knows no such request. */
  UNKNOWN_REQUEST: -32601,
  /** Somebody is not in the room; we may be that. */
  USER_NOT_FOUND: 102,
  /** Our name is taken. */
  NAME_TAKEN: 104,
  /** Somebody publishes nothing, or not this stream. */
  NOT_PUBLISHING: 105,
  /** There is no such room. */
  ROOM_NOT_FOUND: 202,
  /** The room is closed, or being closed. */
  ROOM_CLOSED: 203,
  /** The server could not open the room. */
  ROOM_UNAVAILABLE: 204,
  /** The room is locked. */
  ROOM_LOCKED: 205,
  /** The session description was refused. */
  SESSION_DESCRIPTION: 302,
  /** A token is needed. */
  TOKEN_MISSING: 401,
  /** The token is not one of this server's. */
  TOKEN_INVALID: 402,
  /** The token does not allow this. */
  NOT_PERMITTED: 403,
  /** The token's time is over, or has not begun. */
  TOKEN_EXPIRED: 404,
  /** The token is for another room, or another user. */
  TOKEN_MISMATCH: 405,
  /** The server no longer knows our session. */
  SESSION_UNKNOWN: 40007,
} as const;

/** Anything that this client reports. */
export class RoomError extends Error {
  // Written out in each class: programs are delivered with shortened class names.
  override readonly name: string = "RoomError";
  /** One of {@link ErrorCode}, or another number of the server. */
  readonly code: number;

  constructor(code: number, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** A request that the server answered with an error, or that could not be carried out. */
export class RequestError extends RoomError {
  override readonly name: string = "RequestError";
  /** Further detail from the server, if any. */
  readonly data: unknown;
  /** Method of the failed request. */
  readonly method: string;

  constructor(method: string, code: number, message: string, data?: unknown) {
    super(code, message);
    this.method = method;
    this.data = data;
  }
}

/** There is no connection to carry a request, or it ended before the answer. */
export class ConnectionError extends RequestError {
  override readonly name: string = "ConnectionError";
}

/** The server did not answer in time. */
export class TimeoutError extends RequestError {
  override readonly name: string = "TimeoutError";
}

/** An error that the server itself reported; its subclasses say more. */
export class ServerError extends RequestError {
  override readonly name: string = "ServerError";
}

/** Somebody is not in the room: {@link ErrorCode.USER_NOT_FOUND}. */
export class UserNotFoundError extends ServerError {
  override readonly name: string = "UserNotFoundError";
}

/** Our name is taken: {@link ErrorCode.NAME_TAKEN}. */
export class NameTakenError extends ServerError {
  override readonly name: string = "NameTakenError";
}

/** The stream is not published: {@link ErrorCode.NOT_PUBLISHING}. */
export class NotPublishingError extends ServerError {
  override readonly name: string = "NotPublishingError";
}

/** The room is not to be entered: it is closed, could not be opened, or does not exist. */
export class RoomUnavailableError extends ServerError {
  override readonly name: string = "RoomUnavailableError";
}

/** The room is locked: {@link ErrorCode.ROOM_LOCKED}. */
export class RoomLockedError extends ServerError {
  override readonly name: string = "RoomLockedError";
}

/** The server could not deal with our media: codes 301 to 307. */
export class MediaError extends ServerError {
  override readonly name: string = "MediaError";
}

/** The token is missing, invalid, expired, or not for this room and user. */
export class TokenError extends ServerError {
  override readonly name: string = "TokenError";
}

/** The token does not allow this: {@link ErrorCode.NOT_PERMITTED}. */
export class NotPermittedError extends ServerError {
  override readonly name: string = "NotPermittedError";
}

/** The server knows no such request: {@link ErrorCode.UNKNOWN_REQUEST}. */
export class UnknownRequestError extends ServerError {
  override readonly name: string = "UnknownRequestError";
}

/** This client, this browser or this server cannot do what was asked for. */
export class NotSupportedError extends RoomError {
  override readonly name: string = "NotSupportedError";
  constructor(message: string) {
    super(ErrorCode.LOCAL, message);
  }
}

/** The session is over: we left, or were made to. */
export class SessionEndedError extends RoomError {
  override readonly name: string = "SessionEndedError";
  constructor(message = "The session is over") {
    super(ErrorCode.LOCAL, message);
  }
}

/** Why a device did not open. */
export type DeviceFault = "denied" | "missing" | "busy" | "insecure" | "failed";

/** Camera, microphone or screen could not be had; `cause` is the browser's error. */
export class DeviceError extends RoomError {
  override readonly name: string = "DeviceError";
  /** What to tell the user. */
  readonly fault: DeviceFault;

  constructor(cause: unknown) {
    super(ErrorCode.LOCAL, cause instanceof Error ? cause.message : String(cause), { cause });
    this.fault = faultOf(cause);
  }
}

/** The error class that fits a refusal of the server. */
export function serverError(method: string, code: number, message: string, data?: unknown): ServerError {
  return new (classOf(code))(method, code, message, data);
}

function classOf(code: number): typeof ServerError {
  switch (code) {
    case ErrorCode.USER_NOT_FOUND:
      return UserNotFoundError;
    case ErrorCode.NAME_TAKEN:
      return NameTakenError;
    case ErrorCode.NOT_PUBLISHING:
      return NotPublishingError;
    case ErrorCode.ROOM_NOT_FOUND:
    case ErrorCode.ROOM_CLOSED:
    case ErrorCode.ROOM_UNAVAILABLE:
      return RoomUnavailableError;
    case ErrorCode.ROOM_LOCKED:
      return RoomLockedError;
    case ErrorCode.TOKEN_MISSING:
    case ErrorCode.TOKEN_INVALID:
    case ErrorCode.TOKEN_EXPIRED:
    case ErrorCode.TOKEN_MISMATCH:
      return TokenError;
    case ErrorCode.NOT_PERMITTED:
      return NotPermittedError;
    case ErrorCode.UNKNOWN_REQUEST:
      return UnknownRequestError;
    default:
      return code >= 301 && code <= 307 ? MediaError : ServerError;
  }
}

function faultOf(cause: unknown): DeviceFault {
  switch (cause instanceof Error ? cause.name : "") {
    case "NotAllowedError":
      return "denied";
    case "NotFoundError":
    case "OverconstrainedError":
      return "missing";
    case "NotReadableError":
    case "AbortError":
      return "busy";
    case "SecurityError":
      return "insecure";
    default:
      return "failed";
  }
}
