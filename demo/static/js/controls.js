/** The buttons below and above the stage. */

import { setIcon } from "./icons.js";
import { shareWith } from "./share.js";

const volume = document.getElementById("buttonVolume");
const videocam = document.getElementById("buttonVideocam");
const disconnect = document.getElementById("buttonDisconnect");
const filter = document.getElementById("filterButton");
const follow = document.getElementById("buttonMainSpeaker");
const leave = document.getElementById("buttonLeaveRoom");
const copyLink = document.getElementById("buttonCopyLink");

/** What {@link Controls.setDisconnect} can offer: label and sign. */
const OFFERS = {
  unpublish: ["Unpublish", "unshare"],
  publish: ["Publish", "share"],
  stop: ["Stop watching", "eye-off"],
  watch: ["Watch", "camera"],
};

export class Controls {
  #listeners = new AbortController();

  /** What the filter is called. */
  #filterName = "Hat";

  /**
   * @param {Record<"audio" | "video" | "disconnect" | "filter" | "follow" | "leave", () => void>} actions
   */
  constructor(actions) {
    const { signal } = this.#listeners;
    const buttons = { audio: volume, video: videocam, disconnect, filter, follow, leave };
    for (const [action, button] of Object.entries(buttons)) {
      button.addEventListener("click", () => actions[action](), { signal });
    }
  }

  /** Hands out the link of a room with the button of the head, and with another one. */
  shareRoom(room, button) {
    for (const one of [copyLink, button]) {
      shareWith(one, () => room, this.#listeners.signal);
    }
  }

  /** Shows whether the microphone is on. */
  setAudio(on) {
    toggle(volume, !on, on ? "mic" : "mic-off", on ? "Mute" : "Unmute");
  }

  /** Shows whether the camera is on. */
  setVideo(on) {
    toggle(videocam, !on, on ? "camera" : "camera-off", on ? "Camera off" : "Camera on");
  }

  /** Says what the filter of this server is: `hat` or `marker`. */
  setFilterKind(kind) {
    this.#filterName = kind === "marker" ? "Marker" : "Hat";
    this.setFilter(false);
  }

  /** Shows whether others see us filtered. */
  setFilter(on) {
    toggle(filter, on, "hat", on ? `${this.#filterName} off` : this.#filterName);
  }

  /** Shows whether whoever speaks becomes the large tile. */
  setFollow(on) {
    follow.setAttribute("aria-pressed", String(on));
  }

  /** Says which of our devices are there to be turned off. */
  setDevices({ audio, video }) {
    volume.disabled = !audio;
    videocam.disabled = !video;
    filter.disabled = !video;
  }

  /**
   * @param {"unpublish" | "publish" | "stop" | "watch"} offer what the button is going to do
   * @param {boolean} possible whether it can be done now
   */
  setDisconnect(offer, possible = true) {
    const [label, sign] = OFFERS[offer];
    disconnect.disabled = !possible;
    name(disconnect, label);
    disconnect.dataset.offer = offer;
    setIcon(disconnect, sign);
  }

  /** Stops listening. */
  close() {
    this.#listeners.abort();
  }
}

/** The label says what the button does next, so it is no pressed button to those who hear the page. */
function toggle(button, pressed, sign, label) {
  button.dataset.pressed = String(pressed);
  name(button, label);
  setIcon(button, sign);
}

/** The label may be too long for the screen: then only the sign is shown, and this on demand. */
function name(button, label) {
  button.querySelector(".control-label").textContent = label;
  button.title = label;
}
