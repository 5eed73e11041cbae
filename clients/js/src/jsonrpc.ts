/**
 * JSON-RPC 2.0 over one WebSocket, in the dialect of Kurento Room servers.
 *
 * The socket is kept alive by `ping` requests and reopened when it is lost. The server tells its session id in
 * every result; after a reconnect `connect` with that id resumes the session, so that a room survives a network
 * change as long as the server's grace time has not passed.
 *
 * A server that numbers its frames (`seq`) delivers each of them exactly once: we say how far we are, drop what we
 * have had, and repeat under their own ids the requests that the lost connection swallowed.
 */

import { ConnectionError, ServerError, serverError, TimeoutError, type RequestError } from "./errors.js";

/** Any JSON object. */
export type JsonObject = { [key: string]: unknown };

/** The part of the browser's WebSocket that the client needs. */
export interface WebSocketLike {
  readonly readyState: number;
  onopen: ((event: never) => void) | null;
  onmessage: ((event: never) => void) | null;
  onerror: ((event: never) => void) | null;
  onclose: ((event: never) => void) | null;
  send(text: string): void;
  close(code?: number): void;
}

/** Makes sockets; the browser's `WebSocket` unless told otherwise. */
export type WebSocketConstructor = new (uri: string) => WebSocketLike;

/** Requests made while the socket is being reopened that are kept for later; further ones fail at once. */
export const MAX_QUEUED_REQUESTS = 512;

/** Receives the outcome of a request: an error, or the `result` object. */
export type ResponseCallback = (error: RequestError | null, result?: JsonObject) => void;

/** Why and how the connection changed. */
export interface ConnectionHandler {
  /** The first attempt to open the socket ended; with an error no further attempt is made. */
  connected(error?: Error): void;
  /** The socket was lost and is being reopened. */
  reconnecting(): void;
  /** The socket is open again. `resumed` is false when the server no longer knows the session. */
  reconnected(resumed: boolean): void;
  /** Every attempt to reopen the socket failed; the client is closed. */
  disconnected(): void;
  /** The server sent a notification. */
  notification(method: string, params: JsonObject): void;
}

/** Times and limits of the connection. */
export interface JsonRpcOptions {
  /** Milliseconds between two pings. Default 3000. */
  heartbeat?: number;
  /** Milliseconds announced to the server in the first ping; it gives up after three of them. Default 5000. */
  pingInterval?: number;
  /** Milliseconds until a ping without an answer means that the server is gone. Default 9000. */
  pingTimeout?: number;
  /** Milliseconds until a request fails for want of an answer. Default 15000. */
  requestTimeout?: number;
  /** Milliseconds between two attempts to reopen the socket; the first one is made at once. Default 3000. */
  reconnectDelay?: number;
  /** Attempts to reopen the socket until the client gives up. Default 2000. */
  maxReconnects?: number;
  /** Socket constructor. Default: the browser's. */
  webSocket?: WebSocketConstructor;
}

interface WaitingRequest {
  readonly method: string;
  readonly callback: ResponseCallback;
  readonly timer: ReturnType<typeof setTimeout>;
}

interface PendingRequest extends WaitingRequest {
  /** The message as it was sent. */
  readonly text: string;
}

interface QueuedRequest extends WaitingRequest {
  readonly params: JsonObject;
}

type State = "connecting" | "open" | "reconnecting" | "resuming" | "closed";

const OPEN = 1;
const CLOSED = 3;

/** One JSON-RPC connection. Opens its socket as soon as it is constructed. */
export class JsonRpcClient {
  readonly #uri: string;
  readonly #handler: ConnectionHandler;
  readonly #options: Required<Omit<JsonRpcOptions, "webSocket">>;
  readonly #webSocket: WebSocketConstructor;
  readonly #pending = new Map<number, PendingRequest>();
  #queue: QueuedRequest[] = [];
  #state: State = "connecting";
  #socket: WebSocketLike | null = null;
  #nextId = 0;
  #sessionId: string | null = null;
  #heartbeatTimer: ReturnType<typeof setInterval> | null = null;
  #reconnectTimer: ReturnType<typeof setTimeout> | null = null;
  #reconnects = 0;
  #rpcParams: JsonObject = {};
  /** Number of the last numbered frame of this session; null while the server numbers none. */
  #seq: number | null = null;
  /** Requests to repeat once frames up to this number are there. */
  #repeatAt: { readonly seq: number; readonly ids: readonly number[] } | null = null;

  constructor(uri: string, handler: ConnectionHandler, options: JsonRpcOptions = {}) {
    this.#uri = uri;
    this.#handler = handler;
    this.#options = {
      heartbeat: options.heartbeat ?? 3000,
      pingInterval: options.pingInterval ?? 5000,
      pingTimeout: options.pingTimeout ?? 9000,
      requestTimeout: options.requestTimeout ?? 15000,
      reconnectDelay: options.reconnectDelay ?? 3000,
      maxReconnects: options.maxReconnects ?? 2000,
    };
    this.#webSocket = options.webSocket ?? (globalThis.WebSocket as unknown as WebSocketConstructor);
    this.#open();
  }

  /** Session id that the server told last; null before the first result that carries one. */
  get sessionId(): string | null {
    return this.#sessionId;
  }

  /** True while requests go out at once. */
  get isOpen(): boolean {
    return this.#state === "open";
  }

  /** Members of `params` are added to the `params` of every later request, pings excepted. */
  setRpcParams(params: JsonObject): void {
    this.#rpcParams = { ...params };
  }

  /**
   * Sends a request and calls back with its outcome, exactly once. While the socket is being reopened the request
   * waits for it, no longer than its timeout.
   */
  request(method: string, params: JsonObject | undefined, callback: ResponseCallback): void {
    const merged = params === undefined ? { ...this.#rpcParams } : { ...params, ...this.#rpcParams };
    if (this.#state === "open") {
      this.#send(method, merged, this.#options.requestTimeout, callback);
    } else if (this.#state === "closed") {
      callback(new ConnectionError(method, -1, "The connection is closed"));
    } else if (this.#queue.length >= MAX_QUEUED_REQUESTS) {
      callback(new ConnectionError(method, -1, "Too many requests are waiting for the connection"));
    } else {
      this.#enqueue(method, merged, callback);
    }
  }

  /** As {@link request}, with a promise of the result. */
  call(method: string, params?: JsonObject): Promise<JsonObject> {
    return new Promise((resolve, reject) => {
      this.request(method, params, (error, result) => {
        if (error === null) {
          resolve(result ?? {});
        } else {
          reject(error);
        }
      });
    });
  }

  /** The session is over: what comes next is a new one, over the same socket or the next. */
  endSession(): void {
    this.#forgetSession();
  }

  /** Closes the socket for good. Requests without an answer fail; the handler is not called any more. */
  close(): void {
    if (this.#state === "closed") {
      return;
    }
    this.#state = "closed";
    this.#stopTimers();
    const socket = this.#detachSocket();
    socket?.close(1000);
    this.#failAll("The connection was closed");
  }

  #open(): void {
    let socket: WebSocketLike;
    try {
      socket = new this.#webSocket(this.#uri);
    } catch (error) {
      // An address that is no WebSocket address throws at once; report it as any other failure, after the
      // constructor has returned.
      queueMicrotask(() => this.#lost(error instanceof Error ? error : new Error(String(error))));
      return;
    }
    this.#socket = socket;
    socket.onopen = () => this.#opened();
    socket.onmessage = (event: { data?: unknown }) => this.#received(event.data);
    const lost = (): void => this.#lost(new Error(`The server at ${this.#uri} cannot be reached`));
    socket.onclose = lost;
    // An error is followed by a close, which says all there is to know; unless the page's policy forbids the address,
    // when some browsers leave it at the error.
    socket.onerror = () => {
      if (socket.readyState === CLOSED) {
        lost();
      }
    };
  }

  #opened(): void {
    const first = this.#state === "connecting";
    this.#state = first ? "open" : "resuming";
    this.#reconnects = 0;
    this.#ping({ interval: this.#options.pingInterval });
    this.#heartbeatTimer = setInterval(() => this.#ping(undefined), this.#options.heartbeat);
    if (first) {
      this.#handler.connected();
      this.#flushQueue();
    } else if (this.#sessionId === null) {
      this.#resumed(true);
    } else {
      this.#resume(this.#sessionId);
    }
  }

  #resume(sessionId: string): void {
    const unanswered = [...this.#pending].filter(([, { method }]) => method !== "ping").map(([id]) => id);
    const params = this.#seq === null ? { sessionId } : { sessionId, seq: this.#seq };
    this.#send("connect", params, this.#options.requestTimeout, (error, result) => {
      if (this.#state !== "resuming") {
        return;
      }
      if (error === null && !isPositive(result?.["lost"])) {
        const newest = result?.["seq"];
        if (typeof newest === "number") {
          this.#repeatAt = { seq: newest, ids: unanswered };
        }
        this.#resumed(true);
        this.#repeat();
      } else if (error === null || error instanceof ServerError) {
        this.#forgetSession();
        this.#failAll("The server no longer knows this session");
        this.#resumed(false);
      } else {
        this.#restart();
      }
    });
  }

  #forgetSession(): void {
    this.#sessionId = null;
    this.#seq = null;
    this.#repeatAt = null;
  }

  /** Sends again what the server never answered, as soon as every frame that it kept for us is here. */
  #repeat(): void {
    const due = this.#repeatAt;
    if (due === null || (this.#seq ?? 0) < due.seq) {
      return;
    }
    this.#repeatAt = null;
    for (const id of due.ids) {
      const request = this.#pending.get(id);
      if (request !== undefined) {
        this.#socket?.send(request.text);
      }
    }
  }

  #resumed(resumed: boolean): void {
    this.#state = "open";
    this.#handler.reconnected(resumed);
    this.#flushQueue();
  }

  #enqueue(method: string, params: JsonObject, callback: ResponseCallback): void {
    const timer = setTimeout(() => {
      this.#queue = this.#queue.filter((queued) => queued !== request);
      callback(new TimeoutError(method, -1, "Request has timed out"));
    }, this.#options.requestTimeout);
    const request = { method, params, callback, timer };
    this.#queue.push(request);
  }

  #flushQueue(): void {
    const queue = this.#queue;
    this.#queue = [];
    for (const { method, params, callback, timer } of queue) {
      clearTimeout(timer);
      this.#send(method, params, this.#options.requestTimeout, callback);
    }
  }

  #ping(params: JsonObject | undefined): void {
    const seen = this.#seq === null ? params : { ...params, seq: this.#seq };
    this.#send("ping", seen, this.#options.pingTimeout, (error) => {
      if (error !== null && (this.#state === "open" || this.#state === "resuming")) {
        this.#restart();
      }
    });
  }

  /** Gives up the present socket, without waiting for its close handshake, and opens another. */
  #restart(): void {
    this.#detachSocket()?.close();
    this.#lost(new Error("The server does not answer"));
  }

  #lost(error: Error): void {
    if (this.#state === "closed") {
      return;
    }
    this.#stopTimers();
    this.#detachSocket();
    // Pings belong to one socket. Without a session nothing of this socket can be answered on the next one.
    this.#dropPending((method) => this.#sessionId === null || method === "ping" || method === "connect");
    if (this.#state === "connecting") {
      this.#state = "closed";
      this.#failAll(error.message);
      this.#handler.connected(error);
      return;
    }
    const again = this.#state === "reconnecting";
    this.#state = "reconnecting";
    if (this.#reconnects >= this.#options.maxReconnects) {
      this.#state = "closed";
      this.#failAll("The connection was lost");
      this.#handler.disconnected();
      return;
    }
    this.#reconnects += 1;
    this.#reconnectTimer = setTimeout(() => this.#open(), again ? this.#options.reconnectDelay : 0);
    if (!again) {
      this.#handler.reconnecting();
    }
  }

  #send(method: string, params: JsonObject | undefined, timeout: number, callback: ResponseCallback): void {
    const socket = this.#socket;
    if (socket === null || socket.readyState !== OPEN) {
      // The close event of this socket is on its way.
      callback(new ConnectionError(method, -1, "The connection is being lost"));
      return;
    }
    const id = this.#nextId;
    this.#nextId += 1;
    const timer = setTimeout(() => {
      this.#pending.delete(id);
      callback(new TimeoutError(method, -1, "Request has timed out"));
    }, timeout);
    const message: JsonObject = { jsonrpc: "2.0", method };
    if (params !== undefined) {
      message["params"] = params;
    }
    message["id"] = id;
    const text = JSON.stringify(message);
    this.#pending.set(id, { method, callback, timer, text });
    socket.send(text);
  }

  #received(data: unknown): void {
    if (typeof data !== "string") {
      return;
    }
    let message: unknown;
    try {
      message = JSON.parse(data);
    } catch {
      return;
    }
    if (!isObject(message) || message["jsonrpc"] !== "2.0") {
      return;
    }
    const seq = message["seq"];
    if (typeof seq === "number") {
      if (seq <= (this.#seq ?? 0)) {
        return;
      }
      this.#seq = seq;
    }
    const method = message["method"];
    if (typeof method === "string") {
      const params = message["params"];
      this.#handler.notification(method, isObject(params) ? params : {});
    } else {
      this.#answered(message);
    }
    this.#repeat();
  }

  #answered(message: JsonObject): void {
    const id = message["id"];
    const hasResult = "result" in message;
    if (typeof id !== "number" || hasResult === "error" in message) {
      return;
    }
    const pending = this.#pending.get(id);
    if (pending === undefined) {
      return;
    }
    this.#pending.delete(id);
    clearTimeout(pending.timer);
    if (hasResult) {
      const result = isObject(message["result"]) ? message["result"] : { value: message["result"] };
      this.#remember(result);
      pending.callback(null, result);
      return;
    }
    const error = isObject(message["error"]) ? message["error"] : {};
    this.#remember(error);
    const code = typeof error["code"] === "number" ? error["code"] : 0;
    const text = typeof error["message"] === "string" ? error["message"] : "The server refused the request";
    pending.callback(serverError(pending.method, code, text, error["data"]));
  }

  #remember(answer: JsonObject): void {
    const sessionId = answer["sessionId"];
    if (typeof sessionId === "string") {
      this.#sessionId = sessionId;
    }
  }

  #dropPending(lost: (method: string) => boolean): void {
    for (const [id, { method, callback, timer }] of [...this.#pending]) {
      if (lost(method)) {
        this.#pending.delete(id);
        clearTimeout(timer);
        // Pings and connects of a dead socket have nobody left to tell.
        if (method !== "ping" && method !== "connect") {
          callback(new ConnectionError(method, -1, "The connection was lost"));
        }
      }
    }
  }

  #failAll(reason: string): void {
    const queue = this.#queue;
    this.#queue = [];
    const pending = [...this.#pending.values()];
    this.#pending.clear();
    for (const { method, callback, timer } of pending) {
      clearTimeout(timer);
      if (method !== "ping" && method !== "connect") {
        callback(new ConnectionError(method, -1, reason));
      }
    }
    for (const { method, callback, timer } of queue) {
      clearTimeout(timer);
      callback(new ConnectionError(method, -1, reason));
    }
  }

  #stopTimers(): void {
    if (this.#heartbeatTimer !== null) {
      clearInterval(this.#heartbeatTimer);
      this.#heartbeatTimer = null;
    }
    if (this.#reconnectTimer !== null) {
      clearTimeout(this.#reconnectTimer);
      this.#reconnectTimer = null;
    }
  }

  #detachSocket(): WebSocketLike | null {
    const socket = this.#socket;
    this.#socket = null;
    if (socket !== null) {
      socket.onopen = null;
      socket.onmessage = null;
      socket.onclose = null;
      socket.onerror = () => undefined;
    }
    return socket;
  }
}

function isPositive(value: unknown): boolean {
  return typeof value === "number" && value > 0;
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
