/** The state of the connection, and the notice below the head. */

const connection = document.getElementById("connection");
const notice = document.getElementById("notice");

const WORDS = { connected: "Connected", reconnecting: "Reconnecting…", lost: "Not connected" };

let since = 0;
let timer = null;

/** @param {"connected" | "reconnecting" | "lost"} state of the connection to the server */
export function setConnection(state) {
  connection.dataset.state = state;
  connection.textContent = WORDS[state];
  clearInterval(timer);
  timer = null;
  if (state === "reconnecting") {
    since = Date.now();
    tellReconnecting();
    timer = setInterval(tellReconnecting, 5000);
  } else {
    clearNotice();
  }
}

/** Shows a notice, with a button if there is something to do about it. */
export function setNotice(text, action) {
  const words = document.createElement("span");
  words.textContent = text;
  notice.replaceChildren(words);
  if (action !== undefined) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "button";
    button.textContent = action.label;
    button.addEventListener("click", action.run);
    notice.append(button);
  }
  notice.hidden = false;
}

/** Takes the notice away. */
export function clearNotice() {
  notice.hidden = true;
  notice.replaceChildren();
}

function tellReconnecting() {
  const seconds = Math.round((Date.now() - since) / 1000);
  setNotice(
    seconds < 5
      ? "The connection to the server was lost. Reconnecting…"
      : `The server has not answered for ${seconds} seconds. Reconnecting as soon as it is back…`,
  );
}
