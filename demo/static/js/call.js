/** One call: the client's room on one side, stage, chat and controls on the other. */

import { KurentoRoom } from "./salono-client.js";
import { Chat } from "./chat.js";
import { Controls } from "./controls.js";
import { ask, dismiss } from "./dialog.js";
import { messageOf } from "./errors.js";
import { leaveFullscreen } from "./fullscreen.js";
import { Own } from "./own.js";
import { loadSettings } from "./settings.js";
import { clearNotice, setConnection, setNotice } from "./status.js";
import { Stage } from "./stage.js";
import { Tile } from "./tile.js";

/** Times a broken stream is asked for again before the choice is left to the user. */
const MAX_RETRIES = 3;
/** Milliseconds before the first of them; doubled each time. */
const RETRY_DELAY = 1000;

const view = document.getElementById("call");
const roomTitle = document.getElementById("roomTitle");
const peopleCount = document.getElementById("peopleCount");

export class Call {
  /** The client, or null before there is a connection. */
  kurento = null;
  /** The client's room. */
  room = null;
  #user;
  #roomName;
  #ended;
  #settings = null;
  #stage = null;
  #chat = null;
  #controls = null;
  #own = null;
  /** Whether whoever speaks becomes the large tile. */
  #follows = false;
  /** Whether the server itself tells who speaks. */
  #isTold = false;
  #unwatched = new Set();
  #retries = new Map();
  #timers = new Set();
  #over = false;

  /**
   * @param {string} user our name
   * @param {string} roomName where to
   * @param {(again: boolean) => void} ended called when the call is over; `again`: enter the same room anew
   */
  constructor(user, roomName, ended) {
    this.#user = user;
    this.#roomName = roomName;
    this.#ended = ended;
  }

  /**
   * Connects, opens camera and microphone, joins.
   *
   * @param {(step: string) => void} progress says what the page is waiting for
   * @returns {Promise<boolean>} false if the user thought better of it
   */
  async enter(progress) {
    progress("Connecting to the server…");
    [this.kurento, this.#settings] = await Promise.all([connect(), loadSettings()]);
    this.room = this.kurento.Room({
      room: this.#roomName,
      user: this.#user,
      subscribeToStreams: false,
      updateSpeakerInterval: this.#settings.updateSpeakerInterval,
      thresholdSpeaker: this.#settings.thresholdSpeaker,
      activeSpeaker: true,
      videoLayers: true,
    });
    this.#own = new Own(this.kurento, this.room, this.#settings);
    progress("Waiting for your camera and microphone. Please allow both.");
    if (!(await this.#own.openDevices("Enter without"))) {
      this.kurento.close();
      return false;
    }
    progress("Entering the room…");
    const { participants } = await this.#join();
    this.#build();
    for (const participant of participants) {
      this.#addPerson(participant);
    }
    return true;
  }

  /** Shows the call and starts to publish. */
  show() {
    roomTitle.textContent = this.#roomName;
    document.title = `${this.#roomName} · Salono`;
    view.hidden = false;
    // Places depend on the size of a stage that can be seen.
    this.#stage.select(null);
    setConnection("connected");
    this.#own.publish();
    this.#offerDisconnect();
  }

  /** Says goodbye to the server while the page goes away. */
  goodbye() {
    this.kurento?.close();
  }

  #join() {
    return new Promise((resolve, reject) => {
      this.room.addEventListener("room-connected", resolve);
      this.room.addEventListener("error-room", ({ error }) => {
        this.kurento.close(true);
        reject(error);
      });
      this.#listen();
      this.room.connect();
    });
  }

  #build() {
    const resized = (preferences) => this.room.setVideoPreferences(preferences);
    this.#stage = new Stage(() => this.#offerDisconnect(), resized);
    this.#chat = new Chat(this.#user, (text) => this.kurento.sendMessage(this.#roomName, this.#user, text));
    this.#controls = new Controls({
      audio: () => this.#own.toggleAudio(),
      video: () => this.#own.toggleVideo(),
      disconnect: () => this.#disconnect(),
      filter: () => this.#own.toggleFilter(),
      follow: () => this.#follow(!this.#follows),
      leave: () => this.#leave(),
    });
    this.#controls.setFilterKind(this.#settings.filterRequestParam);
    this.#controls.shareRoom(this.#roomName, this.#stage.inviteButton);
    this.#follow(false);
    const actions = this.#tileActions(this.#user, () => void this.#republish());
    this.#own.draw(this.#user, this.#stage, this.#controls, actions);
    this.#count();
  }

  #listen() {
    const on = (name, listener) =>
      this.room.addEventListener(name, (event) => {
        // Before the join has been answered there is nothing to draw on; its answer lists what came meanwhile.
        if (!this.#over && this.#stage !== null) {
          listener(event);
        }
      });
    on("participant-joined", ({ participant }) => {
      this.#addPerson(participant);
      this.#chat.note(`${participant.getID()} joined`);
    });
    on("participant-left", ({ participant }) => {
      const name = participant.getID();
      this.#stage.remove(name);
      this.#unwatched.delete(name);
      this.#chat.note(`${name} left`);
      this.#count();
    });
    on("stream-added", ({ stream }) => this.#watch(stream));
    on("stream-removed", ({ stream }) => this.#forget(stream));
    on("stream-subscribed", ({ stream }) => this.#tileOf(stream)?.setState("connected"));
    on("stream-published", () => this.#own.tile.setState("here"));
    on("stream-connection", ({ stream, state }) => this.#connectionChanged(stream, state));
    on("stream-speaking", ({ participantId }) => this.#stage.showing(participantId)?.setSpeaking(true));
    on("stream-stopped-speaking", ({ participantId }) => this.#stage.showing(participantId)?.setSpeaking(false));
    on("active-speaker", ({ participant }) => {
      this.#isTold = true;
      this.#stage.setSpeaker(participant?.getID() ?? null);
      this.#speaks(participant?.getID());
    });
    on("update-main-speaker", ({ participantId }) => {
      if (!this.#isTold) {
        this.#speaks(this.#stage.showing(participantId)?.name);
      }
    });
    on("video-layer", (layer) => this.#stage.get(layer.participant.getID())?.setLayer(layer));
    on("newMessage", ({ user, message }) => this.#chat.add(user, message));
    on("error-media", ({ error, stream }) => this.#mediaFailed(error, stream));
    on("reconnecting", () => setConnection("reconnecting"));
    on("reconnected", () => setConnection("connected"));
    on("lost-connection", () => void this.#lost("The connection is lost", "You are no longer in the room."));
    on("room-closed", () => void this.#lost("The room was closed", "The server has closed this room."));
    on("participant-evicted", () => void this.#lost("You were removed", "You have been removed from this room."));
  }

  #addPerson(participant) {
    const name = participant.getID();
    if (this.#stage.get(name) !== undefined) {
      return;
    }
    this.#stage.add(new Tile(name, false, this.#tileActions(name, () => this.#watchAgain(name))));
    for (const stream of Object.values(participant.getStreams())) {
      this.#watch(stream);
    }
    this.#count();
  }

  #tileActions(name, again) {
    return {
      select: () => {
        const tile = this.#stage.get(name);
        this.#stage.select(this.#stage.main === tile ? null : tile);
        // Whoever chooses for himself wants no other choice.
        this.#follow(false);
      },
      stop: () => this.#unwatch(name),
      again,
      blocked: () =>
        setNotice("The browser keeps quiet until you click.", {
          label: "Turn sound on",
          run: () => {
            clearNotice();
            this.#stage.playAll();
          },
        }),
    };
  }

  #tileOf(stream) {
    return this.#stage.showing(stream.getGlobalID());
  }

  #streamOf(name) {
    const participant = this.room.getParticipants()[name];
    return Object.values(participant?.getStreams() ?? {})[0];
  }

  #watch(stream) {
    const name = stream.getParticipant().getID();
    const tile = this.#stage.get(name);
    if (tile === undefined || tile.stream === stream) {
      return;
    }
    if (this.#unwatched.has(name)) {
      // Published anew; the choice not to watch still holds.
      tile.setState("stopped");
    } else {
      stream.addEventListener("media-changed", () => tile.stream === stream && tile.play());
      tile.attach(stream);
      this.room.subscribe(stream);
    }
    this.#offerDisconnect();
  }

  #watchAgain(name) {
    this.#unwatched.delete(name);
    this.#retries.delete(name);
    const stream = this.#streamOf(name);
    if (stream !== undefined) {
      this.#watch(stream);
    }
  }

  #unwatch(name) {
    const tile = this.#stage.get(name);
    const stream = tile?.stream;
    if (tile !== undefined && stream) {
      this.#unwatched.add(name);
      this.kurento.disconnectParticipant(stream);
      this.#clear(tile, "stopped");
    }
  }

  #forget(stream) {
    const tile = this.#stage.get(stream.getParticipant().getID());
    if (tile !== undefined) {
      this.#clear(tile, "absent");
    }
  }

  #clear(tile, state) {
    tile.detach();
    tile.setState(state);
    this.#offerDisconnect();
  }

  #connectionChanged(stream, state) {
    const name = stream.getParticipant().getID();
    if (state === "connected") {
      this.#retries.delete(name);
      return;
    }
    if (state === "failed") {
      this.#retry(stream, name);
    }
  }

  /** Asks for a stream anew whose connection broke: the network may have changed under it. */
  #retry(stream, name) {
    const tile = this.#stage.get(name);
    const attempt = this.#retries.get(name) ?? 0;
    this.#retries.set(name, attempt + 1);
    if (stream.isActive()) {
      this.kurento.disconnectParticipant(stream);
    }
    if (tile === undefined || attempt >= MAX_RETRIES) {
      if (stream.isLocal()) {
        this.#own.notPublished();
        this.#offerDisconnect();
      } else if (tile !== undefined) {
        this.#clear(tile, "failed");
      }
      return;
    }
    this.#clear(tile, "connecting");
    this.#later(RETRY_DELAY * 2 ** attempt, () => {
      if (stream.isLocal()) {
        void this.#republish();
      } else if (this.#streamOf(name) === stream && !this.#unwatched.has(name)) {
        this.#watch(stream);
      }
    });
  }

  #mediaFailed(error, stream) {
    if (stream === undefined) {
      setNotice(`The server reports a fault: ${messageOf(error)}`, { label: "Dismiss", run: clearNotice });
      return;
    }
    const name = stream.getParticipant().getID();
    const tile = this.#stage.get(name);
    if (stream.isLocal()) {
      this.#own.notPublished();
    } else if (tile !== undefined) {
      this.#clear(tile, "failed");
    }
    const what = stream.isLocal() ? "You could not be published" : `${name} could not be received`;
    setNotice(`${what}: ${messageOf(error)}`, { label: "Dismiss", run: clearNotice });
    // The server may hold its half of the connection: give it back, or the next attempt is refused.
    this.kurento.disconnectParticipant(stream);
    this.#offerDisconnect();
  }

  async #republish() {
    await this.#own.republish();
    if (!this.#over) {
      this.#offerDisconnect();
    }
  }

  /** Makes whoever speaks the large tile from now on, or no longer. */
  #follow(on) {
    this.#follows = on;
    this.#controls.setFollow(on);
  }

  #speaks(name) {
    const tile = this.#stage.get(name);
    if (this.#follows && tile !== undefined && !tile.own && tile !== this.#stage.main) {
      this.#stage.select(tile);
    }
  }

  /** Acts on the large tile, or on ourselves when all are alike. */
  #disconnect() {
    const tile = this.#stage.main ?? this.#own.tile;
    if (tile.own) {
      if (this.#own.published) {
        this.#own.unpublish();
        this.#offerDisconnect();
      } else {
        void this.#republish();
      }
    } else if (tile.stream !== null) {
      this.#unwatch(tile.name);
    } else {
      this.#watchAgain(tile.name);
    }
  }

  #offerDisconnect() {
    const tile = this.#stage.main ?? this.#own.tile;
    if (tile === null) {
      return;
    }
    if (tile.own) {
      this.#controls.setDisconnect(this.#own.published ? "unpublish" : "publish");
    } else {
      // Somebody who publishes nothing cannot be watched.
      this.#controls.setDisconnect(tile.stream === null ? "watch" : "stop", this.#streamOf(tile.name) !== undefined);
    }
  }

  #count() {
    peopleCount.textContent = String(this.#stage.size);
  }

  #later(delay, run) {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      if (!this.#over) {
        run();
      }
    }, delay);
    this.#timers.add(timer);
  }

  async #lost(title, text) {
    setConnection("lost");
    this.#tearDown(true);
    const choice = await ask({ title, text }, [
      { label: "Enter again", value: "again" },
      { label: "Back to the start", value: "leave" },
    ]);
    this.#end(choice === "again");
  }

  #leave() {
    this.#tearDown(false);
    this.#end(false);
  }

  #tearDown(forced) {
    this.#over = true;
    dismiss();
    for (const timer of this.#timers) {
      clearTimeout(timer);
    }
    this.kurento.close(forced);
    this.#own.close();
    this.#controls.close();
  }

  #end(again) {
    this.#stage.close();
    this.#chat.close();
    leaveFullscreen();
    clearNotice();
    view.hidden = true;
    document.title = "Salono";
    this.#ended(again);
  }
}

/** Opens the connection to the server that the page came from. */
function connect() {
  const uri = new URL("room", document.baseURI);
  uri.protocol = uri.protocol === "https:" ? "wss:" : "ws:";
  uri.hash = "";
  // Servers that want a token take it from here.
  const token = new URLSearchParams(location.search).get("token");
  uri.search = token === null ? "" : `token=${encodeURIComponent(token)}`;
  return new Promise((resolve, reject) => {
    KurentoRoom(uri.href, (error, kurento) => {
      if (error === null) {
        resolve(kurento);
      } else {
        reject(new Error("The server cannot be reached."));
      }
    });
  });
}
