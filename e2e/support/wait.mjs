/** Waiting for what a test expects, with an end. */

/** Milliseconds that anything may take, however busy the machine is. */
export const PATIENCE = 30_000;
/** Milliseconds between two looks. */
const INTERVAL = 50;

/**
 * Looks until `probe` gives something truthy, and gives that back.
 *
 * @template T
 * @param {string} what the promise in words, for the failure
 * @param {() => Promise<T> | T} probe looks once; a thrown error counts as "not yet"
 * @param {number} patience milliseconds
 * @returns {Promise<NonNullable<T>>}
 */
export async function until(what, probe, patience = PATIENCE) {
  const deadline = Date.now() + patience;
  let last;
  for (;;) {
    try {
      last = await probe();
    } catch (error) {
      last = error;
    }
    if (last && !(last instanceof Error)) {
      return last;
    }
    if (Date.now() >= deadline) {
      throw new Error(`did not happen within ${patience} ms: ${what}; last seen: ${show(last)}`);
    }
    await new Promise((resolve) => setTimeout(resolve, INTERVAL));
  }
}

function show(value) {
  return value instanceof Error ? value.message : JSON.stringify(value);
}
