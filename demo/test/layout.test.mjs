import assert from "node:assert/strict";
import { test } from "node:test";
import { arrange } from "../static/js/layout.js";

const STAGES = [
  [1244, 650],
  [924, 650],
  [370, 708],
  [1880, 950],
  [600, 300],
];

function overlap(a, b) {
  return a.left < b.left + b.width && b.left < a.left + a.width && a.top < b.top + b.height && b.top < a.top + a.height;
}

test("tiles never overlap and never leave the stage", () => {
  for (const [width, height] of STAGES) {
    for (let count = 1; count <= 16; count += 1) {
      for (const main of [-1, 0, count - 1]) {
        const places = arrange(count, width, height, main);
        assert.equal(places.length, count);
        places.forEach((place, index) => {
          const where = `${index} of ${count} on ${width}x${height}, main ${main}: ${JSON.stringify(place)}`;
          assert.ok(place.left >= -0.01 && place.left + place.width <= width + 0.01, where);
          assert.ok(place.top >= -0.01 && place.top + place.height <= height + 0.01, where);
          assert.ok(places.slice(index + 1).every((other) => !overlap(place, other)), where);
        });
      }
    }
  }
});

test("four people stand two by two on a landscape stage and all are alike", () => {
  const places = arrange(4, 1244, 650, -1);
  assert.equal(new Set(places.map(({ left }) => Math.round(left))).size, 2);
  assert.equal(new Set(places.map(({ width }) => Math.round(width))).size, 1);
});

test("the large tile is the largest, wherever it is in the order", () => {
  for (const main of [0, 1, 2]) {
    const areas = arrange(3, 1244, 650, main).map(({ width, height }) => width * height);
    assert.equal(areas.indexOf(Math.max(...areas)), main);
  }
});

test("somebody alone cannot be larger than alone", () => {
  assert.deepEqual(arrange(1, 1244, 650, 0), arrange(1, 1244, 650, -1));
});

test("nobody needs no place, and a stage that is not laid out yet has none", () => {
  assert.deepEqual(arrange(0, 1244, 650, -1), []);
  assert.ok(arrange(3, 0, 0, -1).every(({ width, height }) => width >= 0 && height >= 0));
});
