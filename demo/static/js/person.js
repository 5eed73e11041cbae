/** How a person is drawn where there is no picture. */

/** Two letters at most. */
export function initialsOf(name) {
  const words = name.split(/[\s._-]+/u).filter((word) => word !== "");
  const letters = words.length > 1 ? [words[0], words[words.length - 1]].map(first) : [...(words[0] ?? "?")].slice(0, 2);
  return letters.join("").toLocaleUpperCase();
}

/** A hue from 0 to 359 that stays with the name. */
export function hueOf(name) {
  let hash = 0;
  for (const character of name) {
    hash = (hash * 31 + character.codePointAt(0)) % 3600;
  }
  return hash % 360;
}

function first(word) {
  return [...word][0];
}
