/** Microphones that are heard when a test says so. */

/** Puts a tone that can be switched on and off in place of the microphone; runs in the page. */
export function replaceMicrophone() {
  const devices = navigator.mediaDevices;
  const real = devices.getUserMedia.bind(devices);
  devices.getUserMedia = async (constraints) => {
    const media = await real(constraints);
    for (const track of media.getAudioTracks()) {
      media.removeTrack(track);
      track.stop();
    }
    const context = new AudioContext();
    await context.resume();
    const tone = new OscillatorNode(context, { frequency: 440 });
    const gain = new GainNode(context, { gain: 0 });
    const microphone = context.createMediaStreamDestination();
    tone.connect(gain).connect(microphone);
    tone.start();
    media.addTrack(microphone.stream.getAudioTracks()[0]);
    // Syllables: a steady tone is noise.
    let speaks = false;
    let sounds = false;
    setInterval(() => {
      sounds = speaks && !sounds;
      gain.gain.value = sounds ? 0.5 : 0;
    }, 120);
    window.speak = (on) => {
      speaks = on;
    };
    return media;
  };
}

/** Makes the microphone of a person's page, which {@link replaceMicrophone} runs in, sound or be quiet. */
export function speak(who, on) {
  return who.page.evaluate((on) => window.speak(on), on);
}
