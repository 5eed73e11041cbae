/** All tiles of a call and their places. */

import { icon } from "./icons.js";
import { arrange } from "./layout.js";
import { Sizes } from "./sizes.js";

/** Milliseconds between two looks at whether the pictures are black, and how well they come. */
const LOOK_INTERVAL = 1000;

const stage = document.getElementById("stage");

export class Stage {
  #tiles = new Map();
  #main = null;
  #timer;
  #observer = new ResizeObserver(() => this.#layout());
  #sizes;
  #invite = document.createElement("div");
  #changed;
  /** Hands out the link while nobody else is here. */
  inviteButton = document.createElement("button");

  /**
   * @param {() => void} changed called when another tile, or none, became the large one
   * @param {(preferences: {stream: object, height: number}[]) => void} resized called with what is shown in another
   *   size than before
   */
  constructor(changed, resized) {
    this.#changed = changed;
    this.#sizes = new Sizes(resized);
    this.#buildInvite();
    stage.replaceChildren(this.#invite);
    this.#observer.observe(stage);
    this.#timer = setInterval(() => {
      for (const tile of this.#tiles.values()) {
        tile.refresh();
        // A connection that is being closed has nothing to tell.
        tile.measure().catch(() => undefined);
      }
      this.#sizes.tellNow();
    }, LOOK_INTERVAL);
  }

  /** The large tile, or null. */
  get main() {
    return this.#main;
  }

  /** People on the stage: whoever has two tiles is one of them. */
  get size() {
    return new Set([...this.#tiles.values()].map(({ name }) => name)).size;
  }

  /** Adds a tile at the end. */
  add(tile) {
    this.#tiles.set(tile.key, tile);
    stage.append(tile.element);
    this.#sizes.watch(tile);
    this.#layout();
  }

  /** The tile of a user name. */
  get(name) {
    return this.#tiles.get(name);
  }

  /** The tile that shows the stream with this global id. */
  showing(globalId) {
    return [...this.#tiles.values()].find((tile) => tile.stream?.getGlobalID() === globalId);
  }

  /** Takes a tile off the stage. */
  remove(key) {
    const tile = this.#tiles.get(key);
    if (tile === undefined) {
      return;
    }
    this.#tiles.delete(key);
    this.#sizes.forget(tile);
    tile.element.remove();
    if (this.#main === tile) {
      this.select(null);
    }
    this.#layout();
  }

  /** Makes a tile the large one; null: all alike. */
  select(tile) {
    this.#main?.setMain(false);
    this.#main = tile;
    tile?.setMain(true);
    this.#layout();
    this.#changed();
  }

  /** Marks the person of this name as the one who speaks; null: nobody does. */
  setSpeaker(name) {
    for (const tile of this.#tiles.values()) {
      tile.setActive(tile.key === name);
    }
  }

  /** Starts every picture, after a click. */
  playAll() {
    for (const tile of this.#tiles.values()) {
      tile.play();
    }
  }

  /** Empties the stage. */
  close() {
    clearInterval(this.#timer);
    this.#observer.disconnect();
    this.#sizes.close();
    this.#tiles.clear();
    stage.replaceChildren();
  }

  #buildInvite() {
    this.#invite.className = "invite";
    const words = document.createElement("p");
    words.textContent = "Nobody else is here yet.";
    const label = document.createElement("span");
    label.textContent = "Copy the link of this room";
    this.inviteButton.type = "button";
    this.inviteButton.className = "button button-primary";
    this.inviteButton.append(icon("link"), label);
    this.#invite.append(words, this.inviteButton);
  }

  #layout() {
    const tiles = [...this.#tiles.values()];
    this.#invite.hidden = this.size > 1;
    const main = this.#main === null ? -1 : tiles.indexOf(this.#main);
    const places = arrange(tiles.length, stage.clientWidth, stage.clientHeight, main);
    tiles.forEach((tile, index) => tile.place(places[index]));
  }
}
