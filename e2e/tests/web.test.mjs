/** How pages are delivered. */

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { Browsers } from "../support/browser.mjs";
import { Person } from "../support/demo.mjs";
import { Server } from "../support/server.mjs";

describe("delivery", () => {
  let server;
  let browsers;

  before(async () => {
    server = await Server.start();
    browsers = new Browsers();
  });

  after(async () => {
    await browsers?.close();
    await server?.stop();
  });

  test("plain http on the https port leads to https", async () => {
    const response = await fetch(`http://${server.ports.https}/some?where=1`, { redirect: "manual" });
    assert.ok([301, 302, 307, 308].includes(response.status), `status ${response.status}`);
    assert.equal(response.headers.get("location"), `https://${server.ports.https}/some?where=1`);
  });

  test("a call works over https with the certificate that the server made itself", async () => {
    const people = [];
    for (const name of ["Ana", "Ben"]) {
      const page = await browsers.page({ ignoreHTTPSErrors: true });
      // Typed without the s, on purpose.
      people.push(new Person(page, `http://${server.ports.https}/`, name));
    }
    for (const person of people) {
      await person.join("secure");
      assert.match(person.page.url(), /^https:/);
    }
    await people[0].perceives("Ben");
    await people[1].perceives("Ana");
    browsers.assertQuiet();
  });

  test("pages come with a policy that runs no foreign script and with nothing from elsewhere", async () => {
    const page = await browsers.page();
    const requests = [];
    page.on("request", (request) => requests.push(request.url()));
    const response = await page.goto(server.url);
    assert.match(response.headers()["content-security-policy"] ?? "", /default-src|script-src/);
    await page.waitForLoadState("networkidle");
    assert.deepEqual(
      requests.filter((url) => !url.startsWith(server.url)),
      [],
    );
    const ran = await page.evaluate(() => {
      const script = document.createElement("script");
      script.textContent = "window.foreign = true";
      document.body.append(script);
      return window.foreign === true;
    });
    assert.equal(ran, false, "an inline script ran");
    // The browser says that it refused it, and nothing else.
    const complaints = browsers.complaints.splice(0);
    assert.ok(complaints.length > 0 && complaints.every((text) => /Content Security Policy/.test(text)), complaints.join());
  });
});
