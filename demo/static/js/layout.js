/**
 * Where the tiles go. All of them share the stage evenly, or one is large and the others stand in a strip beside or
 * below it. Pure arithmetic: sizes in CSS pixels in, rectangles out.
 */

const GAP = 12;
/** Tiles are this wide, for their height, at most … */
const MAX_ASPECT = 16 / 9;
/** … at least this on a landscape stage … */
const MIN_ASPECT_LANDSCAPE = 1.15;
/** … and at least this on a portrait one: cameras of phones are upright. */
const MIN_ASPECT_PORTRAIT = 0.75;

/**
 * @param {number} count tiles
 * @param {number} width of the stage
 * @param {number} height of the stage
 * @param {number} main index of the large tile, or -1
 * @returns {{left: number, top: number, width: number, height: number}[]}
 */
export function arrange(count, width, height, main) {
  if (main < 0 || count === 1) {
    return gridOf(count, width, height);
  }
  const beside = width > height * 1.2;
  const strip = beside ? Math.min(240, width * 0.24) : Math.min(150, height * 0.24);
  const [large, others] = beside
    ? [box(0, 0, width - strip - GAP, height), box(width - strip, 0, strip, height)]
    : [box(0, 0, width, height - strip - GAP), box(0, height - strip, width, strip)];
  const small = gridOf(count - 1, others.width, others.height).map((rect) =>
    box(others.left + rect.left, others.top + rect.top, rect.width, rect.height),
  );
  return [...small.slice(0, main), large, ...small.slice(main)];
}

function box(left, top, width, height) {
  return { left, top, width: Math.max(0, width), height: Math.max(0, height) };
}

/** The number of columns that gives the largest tiles; the last row is centred. */
function gridOf(count, width, height) {
  const minAspect = width > height ? MIN_ASPECT_LANDSCAPE : MIN_ASPECT_PORTRAIT;
  let best = { columns: 1, width: 0, height: 0 };
  for (let columns = 1; columns <= count; columns += 1) {
    const rows = Math.ceil(count / columns);
    const size = fit((width - GAP * (columns - 1)) / columns, (height - GAP * (rows - 1)) / rows, minAspect);
    if (size.width * size.height > best.width * best.height) {
      best = { columns, ...size };
    }
  }
  const rows = Math.ceil(count / best.columns);
  const offset = (height - rows * best.height - (rows - 1) * GAP) / 2;
  return Array.from({ length: count }, (_, index) => {
    const row = Math.floor(index / best.columns);
    const inRow = row === rows - 1 ? count - row * best.columns : best.columns;
    const start = (width - inRow * best.width - (inRow - 1) * GAP) / 2;
    return {
      left: start + (index % best.columns) * (best.width + GAP),
      top: offset + row * (best.height + GAP),
      width: best.width,
      height: best.height,
    };
  });
}

function fit(width, height, minAspect) {
  if (width <= 0 || height <= 0) {
    return { width: 0, height: 0 };
  }
  const aspect = width / height;
  if (aspect > MAX_ASPECT) {
    return { width: height * MAX_ASPECT, height };
  }
  return aspect < minAspect ? { width, height: width / minAspect } : { width, height };
}
