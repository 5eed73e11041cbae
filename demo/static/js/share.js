/** The link of the room: to a clipboard, or to whatever a phone shares with. */

import { setIcon } from "./icons.js";

/** Milliseconds that a button says what became of the link. */
const THANKS = 2500;

/**
 * Makes a button hand out the link of the room. Its last `span` says what it does.
 *
 * @param {HTMLButtonElement} button
 * @param {() => string} room the room's name
 * @param {AbortSignal} signal ends it
 */
export function shareWith(button, room, signal) {
  const words = button.querySelector("span");
  const usual = words.textContent;
  let timer = null;
  const say = (text) => {
    words.textContent = text;
    setIcon(button, text === "Copied" ? "check" : "link");
    clearTimeout(timer);
    timer = setTimeout(() => {
      words.textContent = usual;
      setIcon(button, "link");
    }, THANKS);
  };
  button.addEventListener(
    "click",
    async () => {
      const url = location.href.replace(/\?[^#]*/, "");
      try {
        if (isHandheld() && navigator.share !== undefined) {
          await navigator.share({ title: room(), url });
        } else {
          await navigator.clipboard.writeText(url);
          say("Copied");
        }
      } catch (error) {
        // Whoever closes the phone's own dialog has seen what happened.
        if (error.name !== "AbortError") {
          say("Copy it from the address bar");
        }
      }
    },
    { signal },
  );
}

function isHandheld() {
  return matchMedia("(hover: none) and (pointer: coarse)").matches;
}
