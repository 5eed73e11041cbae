/** One person on the stage: picture, or initials where there is none, name, and what can be done. */

import { icon } from "./icons.js";
import { hueOf, initialsOf } from "./person.js";
import { isBlack } from "./picture.js";
import { describe } from "./quality.js";
import { judge, readReport } from "./salono-client.js";

/** Below this width (CSS pixels) buttons lose their words. */
const SMALL = 380;

export class Tile {
  /** The tile itself. */
  element = document.createElement("article");
  /** What the stage knows the tile by: the user name, or a symbol for a second tile of ours. */
  key;
  /** User name. */
  name;
  /** True for our own tile. */
  own;
  /** The stream on show, or null. */
  stream = null;
  /** True while our own camera is off. */
  #hidden = false;
  #title;
  #nameTag = document.createElement("span");
  #face = document.createElement("div");
  #note = document.createElement("p");
  #again = document.createElement("button");
  #tag = document.createElement("div");
  #surface = document.createElement("button");
  #stop = document.createElement("button");
  #media = null;
  #video = null;
  #connected = false;
  #blackBefore = false;
  #micOff = icon("mic-off");
  #quality = document.createElement("span");
  #reading = null;
  #layer = null;

  /**
   * @param {string} name user name
   * @param {boolean} own whether this is us
   * @param {{select: () => void, stop: () => void, again: () => void, blocked: () => void}} actions
   */
  constructor(name, own, actions) {
    this.key = name;
    this.name = name;
    this.own = own;
    this.element.id = `person-${name}`;
    this.element.className = own ? "tile tile-mirror" : "tile";
    this.element.dataset.testid = "tile";
    this.element.dataset.user = name;
    this.#title = own ? `${name} (you)` : name;
    this.element.setAttribute("aria-label", this.#title);
    this.element.style.setProperty("--hue", String(hueOf(name)));
    this.actions = actions;
    this.#build();
    this.refresh();
  }

  /** Shows a stream; its picture comes as soon as there is media. */
  attach(stream) {
    this.detach();
    this.stream = stream;
    const media = document.createElement("div");
    media.id = `video-${stream.getGlobalID()}`;
    media.className = "tile-media";
    media.dataset.testid = "media";
    this.#media = media;
    this.#video = stream.playOnlyVideo(media);
    this.#video.disablePictureInPicture = true;
    for (const event of ["loadeddata", "playing", "resize"]) {
      this.#video.addEventListener(event, () => this.refresh());
    }
    this.#surface.after(media);
    this.setState("connecting");
    this.play();
  }

  /** Takes the stream off the page; whoever has one may attach it again. */
  detach() {
    if (this.#video !== null) {
      this.stream.removeVideo(this.#video);
    }
    this.#media?.remove();
    this.#media = null;
    this.#video = null;
    this.stream = null;
    this.#connected = false;
    this.#reading = null;
    this.#layer = null;
    this.#quality.hidden = true;
    this.setSpeaking(false);
  }

  /**
   * Says how the stream is doing.
   *
   * @param {"connecting" | "connected" | "absent" | "stopped" | "failed" | "here"} state
   */
  setState(state) {
    this.#connected = state === "connected" || state === "here";
    const notes = { absent: "No camera or microphone", stopped: "You stopped watching", failed: "No connection" };
    this.#note.textContent = this.own && state === "absent" ? "Nobody sees or hears you" : (notes[state] ?? "");
    const labels = { stopped: "Watch again", failed: "Try again" };
    const label = this.own && state === "absent" ? "Publish" : labels[state];
    this.#again.hidden = label === undefined;
    this.#again.textContent = label ?? "";
    this.#stop.hidden = state !== "connecting" && state !== "connected" && state !== "here";
    this.refresh();
  }

  /** Starts the picture; browsers may want a click first. */
  play() {
    if (this.#video !== null && this.#video.srcObject !== null) {
      this.#video.play().catch((error) => {
        if (error.name === "NotAllowedError") {
          this.actions.blocked();
        }
      });
    }
  }

  /** Marks the person as speaking. */
  setSpeaking(speaking) {
    this.element.classList.toggle("tile-speaking", speaking);
  }

  /** Marks the person as the one who has the floor, for eyes and for screen readers. */
  setActive(active) {
    this.element.classList.toggle("tile-active", active);
    this.element.setAttribute("aria-label", active ? `${this.#title}, speaking` : this.#title);
  }

  /** Marks our own microphone as off. */
  setMuted(muted) {
    this.#micOff.toggleAttribute("hidden", !muted);
  }

  /** Says whether our own camera is off. */
  setHidden(hidden) {
    this.#hidden = hidden;
    this.refresh();
  }

  /** Our own picture comes back from the server, as others see it: it is no mirror. */
  setReturned(returned) {
    this.element.classList.toggle("tile-mirror", this.own && !returned);
    if (returned) {
      this.#rename(`${this.name} (you, from the server)`);
    }
  }

  /** Makes it the second tile of ours, with the picture as the camera has it. */
  setLocal() {
    this.key = Symbol(this.name);
    delete this.element.dataset.user;
    this.element.id = "localStream";
    this.element.dataset.testid = "local-tile";
    this.#rename(`${this.name} (you, local)`);
  }

  /** Marks the tile as the large one. */
  setMain(main) {
    this.element.classList.toggle("tile-main", main);
    this.#surface.setAttribute("aria-pressed", String(main));
    this.#surface.setAttribute("aria-label", main ? `Shrink ${this.name}` : `Enlarge ${this.name}`);
  }

  /** Puts the tile where it belongs. */
  place({ left, top, width, height }) {
    const { style } = this.element;
    style.left = `${left}px`;
    style.top = `${top}px`;
    style.width = `${width}px`;
    style.height = `${height}px`;
    style.setProperty("--avatar", `${Math.min(width, height) * 0.38}px`);
    this.element.classList.toggle("tile-small", width < SMALL);
  }

  /** Notes which quality the server sends. */
  setLayer(layer) {
    this.#layer = layer;
    this.element.dataset.layer = String(layer.spatialLayer);
  }

  /** Decides between picture and initials anew. */
  refresh() {
    this.element.dataset.picture = this.#picture();
  }

  /** Looks at how well the picture comes. */
  async measure() {
    const peer = this.stream?.getWebRtcPeer();
    if (!peer) {
      return;
    }
    const { stream } = this;
    const now = readReport((await peer.peerConnection.getStats()).values(), this.own ? "sent" : "received");
    if (this.stream !== stream) {
      return;
    }
    const quality = this.#reading === null ? null : judge(this.#reading, now);
    this.#reading = now;
    this.#quality.hidden = quality === null;
    if (quality !== null) {
      const words = describe(quality, this.#layer);
      this.#quality.dataset.level = quality.level;
      this.#quality.setAttribute("aria-label", words);
      this.element.title = words;
    }
  }

  #rename(title) {
    this.#title = title;
    this.#nameTag.textContent = title;
    this.element.setAttribute("aria-label", title);
  }

  #picture() {
    if (this.stream === null || this.#hidden) {
      return "off";
    }
    if (!this.#connected) {
      return "waiting";
    }
    if (this.#video === null || this.#video.videoWidth === 0) {
      return "off";
    }
    // One black picture may be a cut; two in a row are a camera that is off.
    const black = isBlack(this.#video);
    const off = black && this.#blackBefore;
    this.#blackBefore = black;
    return off ? "off" : "on";
  }

  #build() {
    this.#face.className = "tile-face";
    const avatar = document.createElement("div");
    avatar.className = "avatar";
    avatar.setAttribute("aria-hidden", "true");
    avatar.textContent = initialsOf(this.name);
    this.#note.className = "tile-note";
    this.#again.type = "button";
    this.#again.className = "button tile-again";
    this.#again.dataset.testid = "again";
    this.#again.addEventListener("click", () => this.actions.again());
    this.#face.append(avatar, this.#note, this.#again);

    this.#surface.type = "button";
    this.#surface.className = "tile-surface";
    this.#surface.addEventListener("click", () => this.actions.select());
    // The button is there for the keyboard; a pointer meets the picture above it.
    this.element.addEventListener("click", (event) => {
      if (event.target instanceof Element && event.target.closest("button") === null) {
        this.actions.select();
      }
    });

    this.#nameTag.className = "tile-name";
    this.#nameTag.textContent = this.#title;
    this.#tag.className = "tile-tag";
    this.#micOff.setAttribute("hidden", "");
    this.#quality.className = "tile-quality";
    this.#quality.dataset.testid = "quality";
    this.#quality.setAttribute("role", "img");
    this.#quality.hidden = true;
    this.#tag.append(this.#nameTag, this.#quality, this.#micOff);

    const row = document.createElement("div");
    row.className = "tile-actions";
    this.#stop.type = "button";
    this.#stop.className = "button";
    this.#stop.dataset.testid = "unsubscribe";
    const words = document.createElement("span");
    words.textContent = "Stop watching";
    this.#stop.append(icon("eye-off"), words);
    this.#stop.setAttribute("aria-label", `Stop watching ${this.name}`);
    this.#stop.title = "Stop watching";
    this.#stop.addEventListener("click", () => this.actions.stop());
    if (!this.own) {
      row.append(this.#stop);
    }
    this.element.append(this.#face, this.#surface, this.#tag, row);
    this.setMain(false);
    this.setState("absent");
  }
}
