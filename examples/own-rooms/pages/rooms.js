/** The page of the tutorial: joins a room, shows everybody in it, turns our own picture grey. */

import { KurentoRoom } from "./salono-client.js";

const element = (id) => document.getElementById(id);

function tell(text) {
  element("status").textContent = text;
}

// ANCHOR: connect
/** Connects to the room server that this page is from. */
function connect() {
  const url = new URL("room", location.href);
  url.protocol = url.protocol.replace("http", "ws");
  return new Promise((resolve, reject) => {
    KurentoRoom(url.href, (error, kurento) => (error ? reject(error) : resolve(kurento)));
  });
}
// ANCHOR_END: connect

// ANCHOR: join
/** Opens the camera and joins. */
function join(kurento, room, user) {
  const there = kurento.Room({ room, user });
  const camera = kurento.Stream(there, {});
  return new Promise((resolve, reject) => {
    camera.addEventListener("access-accepted", () => there.connect());
    camera.addEventListener("access-denied", reject);
    there.addEventListener("room-connected", ({ streams }) => resolve({ there, camera, streams }));
    there.addEventListener("error-room", ({ error }) => reject(error));
    camera.init();
  });
}
// ANCHOR_END: join

// ANCHOR: show
const pictures = new Map();

/** Shows a stream, with the name of who it is from below it. */
function show(stream) {
  const figure = document.createElement("figure");
  const caption = document.createElement("figcaption");
  figure.id = `picture-${stream.getGlobalID()}`;
  caption.textContent = stream.getParticipant().getID();
  element("pictures").append(figure);
  stream.playOnlyVideo(figure.id);
  figure.append(caption);
  pictures.set(stream.getGlobalID(), figure);
}

function hide(stream) {
  pictures.get(stream.getGlobalID())?.remove();
  pictures.delete(stream.getGlobalID());
}
// ANCHOR_END: show

// ANCHOR: enter
/** From the form into the room, until we leave or the room ends. */
async function enter(room, user) {
  const kurento = await connect();
  const { there, camera, streams } = await join(kurento, room, user);
  show(camera);
  camera.publish();
  streams.forEach(show);
  there.addEventListener("stream-added", ({ stream }) => show(stream));
  there.addEventListener("stream-removed", ({ stream }) => hide(stream));
  there.addEventListener("error-media", ({ error }) => tell(String(error?.message ?? error)));
  there.addEventListener("room-closed", () => leave("The room was closed."));
  there.addEventListener("lost-connection", () => leave("The connection is lost."));

  function leave(why) {
    kurento.close();
    element("pictures").replaceChildren();
    pictures.clear();
    element("call").hidden = true;
    element("entrance").hidden = false;
    tell(why);
  }

  element("leave").onclick = () => leave("");
  element("grey").onclick = () => setGrey(kurento);
  element("entrance").hidden = true;
  element("call").hidden = false;
}
// ANCHOR_END: enter

// ANCHOR: grey
/** Asks the server to change our picture; it says no with a sentence. */
function setGrey(kurento) {
  const button = element("grey");
  const grey = button.getAttribute("aria-pressed") !== "true";
  kurento.sendCustomRequest({ grey }, (error) => {
    if (error) {
      tell(error.message);
    } else {
      button.setAttribute("aria-pressed", String(grey));
    }
  });
}
// ANCHOR_END: grey

element("entrance").addEventListener("submit", async (event) => {
  event.preventDefault();
  try {
    tell("");
    await enter(element("roomName").value, element("name").value);
  } catch (error) {
    tell(String(error.message ?? error));
  }
});
