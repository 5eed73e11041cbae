/** Pictures for the made-up camera: videos that repeat one frame. */

import { writeFileSync } from "node:fs";

import qrcode from "qrcode-generator";

const WIDTH = 320;
const HEIGHT = 240;

/** Writes a video of a face, as the usual detectors take it for one. */
export function faceVideo(path) {
  const grey = new Uint8Array(WIDTH * HEIGHT);
  for (let y = 0; y < HEIGHT; y++) {
    for (let x = 0; x < WIDTH; x++) {
      grey[y * WIDTH + x] = face((x - 160) / 130, (y - 145) / 110);
    }
  }
  writeVideo(path, blur(blur(grey)), 118, 142);
}

/** Writes a video that is red all over. */
export function redVideo(path) {
  writeVideo(path, new Uint8Array(WIDTH * HEIGHT).fill(81), 90, 240);
}

/** Writes a video of a QR code with this text. */
export function codeVideo(path, text) {
  const code = qrcode(0, "M");
  code.addData(text);
  code.make();
  const modules = code.getModuleCount();
  const size = Math.floor(Math.min(WIDTH, HEIGHT) / (modules + 8));
  const left = (WIDTH - size * modules) >> 1;
  const top = (HEIGHT - size * modules) >> 1;
  const grey = new Uint8Array(WIDTH * HEIGHT).fill(235);
  for (let y = 0; y < size * modules; y++) {
    for (let x = 0; x < size * modules; x++) {
      if (code.isDark(Math.floor(y / size), Math.floor(x / size))) {
        grey[(top + y) * WIDTH + left + x] = 16;
      }
    }
  }
  writeVideo(path, grey, 128, 128);
}

/** Brightness of a face at a place; its width and height are about 1 around the origin. */
function face(u, v) {
  const within = (x, y, rx, ry) => ((u - x) / rx) ** 2 + ((v - y) / ry) ** 2;
  let shade = within(0, -0.15, 0.62, 0.72) < 1 ? 45 : 105;
  const skin = within(0, 0, 0.5, 0.66);
  if (skin >= 1) {
    return shade;
  }
  shade = 205 - 45 * skin;
  for (const side of [-1, 1]) {
    const socket = within(0.2 * side, -0.12, 0.17, 0.09);
    if (socket < 1) {
      shade = Math.min(shade, 120 + 60 * socket);
    }
    if (within(0.2 * side, -0.12, 0.1, 0.045) < 1) {
      shade = 225;
    }
    if (within(0.2 * side, -0.12, 0.05, 0.05) < 1) {
      shade = 25;
    }
    const brow = Math.abs(v + 0.25 + 0.06 * Math.abs(u * 2 - 0.4 * side)) < 0.03;
    if (brow && Math.abs(u - 0.2 * side) < 0.14) {
      shade = 50;
    }
  }
  if (within(0, 0.06, 0.05, 0.2) < 1) {
    shade = Math.max(shade, 215);
  }
  if ([-1, 1].some((side) => within(0.06 * side, 0.2, 0.03, 0.02) < 1)) {
    shade = 90;
  }
  if (within(0, 0.38, 0.18, 0.05) < 1) {
    shade = 100;
  }
  return shade;
}

/** The mean of each pixel and its neighbours. */
function blur(grey) {
  return grey.map((_, at) => {
    const [x, y] = [at % WIDTH, Math.floor(at / WIDTH)];
    let sum = 0;
    let count = 0;
    for (let j = Math.max(y - 1, 0); j <= Math.min(y + 1, HEIGHT - 1); j++) {
      for (let i = Math.max(x - 1, 0); i <= Math.min(x + 1, WIDTH - 1); i++) {
        sum += grey[j * WIDTH + i];
        count++;
      }
    }
    return sum / count;
  });
}

/** Writes YUV4MPEG2, which Chromium takes for a camera and repeats. */
function writeVideo(path, grey, blue, red) {
  const chroma = (value) => Buffer.alloc((WIDTH * HEIGHT) / 4, value);
  const frame = Buffer.concat([Buffer.from("FRAME\n"), grey, chroma(blue), chroma(red)]);
  const head = Buffer.from(`YUV4MPEG2 W${WIDTH} H${HEIGHT} F30:1 Ip A1:1 C420jpeg\n`);
  writeFileSync(path, Buffer.concat([head, ...Array.from({ length: 30 }, () => frame)]));
}

/** In a page: how much of the upper half of a video is red. */
export function redInUpperHalf(video) {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [160, 120];
  const context = canvas.getContext("2d");
  context.drawImage(video, 0, 0, 160, 120);
  const { data } = context.getImageData(0, 0, 160, 60);
  let red = 0;
  for (let at = 0; at < data.length; at += 4) {
    red += data[at] > 120 && data[at + 1] < 90 && data[at + 2] < 90 ? 1 : 0;
  }
  return red / (data.length / 4);
}

/** How far the strongest colour of a pixel is above its weakest one, on average; for `evaluate` of a video. */
export function meanColour(video) {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [80, 60];
  const context = canvas.getContext("2d");
  context.drawImage(video, 0, 0, 80, 60);
  const { data } = context.getImageData(0, 0, 80, 60);
  let sum = 0;
  for (let at = 0; at < data.length; at += 4) {
    const pixel = data.slice(at, at + 3);
    sum += Math.max(...pixel) - Math.min(...pixel);
  }
  return sum / (data.length / 4);
}
