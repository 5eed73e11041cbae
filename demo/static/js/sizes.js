/**
 * Tells the server how large every picture is shown, so that it sends no more than can be seen: thumbnails come small,
 * the large picture in full.
 */

/** Heights that are told: while a window is resized, not every pixel is worth a message. */
const STEPS = [90, 120, 180, 240, 360, 480, 540, 720, 1080, 1440, 2160];
/** Milliseconds that sizes have to stay before they are told. */
const SETTLE = 250;

/**
 * The lines of a picture that are enough for a tile, all lines being 0.
 *
 * @param {number} height of the tile in CSS pixels
 * @param {number} scale device pixels per CSS pixel
 */
export function linesFor(height, scale) {
  const needed = Math.ceil(height * scale);
  return STEPS.find((step) => step >= needed) ?? 0;
}

export class Sizes {
  #tiles = new Map();
  #told = new WeakMap();
  #timer = null;
  #observer = new ResizeObserver(() => this.#settle());
  #tell;

  /** @param {(preferences: {stream: object, height: number}[]) => void} tell */
  constructor(tell) {
    this.#tell = tell;
  }

  /** Watches the size of a tile. */
  watch(tile) {
    this.#tiles.set(tile.element, tile);
    this.#observer.observe(tile.element);
  }

  /** Watches a tile no longer. */
  forget(tile) {
    this.#tiles.delete(tile.element);
    this.#observer.unobserve(tile.element);
  }

  /** Tells what is not told yet, soon: a stream came to a tile, or a tile has another size. */
  #settle() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.tellNow(), SETTLE);
  }

  /** Tells what is not told yet. */
  tellNow() {
    const preferences = [];
    for (const { element, stream, own } of this.#tiles.values()) {
      // A tile that is not laid out says nothing.
      if (own || stream === null || element.clientHeight === 0) {
        continue;
      }
      const height = linesFor(element.clientHeight, devicePixelRatio);
      if (this.#told.get(stream) !== height) {
        this.#told.set(stream, height);
        preferences.push({ stream, height });
      }
    }
    if (preferences.length > 0) {
      this.#tell(preferences);
    }
  }

  /** Watches nothing any more. */
  close() {
    clearTimeout(this.#timer);
    this.#observer.disconnect();
    this.#tiles.clear();
  }
}
