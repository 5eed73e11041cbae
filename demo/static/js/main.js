/** Starts the page: the form first, a call after it, and the address that goes with each. */

import { Call } from "./call.js";
import { ask, dismiss } from "./dialog.js";
import { explainJoin } from "./errors.js";
import { initFullscreen } from "./fullscreen.js";
import { hideLogin, initLogin, setProgress, setRoom, showLogin } from "./login.js";

const ROOM_LINK = /^#\/rooms\/(.+)$/;

let call = null;

/** The room in the address, or null. */
function roomInAddress() {
  const match = ROOM_LINK.exec(location.hash);
  if (match === null) {
    return null;
  }
  try {
    return decodeURIComponent(match[1]);
  } catch {
    return null;
  }
}

function setAddress(hash) {
  history.replaceState(null, "", `${location.pathname}${location.search}${hash}`);
}

async function enter(user, room) {
  if (call !== null) {
    return;
  }
  const mine = new Call(user, room, (again) => {
    if (call === mine) {
      call = null;
    }
    setAddress("");
    showLogin();
    if (again) {
      void enter(user, room);
    }
  });
  call = mine;
  try {
    const entered = await mine.enter(setProgress);
    if (!entered) {
      call = null;
      setProgress("");
      return;
    }
  } catch (error) {
    call = null;
    setProgress("");
    await ask(explainJoin(error, user, room), [{ label: "OK", value: "ok" }]);
    return;
  }
  hideLogin();
  setProgress("");
  setAddress(`#/rooms/${encodeURIComponent(room)}`);
  mine.show();
}

function followAddress() {
  const room = roomInAddress();
  if (call === null && room !== null) {
    setRoom(room);
  }
}

initFullscreen();
initLogin((user, room) => void enter(user, room));
showLogin();
followAddress();
addEventListener("hashchange", followAddress);
addEventListener("pagehide", () => call?.goodbye());
addEventListener("pageshow", ({ persisted }) => {
  // Back from the browser's page cache, where no call survives.
  if (persisted && call !== null) {
    dismiss();
    location.reload();
  }
});

// What an end-to-end test needs to look behind the page.
window.salonoDemo = {
  get kurento() {
    return call?.kurento ?? null;
  },
  get room() {
    return call?.room ?? null;
  },
  /** Every RTCPeerConnection, by global stream id. */
  peers() {
    const streams = Object.entries(call?.room?.getStreams() ?? {});
    return Object.fromEntries(
      streams
        .filter(([, stream]) => stream.getWebRtcPeer() !== null)
        .map(([id, stream]) => [id, stream.getWebRtcPeer().peerConnection]),
    );
  },
};
