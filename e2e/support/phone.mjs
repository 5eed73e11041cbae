/** A SIP telephone that says what it is told, over UDP. */

import { createSocket } from "node:dgram";
import { once } from "node:events";

import { until } from "./wait.mjs";

export class Phone {
  /** RTP packets of the codec that it offers which came so far. */
  heard = 0;
  #sip = createSocket("udp4");
  #speech = createSocket("udp4");
  #messages = [];
  #target;
  #sequence = 0;

  /** @param {string} target address that is called, as `127.0.0.1:5060` */
  static async start(target) {
    const phone = new Phone();
    phone.#target = target;
    for (const socket of [phone.#sip, phone.#speech]) {
      socket.bind(0, "127.0.0.1");
      await once(socket, "listening");
    }
    phone.#sip.on("message", (bytes) => phone.#messages.push(bytes.toString()));
    phone.#speech.on("message", (bytes) => {
      phone.heard += (bytes[1] & 0x7f) === 8 ? 1 : 0;
    });
    return phone;
  }

  /** The port where it hears. */
  get port() {
    return this.#speech.address().port;
  }

  /** Sends a request. */
  send(method) {
    const body = method === "INVITE" ? this.#offer() : "";
    if (method !== "ACK" && method !== "CANCEL") {
      this.#sequence += 1;
    }
    const own = `127.0.0.1:${this.#sip.address().port}`;
    this.#say([
      `${method} sip:desk@${this.#target} SIP/2.0`,
      `Via: SIP/2.0/UDP ${own};branch=z9hG4bK${this.#sequence}`,
      `From: <sip:ann@${own}>;tag=ann`,
      `To: <sip:desk@${this.#target}>`,
      `Call-ID: call-of-${own}`,
      `CSeq: ${this.#sequence} ${method}`,
      `Contact: <sip:ann@${own}>`,
      `Content-Length: ${body.length}`,
      "",
      body,
    ]);
  }

  /** Waits for a message that begins like this. */
  hears(start) {
    const pattern = () => this.#messages.findIndex((message) => message.startsWith(start));
    return until(`the telephone hears ${start}`, () => {
      const at = pattern();
      return at < 0 ? Promise.reject(new Error(this.#messages.join("\n"))) : this.#messages.splice(0, at + 1).at(-1);
    });
  }

  /** Agrees to a request. */
  agree(request) {
    const kept = request.split("\r\n").filter((line) => /^(Via|From|To|Call-ID|CSeq):/.test(line));
    this.#say(["SIP/2.0 200 OK", ...kept, "Content-Length: 0", "", ""]);
  }

  stop() {
    this.#sip.close();
    this.#speech.close();
  }

  #say(lines) {
    const [host, port] = this.#target.split(":");
    this.#sip.send(lines.join("\r\n"), Number(port), host);
  }

  #offer() {
    const lines = ["v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=-", "c=IN IP4 127.0.0.1", "t=0 0"];
    lines.push(`m=audio ${this.port} RTP/AVP 8`, "a=rtpmap:8 PCMA/8000", "");
    return lines.join("\r\n");
  }
}
