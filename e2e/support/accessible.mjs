/** What axe finds wrong with a page, and what does not fit on its screen. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** Fails if axe finds anything that WCAG 2.2 AA or good practice forbids. */
export async function assertAccessible(page, where) {
  // Colours are judged as they are in the end.
  await page.evaluate(() => Promise.allSettled(document.getAnimations().map((animation) => animation.finished)));
  await page.evaluate(AXE);
  const violations = await page.evaluate(async () => {
    const found = await window.axe.run(document, { resultTypes: ["violations"] });
    return found.violations.flatMap(({ id, help, nodes }) => nodes.map(({ html, failureSummary }) => [id, help, html, failureSummary]));
  });
  assert.deepEqual(violations, [], where);
}

/** Fails if the page has to be moved sideways, or a control is cut off or too small for a thumb. */
export async function assertFits(page, where) {
  const faults = await page.evaluate(() => {
    const faults = [];
    const { clientWidth, scrollWidth } = document.documentElement;
    if (scrollWidth > clientWidth) {
      faults.push(`the page is ${scrollWidth} wide on ${clientWidth}`);
    }
    for (const control of document.querySelectorAll("button, input, a")) {
      const { left, right, top, bottom, width, height } = control.getBoundingClientRect();
      if (!control.checkVisibility() || control.closest(".tile-surface, [inert]") !== null) {
        continue;
      }
      const name = control.id || control.textContent || control.getAttribute("aria-label");
      if (left < 0 || right > innerWidth || top < 0 || bottom > innerHeight) {
        faults.push(`${name} is at ${left}..${right}, ${top}..${bottom}`);
      }
      if (width < 32 || height < 32) {
        faults.push(`${name} is ${width} by ${height}`);
      }
    }
    return faults;
  });
  assert.deepEqual(faults, [], where);
}
