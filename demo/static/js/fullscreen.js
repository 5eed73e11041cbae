/** The call on the whole screen, where browsers can do that. */

const view = document.getElementById("call");
const button = document.getElementById("goFullscreen");

/** Offers the whole screen; browsers of small phones cannot do it. */
export function initFullscreen() {
  button.hidden = !document.fullscreenEnabled;
  button.addEventListener("click", () => {
    const change = document.fullscreenElement === null ? view.requestFullscreen() : document.exitFullscreen();
    // Refused: the page stays as it is, which is what is to be seen.
    change.catch(() => undefined);
  });
  document.addEventListener("fullscreenchange", () => {
    const on = document.fullscreenElement !== null;
    const label = on ? "Leave full screen" : "Full screen";
    button.setAttribute("aria-label", label);
    button.title = label;
    button.querySelector("use").setAttribute("href", on ? "#icon-shrink" : "#icon-expand");
  });
}

/** Gives the screen back when the call is over. */
export function leaveFullscreen() {
  if (document.fullscreenElement !== null) {
    document.exitFullscreen().catch(() => undefined);
  }
}
