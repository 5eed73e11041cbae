/** Ourselves in a call: camera and microphone, publishing, muting, the filter, and our picture from the server. */

import { ask } from "./dialog.js";
import { explainDevices, messageOf } from "./errors.js";
import { clearNotice, setNotice } from "./status.js";
import { Tile } from "./tile.js";

export class Own {
  /** The stream that we publish. */
  stream;
  /** Our tile, or null before {@link draw}. */
  tile = null;
  #kurento;
  #room;
  #settings;
  #stage = null;
  #controls = null;
  #mirror = null;
  #mirrorTile = null;
  #audioOn = true;
  #videoOn = true;
  #filterOn = false;
  #over = false;

  /**
   * @param {object} kurento the client
   * @param {object} room the client's room
   * @param {object} settings of the server
   */
  constructor(kurento, room, settings) {
    this.#kurento = kurento;
    this.#room = room;
    this.#settings = settings;
    this.stream = kurento.Stream(room, { id: "webcam", simulcast: true });
    room.addEventListener("custom-message-received", ({ params }) => this.#filterChanged(params));
  }

  /** True while we publish, or are about to. */
  get published() {
    return this.stream.isActive();
  }

  /**
   * Opens camera and microphone; asks what to do when there are none.
   *
   * @param {string} without label of the choice to go on without them
   * @returns {Promise<boolean>} false if the user thought better of it
   */
  async openDevices(without) {
    for (;;) {
      const error = await this.#initStream();
      if (error === null) {
        return true;
      }
      const choice = await ask(explainDevices(error), [
        { label: "Try again", value: "again" },
        { label: without, value: "without" },
        { label: "Cancel", value: "cancel" },
      ]);
      if (choice !== "again") {
        return choice === "without";
      }
    }
  }

  /** Puts us on the stage. */
  draw(name, stage, controls, actions) {
    this.#stage = stage;
    this.#controls = controls;
    this.tile = new Tile(name, true, actions);
    this.tile.setReturned(this.#settings.loopbackRemote);
    stage.add(this.tile);
    controls.setAudio(true);
    controls.setVideo(true);
  }

  /** Publishes what {@link openDevices} opened. */
  publish() {
    const media = this.stream.getWrStream();
    if (media === null) {
      this.#controls.setDevices({ audio: false, video: false });
      this.tile.setState("absent");
      return;
    }
    if (this.#settings.loopbackRemote) {
      this.stream.subscribeToMyRemote();
      if (this.#settings.loopbackAndLocal) {
        this.#showMirror(media);
      }
    }
    this.stream.publish();
    this.tile.attach(this.stream);
    this.tile.setState("here");
    this.#controls.setDevices({
      audio: media.getAudioTracks().length > 0,
      video: media.getVideoTracks().length > 0,
    });
    this.#applyMute();
  }

  /** Opens the devices anew, then publishes. */
  async republish() {
    if (this.published) {
      return;
    }
    this.tile.setState("connecting");
    const open = await this.openDevices("Stay without");
    if (this.#over) {
      return;
    }
    if (open) {
      this.publish();
    } else {
      this.tile.setState("absent");
    }
  }

  /** Publishes no longer. */
  unpublish() {
    this.#kurento.disconnectParticipant(this.stream);
    this.notPublished();
  }

  /** We are no longer published, whoever ended it. */
  notPublished() {
    this.tile.detach();
    this.tile.setState("absent");
    this.#hideMirror();
    this.#controls.setDevices({ audio: false, video: false });
    // It went with what was published.
    this.#showFilter(false);
  }

  toggleAudio() {
    this.#audioOn = !this.#audioOn;
    this.#applyMute();
  }

  toggleVideo() {
    this.#videoOn = !this.#videoOn;
    this.#applyMute();
  }

  /** The server changes what others see of us: it puts a hat on our face, or shows a picture on a marker. */
  toggleFilter() {
    const on = !this.#filterOn;
    const marker = this.#settings.filterRequestParam === "marker";
    this.#kurento.sendCustomRequest(marker ? { marker: on ? 1 : 0 } : { hat: on }, (error) => {
      if (this.#over) {
        return;
      }
      if (error) {
        setNotice(`The filter stays as it is: ${messageOf(error)}`, { label: "Dismiss", run: clearNotice });
      } else if (!marker) {
        this.#showFilter(on);
      }
    });
  }

  /** Does nothing any more. */
  close() {
    this.#over = true;
  }

  /** Resolves to null, or to the reason why there is neither camera nor microphone. */
  #initStream() {
    const { stream } = this;
    return new Promise((resolve) => {
      const settle = (error) => {
        stream.removeEventListener("access-accepted", accepted);
        stream.removeEventListener("access-denied", settle);
        resolve(error);
      };
      const accepted = () => settle(null);
      stream.addEventListener("access-accepted", accepted);
      stream.addEventListener("access-denied", settle);
      stream.init();
    });
  }

  /** Markers are for everybody in the room: the server tells when theirs changes. */
  #filterChanged({ MarkerFilterState: state }) {
    if (!this.#over && this.#controls !== null && typeof state === "number") {
      this.#showFilter(state >= 0);
    }
  }

  #showFilter(on) {
    this.#filterOn = on;
    this.#controls.setFilter(on);
  }

  /** Our picture as the camera has it, beside the one that comes back. */
  #showMirror(media) {
    this.#mirror = this.#kurento.Stream(this.#room, { id: "localStream" });
    this.#mirror.mirrorLocalStream(media);
    const tile = new Tile(this.tile.name, true, {
      select: () => this.#stage.select(this.#stage.main === tile ? null : tile),
      stop: () => undefined,
      again: () => undefined,
      blocked: () => undefined,
    });
    tile.setLocal();
    this.#mirrorTile = tile;
    this.#stage.add(tile);
    tile.attach(this.#mirror);
    tile.setState("here");
  }

  #hideMirror() {
    if (this.#mirrorTile !== null) {
      this.#stage.remove(this.#mirrorTile.key);
      this.#mirrorTile.detach();
      this.#mirrorTile = null;
      this.#mirror = null;
    }
  }

  #applyMute() {
    const peer = this.stream.getWebRtcPeer();
    if (peer !== null) {
      peer.audioEnabled = this.#audioOn;
      peer.videoEnabled = this.#videoOn;
    }
    for (const tile of [this.tile, this.#mirrorTile]) {
      tile?.setMuted(!this.#audioOn);
      tile?.setHidden(!this.#videoOn);
    }
    this.#controls.setAudio(this.#audioOn);
    this.#controls.setVideo(this.#videoOn);
  }
}
