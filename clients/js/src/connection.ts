/** The way into a room with promises: connect, join. */

import { ConnectionError, NotSupportedError } from "./errors.js";
import { JsonRpcClient, type JsonRpcOptions } from "./jsonrpc.js";
import { RoomSession } from "./session.js";
import type { JoinOptions } from "./session-events.js";

/** A connection to a room server, for one room at a time. */
export class Connection {
  readonly #rpc: JsonRpcClient;
  #session: RoomSession | null = null;

  /** For {@link connect}. */
  constructor(uri: string, options: JsonRpcOptions, connected: (error?: Error) => void) {
    this.#rpc = new JsonRpcClient(
      uri,
      {
        connected,
        reconnecting: () => this.#session?.connectionLost(),
        reconnected: (resumed) => this.#session?.connectionBack(resumed),
        disconnected: () => this.#session?.connectionGone(),
        notification: (method, params) => this.#session?.notified(method, params),
      },
      options,
    );
  }

  /**
   * Enters a room. Rejects with what the server says: {@link NameTakenError}, {@link TokenError},
   * {@link RoomLockedError}, {@link RoomUnavailableError}; the connection is then good for another attempt.
   */
  async join(options: JoinOptions): Promise<RoomSession> {
    if (this.#session !== null) {
      throw new NotSupportedError("A connection is for one room at a time");
    }
    const session = new RoomSession(this.#rpc, options);
    this.#session = session;
    try {
      await session.enter();
    } catch (error) {
      this.#session = null;
      throw error;
    }
    return session;
  }

  /** Closes the connection without a goodbye: the server waits for its grace time. To leave, call `leave`. */
  close(): void {
    this.#session?.connectionGone();
    this.#rpc.close();
  }
}

/** Connects to a room server. Rejects with {@link ConnectionError} if it is not there. */
export function connect(uri: string | URL, options: JsonRpcOptions = {}): Promise<Connection> {
  return new Promise((resolve, reject) => {
    const connection = new Connection(String(uri), options, (error) => {
      if (error === undefined) {
        resolve(connection);
      } else {
        reject(new ConnectionError("connect", -1, error.message));
      }
    });
  });
}

/** Connects to a room server and enters a room. */
export async function joinRoom(uri: string | URL, options: JoinOptions & JsonRpcOptions): Promise<RoomSession> {
  const connection = await connect(uri, options);
  try {
    return await connection.join(options);
  } catch (error) {
    connection.close();
    throw error;
  }
}
