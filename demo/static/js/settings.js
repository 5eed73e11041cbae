/** What the server wants its pages to do, as its operator configured it. */

/** What holds if the server does not say. */
const DEFAULTS = { loopbackRemote: false, loopbackAndLocal: false, filterRequestParam: "hat" };

/**
 * @returns {Promise<{loopbackRemote: boolean, loopbackAndLocal: boolean, filterRequestParam: string,
 *   updateSpeakerInterval: number, thresholdSpeaker: number}>} times in ms, levels in dB
 */
export async function loadSettings() {
  const [config, updateSpeakerInterval, thresholdSpeaker] = await Promise.all([
    read("getClientConfig", DEFAULTS),
    read("getUpdateSpeakerInterval", 1800),
    read("getThresholdSpeaker", -50),
  ]);
  return { ...DEFAULTS, ...config, updateSpeakerInterval, thresholdSpeaker };
}

/** A resource of the server; `otherwise` if it is not there or of another kind. */
async function read(path, otherwise) {
  try {
    const response = await fetch(path, { headers: { accept: "application/json" } });
    const value = response.ok ? await response.json() : otherwise;
    return typeof value === typeof otherwise && value !== null ? value : otherwise;
  } catch {
    // The call works with the defaults; joining says soon enough whether the server is there.
    return otherwise;
  }
}
