/** Clients of rooms on the JVM, through everything that they offer: Kurento Room's for Java, as published, and ours. */

import { existsSync } from "node:fs";
import { dirname } from "node:path";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";

import { prove } from "../support/program.mjs";
import { Proxy } from "../support/proxy.mjs";
import { Server, binary } from "../support/server.mjs";

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

  const kotlin = here("../room-kotlin/target");
  const missing = !existsSync(`${kotlin}/room.jar`) && "it is not built: make test-e2e does that";
  test("the Kotlin client works in full on the JVM", { skip: missing }, async (t) => {
    const server = await Server.start();
    const proxy = await Proxy.start(server.ports.http);
    try {
      const addresses = [proxy.url.replace("/kurento", "/room"), `wss://${server.ports.https}/room`];
      // Cargo puts the library beside the program.
      const library = `-Djna.library.path=${dirname(binary())}`;
      const command = ["java", library, "-cp", `${kotlin}/room.jar:${kotlin}/lib/*`, "RoomKt", ...addresses, ...OFFERS];
      const count = await prove(command, { promises: 30, orders: { cut: () => proxy.cut() } });
      t.diagnostic(`${count} promises kept`);
    } finally {
      await proxy.stop();
      await server.stop();
    }
  });
});
