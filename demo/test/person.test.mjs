import assert from "node:assert/strict";
import { test } from "node:test";
import { explainDevices, explainJoin, messageOf } from "../static/js/errors.js";
import { hueOf, initialsOf } from "../static/js/person.js";

test("initials are those of the first and last word, or the first two letters", () => {
  assert.equal(initialsOf("Ann Lee"), "AL");
  assert.equal(initialsOf("ann-marie van_der.berg"), "AB");
  assert.equal(initialsOf("bob"), "BO");
  assert.equal(initialsOf("Zoë"), "ZO");
  assert.equal(initialsOf("x"), "X");
  assert.equal(initialsOf("😀😁😂"), "😀😁");
  assert.equal(initialsOf(""), "?");
});

test("a hue stays with its name and within the circle", () => {
  for (const name of ["", "ann", "bob", "Zoë", "😀"]) {
    assert.equal(hueOf(name), hueOf(name));
    assert.ok(hueOf(name) >= 0 && hueOf(name) < 360);
  }
  assert.notEqual(hueOf("ann"), hueOf("bob"));
});

test("every refusal says what it is and what mends it", () => {
  for (const code of [104, 203, 204, -1, undefined]) {
    const { title, text, hint } = explainJoin({ code, message: "m" }, "ann", "garden");
    assert.ok(title !== "" && text !== "" && hint !== "");
  }
  for (const name of ["NotAllowedError", "NotFoundError", "NotReadableError", "SecurityError", "OtherError"]) {
    const { title, text, hint } = explainDevices({ name, message: "m" });
    assert.ok(title !== "" && text !== "" && hint !== "");
  }
});

test("whatever was thrown has a text", () => {
  assert.equal(messageOf("text"), "text");
  assert.equal(messageOf(new Error("reason")), "reason");
  for (const nothing of [undefined, null, {}, "", { message: 7 }]) {
    assert.equal(messageOf(nothing), "No reason was given.");
  }
});
