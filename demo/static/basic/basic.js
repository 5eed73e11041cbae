// The smallest room: join, publish, show everybody, leave. KurentoRoom comes from js/KurentoRoom.js.

const byId = (id) => document.getElementById(id);
let kurento = null;

byId("join").addEventListener("submit", (event) => {
  event.preventDefault();
  enter(byId("name").value.trim(), byId("roomName").value.trim());
});
byId("buttonLeaveRoom").addEventListener("click", leave);
addEventListener("pagehide", leave);

function enter(user, roomName) {
  byId("joinBtn").disabled = true;
  const address = new URL("room", location.href.replace(/^http/, "ws"));
  KurentoRoom(address.href, (error, client) => {
    if (error) {
      return fail(error);
    }
    kurento = client;
    const room = kurento.Room({ room: roomName, user });
    const camera = kurento.Stream(room, { data: true });

    camera.addEventListener("access-denied", fail);
    camera.addEventListener("access-accepted", () => room.connect());
    room.addEventListener("room-connected", ({ streams }) => {
      byId("room-header").textContent = roomName;
      byId("join").hidden = true;
      byId("room").hidden = false;
      camera.publish();
      [camera, ...streams].forEach(show);
      say(`Joined ${roomName}`);
    });
    room.addEventListener("stream-added", ({ stream }) => show(stream));
    room.addEventListener("stream-removed", ({ stream }) => byId(`video-${stream.getGlobalID()}`)?.remove());
    room.addEventListener("participant-joined", ({ participant }) => say(`${participant.getID()} joined`));
    room.addEventListener("participant-left", ({ participant }) => say(`${participant.getID()} left`));
    room.addEventListener("error-media", ({ error }) => say(`Media: ${error.message ?? error}`));
    room.addEventListener("error-room", ({ error }) => fail(error));
    room.addEventListener("room-closed", () => fail("The room was closed"));
    room.addEventListener("participant-evicted", () => fail("You were put out of the room"));
    room.addEventListener("lost-connection", () => fail("The connection was lost"));
    camera.init();
  });
}

function show(stream) {
  const frame = document.createElement("figure");
  frame.id = `video-${stream.getGlobalID()}`;
  const name = document.createElement("figcaption");
  name.textContent = stream.getParticipant().getID();
  frame.append(name);
  byId("participants").append(frame);
  stream.playOnlyVideo(frame);
}

function leave() {
  kurento?.close();
  kurento = null;
  byId("participants").replaceChildren();
  byId("room").hidden = true;
  byId("join").hidden = false;
  byId("joinBtn").disabled = false;
}

function fail(error) {
  say(error.message ?? String(error));
  leave();
}

function say(text) {
  const line = document.createElement("p");
  line.textContent = text;
  byId("console").append(line);
}
