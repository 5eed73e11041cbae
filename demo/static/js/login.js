/** The form to enter a room. */

/** Letters, digits and what people put between them; nothing that needs escaping in a link. */
const NAME = /^[\p{L}\p{N}](?:[\p{L}\p{N}\p{M} ._'-]*[\p{L}\p{N}\p{M}])?$/u;
const ROOM = /^[\p{L}\p{N}][\p{L}\p{N}\p{M}._-]*$/u;
/** Milliseconds between two looks at which rooms are open. */
const ROOMS_INTERVAL = 5000;
/** Rooms on the list; a public server may have thousands. */
const MAX_ROOMS = 24;

const view = document.getElementById("login");
const form = document.getElementById("loginForm");
const name = document.getElementById("name");
const room = document.getElementById("roomName");
const joinButton = document.getElementById("joinBtn");
const joinLabel = document.getElementById("joinLabel");
const progress = document.getElementById("joinProgress");
const openRooms = document.getElementById("openRooms");
const roomList = document.getElementById("roomList");

let timer = null;

/** @param {(user: string, room: string) => void} enter called with valid names */
export function initLogin(enter) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const user = name.value.trim().normalize("NFC");
    const where = room.value.trim().normalize("NFC");
    const roomOk = check(room, "roomError", where, ROOM, "a room name", "Letters, digits, dot, hyphen and underscore only.");
    const nameOk = check(name, "nameError", user, NAME, "your name", "Letters, digits, spaces and . _ ' - only.");
    if (nameOk && roomOk) {
      enter(user, where);
    }
  });
}

/** Shows the form. */
export function showLogin() {
  view.hidden = false;
  setProgress("");
  (name.value === "" ? name : room.value === "" ? room : joinButton).focus();
  void listRooms();
  clearInterval(timer);
  timer = setInterval(() => void listRooms(), ROOMS_INTERVAL);
}

/** Hides the form. */
export function hideLogin() {
  view.hidden = true;
  clearInterval(timer);
}

/** Fills in the room of a link. */
export function setRoom(value) {
  room.value = value;
}

/** Says what the page is waiting for; the empty text gives the form back. */
export function setProgress(text) {
  progress.textContent = text;
  joinButton.disabled = text !== "";
  joinLabel.textContent = text === "" ? "Join" : "Joining…";
}

function check(input, errorId, value, pattern, what, rule) {
  const error = value === "" ? `Please enter ${what}.` : pattern.test(value) ? "" : rule;
  document.getElementById(errorId).textContent = error;
  input.setAttribute("aria-invalid", String(error !== ""));
  if (error !== "") {
    input.focus();
  }
  return error === "";
}

async function listRooms() {
  let names = [];
  try {
    const response = await fetch("getAllRooms", { headers: { accept: "application/json" } });
    names = response.ok ? await response.json() : [];
  } catch {
    // The list is a convenience; joining says soon enough whether the server is there.
  }
  const texts = (Array.isArray(names) ? names : []).filter((entry) => typeof entry === "string").sort().slice(0, MAX_ROOMS);
  openRooms.hidden = texts.length === 0;
  const shown = [...roomList.querySelectorAll("button")].map((button) => button.textContent);
  if (texts.length === shown.length && texts.every((text, index) => text === shown[index])) {
    return;
  }
  roomList.replaceChildren(...texts.map(chip));
}

function chip(text) {
  const item = document.createElement("li");
  const button = document.createElement("button");
  button.type = "button";
  button.className = "button room-chip";
  button.textContent = text;
  button.addEventListener("click", () => {
    setRoom(text);
    (name.value === "" ? name : joinButton).focus();
  });
  item.append(button);
  return item;
}
