/**
 * A small typed event emitter with the call shape that KurentoRoom applications use: listeners are added and
 * removed by name and an event is emitted with the list of arguments its listeners receive.
 */

/** Receives the arguments of one event. */
export type Listener<Args extends readonly unknown[]> = (...args: Args) => void;

/** Maps every event name to the list of arguments its listeners receive. */
export type EventMap<Events> = { [Name in keyof Events]: readonly unknown[] };

/** Typed event emitter. A listener that throws does not keep the others from being called. */
export class Emitter<Events extends EventMap<Events>> {
  readonly #listeners = new Map<keyof Events, Set<Listener<never>>>();

  /** Calls `listener` at every `name` event until it is removed. Adding the same function twice has no effect. */
  addListener<Name extends keyof Events>(name: Name, listener: Listener<Events[Name]>): this {
    let listeners = this.#listeners.get(name);
    if (listeners === undefined) {
      listeners = new Set();
      this.#listeners.set(name, listeners);
    }
    listeners.add(listener);
    return this;
  }

  /** Stops calling `listener` at `name` events; unknown listeners are ignored. */
  removeListener<Name extends keyof Events>(name: Name, listener: Listener<Events[Name]>): this {
    const listeners = this.#listeners.get(name);
    listeners?.delete(listener);
    if (listeners?.size === 0) {
      this.#listeners.delete(name);
    }
    return this;
  }

  /** Calls `listener` at the next `name` event only. */
  once<Name extends keyof Events>(name: Name, listener: Listener<Events[Name]>): this {
    const single: Listener<Events[Name]> = (...args) => {
      this.removeListener(name, single);
      listener(...args);
    };
    return this.addListener(name, single);
  }

  /**
   * Calls every listener of `name` with `args`. Listeners added or removed by a listener take effect with the
   * next event. What a listener throws is reported as an uncaught error of its own and does not reach the caller:
   * a fault in an application's display code must not stop the client from handling the rest of a message.
   */
  emitEvent<Name extends keyof Events>(name: Name, args: Events[Name]): this {
    for (const listener of [...(this.#listeners.get(name) ?? [])]) {
      try {
        (listener as Listener<Events[Name]>)(...args);
      } catch (error) {
        queueMicrotask(() => {
          throw error;
        });
      }
    }
    return this;
  }

  /** Forgets every listener. */
  removeAllListeners(): this {
    this.#listeners.clear();
    return this;
  }
}

/**
 * Something whose events have one payload each. `on` gives back how to stop listening, `once` a promise.
 */
export class EventSource<Events> {
  readonly #listeners = new Emitter<{ [Name in keyof Events]: [Events[Name]] }>();

  /** Calls `listener` at every `name` event, until the returned function is called. */
  on<Name extends keyof Events>(name: Name, listener: (event: Events[Name]) => void): () => void {
    // A function of its own: the same listener may be added twice and removed once.
    const own = (event: Events[Name]): void => listener(event);
    this.#listeners.addListener(name, own);
    return () => void this.#listeners.removeListener(name, own);
  }

  /** The next `name` event. */
  once<Name extends keyof Events>(name: Name): Promise<Events[Name]> {
    return new Promise((resolve) => {
      this.#listeners.once(name, resolve);
    });
  }

  /** Tells every listener of `name`. */
  protected emit<Name extends keyof Events>(name: Name, event: Events[Name]): void {
    this.#listeners.emitEvent(name, [event]);
  }
}
