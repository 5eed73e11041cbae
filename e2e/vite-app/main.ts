/** An application with the published package: everybody who opens the page is in the room. */

import { joinRoom, NameTakenError, openCamera, openScreen, type RemoteStream, type RoomSession } from "salono-room-client";

const address = new URLSearchParams(location.search);
const videos = document.getElementById("videos") as HTMLElement;
const log = document.getElementById("log") as HTMLElement;

function say(text: string): void {
  const line = document.createElement("li");
  line.textContent = text;
  log.append(line);
}

async function show(session: RoomSession, stream: RemoteStream): Promise<void> {
  const subscription = await session.subscribe(stream);
  const video = subscription.attach(document.createElement("video"));
  video.id = stream.globalId;
  videos.append(video);
  subscription.on("ended", () => video.remove());
}

async function start(): Promise<RoomSession> {
  const session = await joinRoom(address.get("server") ?? "", {
    room: address.get("room") ?? "",
    user: address.get("user") ?? "",
    remember: sessionStorage,
    activeSpeaker: true,
    qualityInterval: 500,
  });
  session.eachStream((stream) => void show(session, stream));
  session.on("message", ({ user, text }) => say(`${user}: ${text}`));
  session.on("reconnecting", () => say("reconnecting"));
  session.on("reconnected", ({ resumed }) => say(resumed ? "resumed" : "entered again"));
  session.on("ended", ({ reason }) => say(`ended: ${reason}`));
  await session.publish(await openCamera());
  say("published");
  addEventListener("pagehide", () => void session.leave());
  return session;
}

const session = start();
session.catch((error: unknown) => say(error instanceof NameTakenError ? "name taken" : String(error)));
// For the test, which is the user of this application.
Object.assign(globalThis, { session, openCamera, openScreen });
