/**
 * Tells whether a video shows anything. Somebody who turns the camera off keeps sending: black pictures. The
 * protocol has no word for that, so look at the pictures.
 */

const WIDTH = 16;
const HEIGHT = 9;
/** No camera is so quiet that a dark room stays below this in every pixel. */
const BLACK = 8;

let context = null;

/** True if the current picture of `video` is entirely black. */
export function isBlack(video) {
  if (video.videoWidth === 0 || video.readyState < HTMLMediaElement.HAVE_CURRENT_DATA) {
    return false;
  }
  context ??= new OffscreenCanvas(WIDTH, HEIGHT).getContext("2d", { willReadFrequently: true });
  context.drawImage(video, 0, 0, WIDTH, HEIGHT);
  const { data } = context.getImageData(0, 0, WIDTH, HEIGHT);
  for (let index = 0; index < data.length; index += 4) {
    if (data[index] > BLACK || data[index + 1] > BLACK || data[index + 2] > BLACK) {
      return false;
    }
  }
  return true;
}
