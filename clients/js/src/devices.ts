/** Cameras, microphones, loudspeakers and screens: what there is, and media of them. */

import { DeviceError } from "./errors.js";
import { openUserMedia, VIDEO } from "./user-media.js";

/** A device of the user. */
export interface Device {
  /** Names it in {@link CameraOptions} and {@link playThrough}. */
  id: string;
  /** What the user calls it; empty before the page may use any device. */
  label: string;
}

/** What there is to choose from. */
export interface Devices {
  cameras: Device[];
  microphones: Device[];
  /** Empty in browsers where pages cannot choose. */
  speakers: Device[];
}

/** Which camera and microphone to open, and how. */
export interface CameraOptions {
  /** The camera with this id; true, the default, for the usual one, false for none. */
  camera?: boolean | string;
  /** The microphone with this id; true, the default, for the usual one, false for none. */
  microphone?: boolean | string;
  /** Width of the picture that is wanted: default 1280. */
  width?: number;
  /** Pictures per second that are wanted: default 15. */
  frameRate?: number;
}

/** What there is to choose from now. */
export async function listDevices(): Promise<Devices> {
  const all = (await globalThis.navigator?.mediaDevices?.enumerateDevices()) ?? [];
  const of = (kind: MediaDeviceKind): Device[] =>
    all.filter((device) => device.kind === kind && device.deviceId !== "").map(({ deviceId, label }) => ({ id: deviceId, label }));
  return { cameras: of("videoinput"), microphones: of("audioinput"), speakers: of("audiooutput") };
}

/** Calls `listener` whenever a device comes or goes, until the returned function is called. */
export function watchDevices(listener: (devices: Devices) => void): () => void {
  const changed = (): void => void listDevices().then(listener);
  navigator.mediaDevices.addEventListener("devicechange", changed);
  return () => navigator.mediaDevices.removeEventListener("devicechange", changed);
}

/**
 * Opens camera and microphone, or the one of them that is there. Rejects with {@link DeviceError}.
 */
export async function openCamera(options: CameraOptions = {}): Promise<MediaStream> {
  const { camera = true, microphone = true, width, frameRate } = options;
  const video: MediaTrackConstraints = {
    ...VIDEO,
    ...(width === undefined ? {} : { width: { ideal: width } }),
    ...(frameRate === undefined ? {} : { frameRate: { ideal: frameRate } }),
    ...(typeof camera === "string" ? { deviceId: { exact: camera } } : {}),
  };
  try {
    return await openUserMedia({
      audio: typeof microphone === "string" ? { deviceId: { exact: microphone } } : microphone,
      video: camera === false ? false : video,
    });
  } catch (error) {
    throw new DeviceError(error);
  }
}

/** Asks the user for a screen, a window or a tab. Rejects with {@link DeviceError}. */
export async function openScreen({ audio = false }: { audio?: boolean } = {}): Promise<MediaStream> {
  try {
    if (globalThis.navigator?.mediaDevices?.getDisplayMedia === undefined) {
      throw new DOMException("This browser cannot share screens", "NotSupportedError");
    }
    return await navigator.mediaDevices.getDisplayMedia({ video: true, audio });
  } catch (error) {
    throw new DeviceError(error);
  }
}

/** Plays the sound of an element through the loudspeaker with this id; false where browsers cannot choose. */
export async function playThrough(element: HTMLMediaElement, speaker: string): Promise<boolean> {
  if (typeof element.setSinkId !== "function") {
    return false;
  }
  await element.setSinkId(speaker);
  return true;
}

/** Turns every device of some media off. */
export function stopMedia(media: MediaStream): void {
  for (const track of media.getTracks()) {
    track.stop();
  }
}
