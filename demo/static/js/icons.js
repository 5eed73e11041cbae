/** Signs from the sprite in the page. */

const SVG = "http://www.w3.org/2000/svg";

/** Makes the sign `icon-<name>`. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `#icon-${name}`);
  svg.append(use);
  return svg;
}

/** Changes the sign of a button. */
export function setIcon(button, name) {
  button.querySelector(".icon use").setAttribute("href", `#icon-${name}`);
}
