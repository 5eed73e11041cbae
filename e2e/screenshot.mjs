/**
 * Takes a picture of a call of four: `artifacts/call.png`. With `--keep` it replaces the one in the documentation.
 *
 * The made-up camera of Chromium shows the same test picture to everybody, so each page draws somebody instead. The
 * rest is real: what the picture shows of the other three came through the server.
 */

import { copyFileSync, mkdirSync, statSync } from "node:fs";
import { fileURLToPath } from "node:url";

import { Browsers } from "./support/browser.mjs";
import { Person } from "./support/demo.mjs";
import { Server } from "./support/server.mjs";

const ARTIFACT = fileURLToPath(new URL("artifacts/call.png", import.meta.url));
const DOCUMENTATION = fileURLToPath(new URL("../docs/images/call.png", import.meta.url));
/** Bytes that the picture in the documentation may have. */
const MAX_BYTES = 300 * 1024;

const CAST = [
  { name: "Ana", wall: ["#f2b880", "#c8553d"], shirt: "#2d3047", skin: "#f0c8a0", hair: "#3b2314" },
  { name: "Ben", wall: ["#8fb8de", "#355c7d"], shirt: "#e8c547", skin: "#a86b3c", hair: "#17120f" },
  { name: "Cleo", wall: ["#a8d5ba", "#3a7d66"], shirt: "#f4f1de", skin: "#e5b48c", hair: "#8c2f1b" },
  { name: "Davi", wall: ["#cdb4db", "#6d597a"], shirt: "#b56576", skin: "#d39b6f", hair: "#4a4e69" },
];
const TALK = [
  ["Cleo", "Can everybody see the plan?"],
  ["Ben", "Yes, and hear you well."],
  ["Ana", "Let's start with the garden, then."],
];

const server = await Server.start();
const browsers = new Browsers();
try {
  const people = new Map();
  for (const look of CAST) {
    const page = await browsers.page({ viewport: { width: 1280, height: 720 } });
    await page.addInitScript(pretend, look);
    people.set(look.name, new Person(page, server.url, look.name));
  }
  const all = [...people.values()];
  for (const person of all) {
    await person.join("garden");
  }
  const viewer = people.get("Ana");
  for (const other of all.slice(1)) {
    await viewer.perceives(other.name);
  }
  for (const [name, text] of TALK) {
    await people.get(name).say(text);
    await viewer.page.getByText(text).waitFor({ state: "attached" });
  }
  await viewer.page.mouse.move(2, 2);
  mkdirSync(fileURLToPath(new URL("artifacts", import.meta.url)), { recursive: true });
  await viewer.page.screenshot({ path: ARTIFACT, animations: "disabled", caret: "hide" });
  browsers.assertQuiet();
} finally {
  await browsers.close();
  await server.stop();
}
const { size } = statSync(ARTIFACT);
console.log(`${ARTIFACT}: ${Math.round(size / 1024)} KiB`);
if (process.argv.includes("--keep")) {
  if (size > MAX_BYTES) {
    throw new Error(`too large for the documentation: ${size} bytes`);
  }
  copyFileSync(ARTIFACT, DOCUMENTATION);
}

/** In the page: somebody in front of a wall instead of the test picture, and a quiet tone instead of beeps. */
function pretend({ wall, shirt, skin, hair }) {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [1280, 720];
  const context = canvas.getContext("2d");
  const ellipse = (x, y, width, height, style) => {
    context.fillStyle = style;
    context.beginPath();
    context.ellipse(x, y, width, height, 0, 0, 2 * Math.PI);
    context.fill();
  };
  const draw = () => {
    const gradient = context.createLinearGradient(0, 0, 1280, 720);
    gradient.addColorStop(0, wall[0]);
    gradient.addColorStop(1, wall[1]);
    context.fillStyle = gradient;
    context.fillRect(0, 0, 1280, 720);
    const x = 640 + 14 * Math.sin(performance.now() / 900);
    ellipse(x, 300, 168, 190, hair);
    ellipse(640, 760, 330, 260, shirt);
    context.fillStyle = skin;
    context.fillRect(x - 48, 420, 96, 120);
    ellipse(x, 330, 132, 162, skin);
    ellipse(x - 50, 315, 11, 14, hair);
    ellipse(x + 50, 315, 11, 14, hair);
    context.strokeStyle = hair;
    context.lineWidth = 8;
    context.lineCap = "round";
    context.beginPath();
    context.arc(x, 375, 50, 0.2 * Math.PI, 0.8 * Math.PI);
    context.stroke();
  };
  navigator.mediaDevices.getUserMedia = async () => {
    const audio = new AudioContext();
    const tone = new OscillatorNode(audio, { frequency: 220 });
    const quiet = new GainNode(audio, { gain: 0.02 });
    const sound = audio.createMediaStreamDestination();
    tone.connect(quiet).connect(sound);
    tone.start();
    draw();
    setInterval(draw, 1000 / 15);
    return new MediaStream([...canvas.captureStream(15).getTracks(), ...sound.stream.getTracks()]);
  };
}
