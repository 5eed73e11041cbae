/** Access to camera and microphone, with what is there when not both are. */

/** What to ask the user for. */
export interface UserMediaOptions {
  /** Ask for the microphone, or for one of these properties: default true. */
  audio?: boolean | MediaTrackConstraints;
  /** Ask for the camera, or for one of these properties: default true. */
  video?: boolean | MediaTrackConstraints;
}

/** What is asked of a camera. */
export const VIDEO: MediaTrackConstraints = { width: { ideal: 1280 }, frameRate: { ideal: 15 } };

/** Errors after which it makes sense to ask for one device less: it is absent, or another program holds it. */
const DEVICE_ERRORS = new Set(["NotFoundError", "NotReadableError", "OverconstrainedError"]);

/**
 * Opens camera and microphone. If one of them is absent or busy, the other one alone is better than nothing; a
 * refusal of the user counts for both. Rejects with the browser's error for the first attempt.
 */
export async function openUserMedia(options: UserMediaOptions = {}): Promise<MediaStream> {
  if (globalThis.navigator?.mediaDevices === undefined) {
    throw new DOMException("Camera and microphone need a page served over https", "SecurityError");
  }
  const audio = options.audio ?? true;
  const video = options.video ?? true;
  try {
    return await open(audio, video);
  } catch (error) {
    if (audio === false || video === false || !(error instanceof DOMException) || !DEVICE_ERRORS.has(error.name)) {
      throw error;
    }
    return await open(audio, false)
      .catch(() => open(false, video))
      .catch(() => {
        throw error;
      });
  }
}

function open(audio: boolean | MediaTrackConstraints, video: boolean | MediaTrackConstraints): Promise<MediaStream> {
  return navigator.mediaDevices.getUserMedia({ audio, video: video === true ? VIDEO : video });
}
