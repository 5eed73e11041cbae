/** Ways to a browser that cannot be reached directly: a real TURN server, and TCP where UDP is blocked. */

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import kurento from "kurento-client";

import { Browsers } from "../support/browser.mjs";
import { KurentoPeer } from "../support/kurento-peer.mjs";
import { Server } from "../support/server.mjs";
import { isIsolated, TurnServer, withoutUdp } from "../support/turn.mjs";
import { until } from "../support/wait.mjs";

const skip = isIsolated ? false : "rules for packets need a network of their own";

describe("behind NATs and firewalls", { skip }, () => {
  let server;
  let client;
  let turn;

  before(async () => {
    turn = await TurnServer.start();
    // Names the authorities that the system trusts.
    server = await Server.start({ env: { SSL_CERT_FILE: turn.authority } });
    client = await kurento(server.kurento);
  });

  after(async () => {
    client?.close();
    await server?.stop();
    await turn?.stop();
  });

  /** A loopback call in which the browser learns only some of our candidates. */
  async function call(prepare, only, examine) {
    const browsers = new Browsers();
    const pipeline = await client.create("MediaPipeline");
    try {
      const endpoint = await pipeline.create("WebRtcEndpoint");
      await prepare(endpoint);
      await endpoint.connect(endpoint);
      const page = await browsers.page();
      await page.goto(server.url);
      const peer = await KurentoPeer.connect(page, endpoint, { send: true, receive: true, only });
      await peer.watch(30);
      const [pair] = await endpoint.getICECandidatePairs();
      await examine(pair, peer);
    } finally {
      await pipeline.release();
      await browsers.close();
    }
    browsers.assertQuiet();
  }

  for (const transport of ["udp", "tcp", "tls"]) {
    test(`carries a call by way of a TURN server over ${transport}`, () =>
      withoutUdp(["from", "127.0.0.1", "to", "127.0.0.1"], () =>
        call(
          (endpoint) => endpoint.setTurnUrl(turn.url(transport)),
          (line) => / typ relay /.test(line),
          async (pair) => {
            assert.match(pair.localCandidate, / 127\.0\.0\.2 \d+ typ relay /, JSON.stringify(pair));
            assert.doesNotMatch(pair.remoteCandidate, / typ relay/, "the browser has no relay of its own");
          },
        ),
      ));
  }

  test("gives the relayed address back when nobody needs it", async () => {
    await until("the allocation is released", () => /lifetime=0|delete: realm/.test(turn.log));
  });

  test("carries a call over TCP where UDP is blocked", () =>
    withoutUdp([], () =>
      call(
        () => undefined,
        () => true,
        async (pair) => {
          assert.match(pair.localCandidate, / TCP \d+ 127\.0\.0\.1 \d+ typ host tcptype passive/, JSON.stringify(pair));
        },
      ),
    ));
});
