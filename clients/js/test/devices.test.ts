import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { DeviceError, listDevices, openCamera, openScreen, playThrough, stopMedia, watchDevices } from "../src/index.js";
import { devices, installFakeBrowser } from "./fake-browser.js";

beforeEach(() => installFakeBrowser());

const device = (kind: string, deviceId: string) => ({ kind, deviceId, label: deviceId.toUpperCase() });

test("devices are listed by what they are for; those without an id are not for choosing", async () => {
  devices.there = [
    ...[device("videoinput", "front"), device("videoinput", "back"), device("audioinput", "headset")],
    ...[device("audiooutput", "speaker"), device("audioinput", "")],
  ];
  assert.deepEqual(await listDevices(), {
    cameras: [{ id: "front", label: "FRONT" }, { id: "back", label: "BACK" }],
    microphones: [{ id: "headset", label: "HEADSET" }],
    speakers: [{ id: "speaker", label: "SPEAKER" }],
  });
});

test("whoever wants to know is told of devices that come and go, until no longer", async () => {
  let stop = (): void => undefined;
  const told = new Promise<number>((resolve) => {
    stop = watchDevices(({ cameras }) => resolve(cameras.length));
  });
  devices.there = [device("videoinput", "front")];
  const media = navigator.mediaDevices as unknown as EventTarget;
  media.dispatchEvent(new Event("devicechange"));
  assert.equal(await told, 1);
  stop();
});

test("a certain camera without a microphone is asked for as such", async () => {
  const media = await openCamera({ camera: "back", microphone: false, width: 640, frameRate: 30 });
  assert.deepEqual(devices.asked, [
    { audio: false, video: { width: { ideal: 640 }, frameRate: { ideal: 30 }, deviceId: { exact: "back" } } },
  ]);
  stopMedia(media);
  assert.ok(media.getTracks().every(({ readyState }) => readyState === "ended"));
});

test("why a device does not open is one word, with the browser's error as the cause", async () => {
  for (const [name, fault] of [
    ...[["NotAllowedError", "denied"], ["NotFoundError", "missing"], ["NotReadableError", "busy"]],
    ...[["SecurityError", "insecure"], ["OtherError", "failed"]],
  ] as const) {
    devices.fail = () => new DOMException("no", name);
    for (const open of [openCamera, openScreen]) {
      await assert.rejects(open(), (error: DeviceError) => {
        assert.ok(error instanceof DeviceError);
        assert.equal(error.fault, fault);
        assert.equal((error.cause as Error).name, name);
        return true;
      });
    }
  }
});

test("where sound cannot be sent elsewhere, that is said", async () => {
  assert.equal(await playThrough({} as HTMLMediaElement, "speaker"), false);
  const asked: string[] = [];
  const element = { setSinkId: (id: string) => Promise.resolve(void asked.push(id)) } as unknown as HTMLMediaElement;
  assert.equal(await playThrough(element, "speaker"), true);
  assert.deepEqual(asked, ["speaker"]);
});
