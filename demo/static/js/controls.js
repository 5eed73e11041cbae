/** The buttons below the stage. */

import { setIcon } from "./icons.js";

const volume = document.getElementById("buttonVolume");
const videocam = document.getElementById("buttonVideocam");
const disconnect = document.getElementById("buttonDisconnect");
const hat = document.getElementById("buttonHat");
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

  /** @param {{audio: () => void, video: () => void, disconnect: () => void, hat: () => void, leave: () => void}} actions */
  constructor(actions) {
    const { signal } = this.#listeners;
    volume.addEventListener("click", actions.audio, { signal });
    videocam.addEventListener("click", actions.video, { signal });
    disconnect.addEventListener("click", actions.disconnect, { signal });
    hat.addEventListener("click", actions.hat, { signal });
    leave.addEventListener("click", actions.leave, { signal });
    copyLink.addEventListener("click", () => void copy(), { signal });
  }

  /** Shows whether the microphone is on. */
  setAudio(on) {
    toggle(volume, !on, on ? "mic" : "mic-off", on ? "Mute" : "Unmute");
  }

  /** Shows whether the camera is on. */
  setVideo(on) {
    toggle(videocam, !on, on ? "camera" : "camera-off", on ? "Camera off" : "Camera on");
  }

  /** Shows whether others see us with a hat on. */
  setHat(on) {
    toggle(hat, on, "hat", on ? "Hat off" : "Hat");
  }

  /** Says which of our devices are there to be turned off. */
  setDevices({ audio, video }) {
    volume.disabled = !audio;
    videocam.disabled = !video;
    hat.disabled = !video;
  }

  /**
   * @param {"unpublish" | "publish" | "stop" | "watch"} offer what the button is going to do
   * @param {boolean} possible whether it can be done now
   */
  setDisconnect(offer, possible = true) {
    const [label, sign] = OFFERS[offer];
    disconnect.disabled = !possible;
    disconnect.querySelector(".control-label").textContent = label;
    disconnect.dataset.offer = offer;
    setIcon(disconnect, sign);
  }

  /** Stops listening. */
  close() {
    this.#listeners.abort();
  }
}

function toggle(button, pressed, sign, label) {
  button.setAttribute("aria-pressed", String(pressed));
  button.querySelector(".control-label").textContent = label;
  setIcon(button, sign);
}

async function copy() {
  const words = copyLink.querySelector("span");
  try {
    await navigator.clipboard.writeText(location.href);
    words.textContent = "Copied";
  } catch {
    words.textContent = "Copy it from the address bar";
  }
  setTimeout(() => {
    words.textContent = "Copy link";
  }, 2500);
}
