/** The chat panel. Names and texts are only ever put in as text. */

import { hueOf } from "./person.js";

/** Messages that stay on the page; older ones go. */
const MAX_MESSAGES = 500;

const panel = document.getElementById("chat");
const log = document.getElementById("chatLog");
const form = document.getElementById("chatForm");
const input = document.getElementById("chatInput");
const toggle = document.getElementById("buttonChat");
const badge = document.getElementById("chatUnread");
const badgeCount = document.getElementById("chatUnreadCount");

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });

/** Chat of one call. */
export class Chat {
  #user;
  #unread = 0;
  #listeners = new AbortController();

  /**
   * @param {string} user our own name
   * @param {(text: string) => void} send sends a message
   */
  constructor(user, send) {
    this.#user = user;
    const { signal } = this.#listeners;
    log.replaceChildren();
    input.value = "";
    this.#show(false);
    toggle.addEventListener("click", () => this.#show(panel.hidden), { signal });
    document.getElementById("buttonCloseChat").addEventListener("click", () => this.#close(), { signal });
    panel.addEventListener("keydown", (event) => event.key === "Escape" && this.#close(), { signal });
    form.addEventListener(
      "submit",
      (event) => {
        event.preventDefault();
        const text = input.value.trim();
        if (text !== "") {
          send(text);
          input.value = "";
        }
      },
      { signal },
    );
  }

  /** Adds a message of `user`. */
  add(user, text) {
    const own = user === this.#user;
    const item = document.createElement("div");
    item.className = own ? "message message-own" : "message";
    item.dataset.testid = "chat-message";
    const head = document.createElement("div");
    head.className = "message-head";
    const author = document.createElement("span");
    author.className = "message-author";
    author.style.setProperty("--hue", String(hueOf(user)));
    author.textContent = own ? "You" : user;
    const time = document.createElement("time");
    const now = new Date();
    time.dateTime = now.toISOString();
    time.textContent = clock.format(now);
    head.append(author, time);
    const body = document.createElement("p");
    body.className = "message-text";
    body.textContent = text;
    item.append(head, body);
    this.#append(item);
    if (panel.hidden && !own) {
      this.#setUnread(this.#unread + 1);
    }
  }

  /** Adds a line that nobody said. */
  note(text) {
    const item = document.createElement("div");
    item.className = "message-system";
    item.textContent = text;
    this.#append(item);
  }

  /** Takes the panel away. */
  close() {
    this.#listeners.abort();
    this.#show(false);
    log.replaceChildren();
  }

  #append(item) {
    const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
    log.append(item);
    while (log.childElementCount > MAX_MESSAGES) {
      log.firstElementChild.remove();
    }
    if (atEnd) {
      log.scrollTop = log.scrollHeight;
    }
  }

  #close() {
    this.#show(false);
    toggle.focus();
  }

  #show(visible) {
    panel.hidden = !visible;
    toggle.setAttribute("aria-expanded", String(visible));
    if (visible) {
      log.scrollTop = log.scrollHeight;
      input.focus();
    }
    this.#setUnread(0);
  }

  #setUnread(count) {
    this.#unread = count;
    badge.hidden = count === 0;
    badgeCount.textContent = count > 99 ? "99+" : String(count);
  }
}
