/** The video elements of one stream, with the element ids that KurentoRoom applications look for. */

/** Characters of a user name that fit on its tag. */
const NAME_LENGTH = 16;

/** Keeps every element that shows one stream up to date. */
export class StreamElements {
  readonly #globalId: string;
  readonly #name: string;
  readonly #videos = new Set<{ video: HTMLVideoElement; thumbId: string | undefined }>();
  readonly #containers = new Set<HTMLElement>();
  #media: MediaStream | null = null;
  #muted = false;

  constructor(globalId: string, name: string) {
    this.#globalId = globalId;
    this.#name = name;
  }

  /** Shows `media` in every element. Muted elements play no sound: nobody wants to hear himself. */
  show(media: MediaStream | null, muted: boolean): void {
    this.#media = media;
    this.#muted = muted;
    for (const { video, thumbId } of this.#videos) {
      this.#update(video, thumbId);
    }
  }

  /** Appends a video element to `parent`; `thumbId` is an element that becomes visible with the first media. */
  addVideo(parent: string | HTMLElement, thumbId?: string): HTMLVideoElement {
    const video = document.createElement("video");
    video.id = `native-video-${this.#globalId}`;
    video.autoplay = true;
    video.playsInline = true;
    video.controls = false;
    this.#videos.add({ video, thumbId });
    this.#update(video, thumbId);
    element(parent).append(video);
    return video;
  }

  /** Appends a container with a name tag, a progress sign and a video to the element `thumbId`. */
  addThumbnail(thumbId: string): HTMLVideoElement {
    const container = document.createElement("div");
    container.id = this.#globalId;
    container.className = "participant";
    const name = document.createElement("div");
    name.id = `name-${this.#globalId}`;
    name.className = "name";
    name.textContent = this.#name.length > NAME_LENGTH ? `${this.#name.slice(0, NAME_LENGTH)}...` : this.#name;
    const progress = document.createElement("div");
    progress.id = `progress-${this.#globalId}`;
    progress.className = "spinner";
    progress.setAttribute("role", "progressbar");
    container.append(name, progress);
    this.#containers.add(container);
    element(thumbId).append(container);
    return this.addVideo(container, thumbId);
  }

  /** Removes one video element from the page and stops its sound. */
  removeVideo(video: HTMLVideoElement): void {
    for (const entry of this.#videos) {
      if (entry.video === video) {
        this.#videos.delete(entry);
      }
    }
    video.srcObject = null;
    video.remove();
  }

  /** Removes every element from the page. */
  remove(): void {
    for (const { video } of this.#videos) {
      video.srcObject = null;
      video.remove();
    }
    for (const container of this.#containers) {
      container.remove();
    }
    this.#videos.clear();
    this.#containers.clear();
  }

  #update(video: HTMLVideoElement, thumbId: string | undefined): void {
    video.muted = this.#muted;
    if (video.srcObject !== this.#media) {
      video.srcObject = this.#media;
    }
    if (this.#media === null) {
      return;
    }
    document.getElementById(`progress-${this.#globalId}`)?.remove();
    const thumb = thumbId === undefined ? null : document.getElementById(thumbId);
    if (thumb !== null) {
      thumb.hidden = false;
      thumb.style.removeProperty("display");
    }
  }
}

function element(parent: string | HTMLElement): HTMLElement {
  const found = typeof parent === "string" ? document.getElementById(parent) : parent;
  if (found === null) {
    throw new Error(`The page has no element with the id ${String(parent)}`);
  }
  return found;
}
