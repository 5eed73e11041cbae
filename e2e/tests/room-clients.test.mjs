/** Kurento Room's client for Java, as it was published, through everything that it offers. */

import { existsSync } from "node:fs";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";

import { prove } from "../support/program.mjs";
import { Server } from "../support/server.mjs";

/** What a browser offers to send, and to receive. */
const OFFERS = ["chromium.sdp", "chromium_receiver.sdp"].map((file) => here(`../../crates/sdp/tests/data/${file}`));

function here(path) {
  return fileURLToPath(new URL(path, import.meta.url));
}

describe("clients of rooms", () => {
  const java = here("../room-java/target");
  const skip = !existsSync(`${java}/room.jar`) && "it is not built: make test-e2e does that";
  for (const [scheme, port] of [["ws", "http"], ["wss", "https"]]) {
    test(`the Java library kurento-room-client 6.6.0 works in full over ${scheme}`, { skip }, async (t) => {
      const server = await Server.start();
      try {
        const address = `${scheme}://${server.ports[port]}/room`;
        const command = ["java", "-cp", `${java}/room.jar:${java}/lib/*`, "Room", address, ...OFFERS];
        const count = await prove(command, { promises: 28 });
        t.diagnostic(`${count} promises kept`);
      } finally {
        await server.stop();
      }
    });
  }
});
