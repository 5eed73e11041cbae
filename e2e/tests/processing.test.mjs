/** Players, recorders, uploads and mixing hubs with the npm package `kurento-client` and the real media processor. */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";

import kurento from "kurento-client";

import { Server } from "../support/server.mjs";
import { PATIENCE, until } from "../support/wait.mjs";

describe("media processor", () => {
  let folder;
  let server;
  let client;
  let pipeline;
  let film;

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), "salono-media-"));
    film = join(folder, "film.webm");
    const sources = ["-f", "lavfi", "-i", "testsrc=size=320x240:rate=15", "-f", "lavfi", "-i", "sine=frequency=440"];
    const codecs = ["-t", "4", "-c:v", "libvpx", "-g", "15", "-b:v", "300k", "-c:a", "libopus", "-ac", "2"];
    execFileSync("ffmpeg", ["-v", "error", ...sources, ...codecs, film]);
    // As Kurento's configuration does, the folder of relative URIs is one to read from and to write in.
    server = await Server.start({
      env: { SALONO_ENDPOINT_DEFAULT_PATH: `file://${folder}`, SALONO_ENDPOINT_UPLOAD_PORT: "0" },
    });
    client = await kurento(server.kurento);
    pipeline = await client.create("MediaPipeline");
  });

  after(async () => {
    client?.close();
    await server?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  function event(object, name, passes = () => true) {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`no ${name} within ${PATIENCE} ms`)), PATIENCE);
      object.on(name, (details) => {
        if (passes(details)) {
          clearTimeout(timer);
          resolve(details);
        }
      });
    });
  }

  /** What ffprobe finds in a file, which must be without faults. */
  function probe(file) {
    const found = execFileSync("ffprobe", ["-v", "error", "-show_streams", "-show_format", "-of", "json", file]);
    return JSON.parse(found);
  }

  /**
   * When the last packet begins, in seconds. What ffprobe says of the duration counts the time before a stream's first
   * keyframe twice.
   */
  function lastPacket(file) {
    const about = ["-v", "error", "-show_entries", "packet=pts_time", "-of", "csv=p=0", file];
    const times = execFileSync("ffprobe", about, { encoding: "utf8" }).trim().split("\n").map(parseFloat);
    return Math.max(...times);
  }

  test("plays a file into a recorder, as it is and in other codecs", async () => {
    for (const [profile, name, video, audio] of [
      ["WEBM", "copy.webm", "vp8", "opus"],
      // MP4 takes Opus as it is.
      ["MP4", "other.mp4", "h264", "opus"],
    ]) {
      const player = await pipeline.create("PlayerEndpoint", { uri: "film.webm", useEncodedMedia: true });
      const recorder = await pipeline.create("RecorderEndpoint", { uri: name, mediaProfile: profile });
      const recording = event(recorder, "Recording");
      const ended = event(player, "EndOfStream");
      await player.connect(recorder);
      await recorder.record();
      await player.play();
      await recording;
      assert.equal(await player.getState(), "START");
      await ended;
      const stopped = event(recorder, "Stopped");
      await recorder.stopAndWait();
      const { uri, bytes } = await stopped;
      assert.equal(uri, `file://${join(folder, name)}`);
      assert.equal(Number(bytes), statSync(join(folder, name)).size);
      const { streams } = probe(join(folder, name));
      assert.deepEqual(streams.map((stream) => stream.codec_name).sort(), [audio, video].sort());
      const end = lastPacket(join(folder, name));
      assert.ok(Math.abs(end - 4) < 0.6, `it ends at ${end} s`);
      await recorder.release();
      await player.release();
    }
  });

  test("a release waits for the file", async () => {
    const player = await pipeline.create("PlayerEndpoint", { uri: "film.webm" });
    const recorder = await pipeline.create("RecorderEndpoint", { uri: "released.webm" });
    const recording = event(recorder, "Recording");
    await player.connect(recorder);
    await recorder.record();
    await player.play();
    await recording;
    await until("two seconds are recorded", async () => (await player.getPosition()) > 2_000);
    await recorder.release();
    assert.ok(Number(probe(join(folder, "released.webm")).format.duration) > 1);
    await player.release();
  });

  test("seeks, pauses, and says what cannot be played", async () => {
    const player = await pipeline.create("PlayerEndpoint", { uri: "film.webm" });
    // The promise of this setter is kept whatever the server says.
    const refused = await new Promise((resolve) => player.setPosition(1_000, resolve));
    assert.equal(refused?.code, 40700);
    await player.play();
    await until("it plays", async () => (await player.getPosition()) > 200);
    const info = await player.getVideoInfo();
    assert.ok(info.isSeekable && Math.abs(info.duration - 4_000) < 200, JSON.stringify(info));
    await player.setPosition(2_500);
    await until("it plays on from there", async () => (await player.getPosition()) >= 2_500);
    await player.pause();
    assert.equal(await player.getState(), "PAUSE");
    await player.release();
    const missing = await pipeline.create("PlayerEndpoint", { uri: "nothing.webm" });
    const error = event(missing, "Error");
    await missing.play();
    assert.equal((await error).type, "INVALID_URI");
    await missing.release();
  });

  test("an upload plays", async () => {
    const upload = await pipeline.create("HttpPostEndpoint", { disconnectionTimeout: 1 });
    const recorder = await pipeline.create("RecorderEndpoint", { uri: "uploaded.webm" });
    const began = event(upload, "MediaSessionStarted");
    const ended = event(upload, "EndOfStream");
    const over = event(upload, "MediaSessionTerminated");
    await upload.connect(recorder);
    await recorder.record();
    const headers = { "content-type": "video/webm" };
    const { port, pathname } = new URL(await upload.getUrl());
    const response = await fetch(`http://127.0.0.1:${port}${pathname}`, {
      method: "POST",
      headers,
      body: readFileSync(film),
    });
    assert.equal(response.status, 200);
    await began;
    await ended;
    await over;
    await recorder.stopAndWait();
    assert.equal(probe(join(folder, "uploaded.webm")).streams.length, 2);
    await recorder.release();
    await upload.release();
  });

  test("a composite shows all and is recorded", async () => {
    const composite = await pipeline.create("Composite", { width: 640, height: 240 });
    const players = [];
    for (let index = 0; index < 2; index++) {
      const player = await pipeline.create("PlayerEndpoint", { uri: "film.webm" });
      await player.connect(await composite.createHubPort());
      players.push(player);
    }
    const recorder = await pipeline.create("RecorderEndpoint", { uri: "mixed.webm" });
    const recording = event(recorder, "Recording");
    await (await composite.createHubPort()).connect(recorder);
    await recorder.record();
    await Promise.all(players.map((player) => player.play()));
    await recording;
    await event(players[0], "EndOfStream");
    await recorder.stopAndWait();
    const [picture] = probe(join(folder, "mixed.webm")).streams.filter((stream) => stream.codec_type === "video");
    assert.deepEqual([picture.width, picture.height], [640, 240]);
    await recorder.release();
    await composite.release();
  });
});
