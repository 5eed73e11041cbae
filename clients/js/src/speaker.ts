/**
 * Tells who speaks: measures the level of audio streams with WebAudio.
 *
 * One timer and one AudioContext serve all streams of a room; both are gone when the last stream is.
 */

/** Milliseconds between two measurements. */
const POLL_INTERVAL = 100;
/** Measurements above the threshold in a row that count as speech. */
const LOUD_POLLS = 2;
/** Measurements below the threshold in a row that count as silence: a breath is no end of speech. */
const QUIET_POLLS = 10;
/** Samples per measurement: about 10 ms at 48 kHz, ample for a spectrum of 256 bins. */
const FFT_SIZE = 512;

interface Watched {
  /** Plays the stream silently: some browsers fetch the sound of a connection only for what is played. */
  readonly pump: HTMLAudioElement;
  readonly source: MediaStreamAudioSourceNode;
  readonly analyser: AnalyserNode;
  loud: number;
  quiet: number;
  speaking: boolean;
}

/** Who is told, and when. */
export interface SpeakerOptions {
  /** Level of the loudest frequency bin in dB (full scale) above which a stream speaks. */
  threshold: number;
  /** Called when the stream with this id starts to speak. */
  onSpeaking: (id: string) => void;
  /** Called when it has been silent for a second, or is no longer watched. */
  onStopped: (id: string) => void;
}

/** Watches the audio level of streams. */
export class SpeakerMonitor {
  readonly #options: SpeakerOptions;
  readonly #watched = new Map<string, Watched>();
  readonly #levels = new Float32Array(FFT_SIZE / 2);
  #context: AudioContext | null = null;
  #timer: ReturnType<typeof setInterval> | null = null;

  constructor(options: SpeakerOptions) {
    this.#options = options;
  }

  /** Watches `stream` under `id`. Streams without audio are ignored, and so is everything without WebAudio. */
  add(id: string, stream: MediaStream): void {
    this.remove(id);
    if (typeof AudioContext === "undefined" || stream.getAudioTracks().length === 0) {
      return;
    }
    this.#context ??= new AudioContext();
    if (this.#context.state === "suspended") {
      // Without a gesture of the user the browser refuses; the levels then stay at silence.
      this.#context.resume().catch(() => undefined);
    }
    const source = this.#context.createMediaStreamSource(stream);
    const analyser = this.#context.createAnalyser();
    analyser.fftSize = FFT_SIZE;
    analyser.smoothingTimeConstant = 0.1;
    source.connect(analyser);
    const pump = new Audio();
    pump.muted = true;
    pump.srcObject = stream;
    this.#watched.set(id, { pump, source, analyser, loud: 0, quiet: 0, speaking: false });
    this.#timer ??= setInterval(() => this.#poll(), POLL_INTERVAL);
  }

  /** Stops watching `id`. */
  remove(id: string): void {
    const watched = this.#watched.get(id);
    if (watched === undefined) {
      return;
    }
    this.#watched.delete(id);
    watched.source.disconnect();
    watched.pump.srcObject = null;
    if (watched.speaking) {
      this.#options.onStopped(id);
    }
    if (this.#watched.size === 0) {
      this.#release();
    }
  }

  /** Stops watching everything. */
  close(): void {
    for (const id of [...this.#watched.keys()]) {
      this.remove(id);
    }
  }

  #poll(): void {
    for (const [id, watched] of [...this.#watched]) {
      watched.analyser.getFloatFrequencyData(this.#levels);
      const level = this.#levels.reduce((loudest, bin) => Math.max(loudest, bin), -Infinity);
      this.#judge(id, watched, level > this.#options.threshold);
    }
  }

  #judge(id: string, watched: Watched, loud: boolean): void {
    watched.loud = loud ? watched.loud + 1 : 0;
    watched.quiet = loud ? 0 : watched.quiet + 1;
    if (!watched.speaking && watched.loud >= LOUD_POLLS) {
      watched.speaking = true;
      this.#options.onSpeaking(id);
    } else if (watched.speaking && watched.quiet >= QUIET_POLLS) {
      watched.speaking = false;
      this.#options.onStopped(id);
    }
  }

  #release(): void {
    if (this.#timer !== null) {
      clearInterval(this.#timer);
      this.#timer = null;
    }
    this.#context?.close().catch(() => undefined);
    this.#context = null;
  }
}

/**
 * Calls `listener` whenever somebody begins to speak in `media`, or has been silent for a second, until the returned
 * function is called. For our own microphone, say, to remind who speaks while muted: a clone of the track hears on.
 *
 * @param threshold level of the loudest frequency in dB above which somebody speaks
 */
export function watchSpeech(media: MediaStream, listener: (speaking: boolean) => void, threshold = -50): () => void {
  const monitor = new SpeakerMonitor({ threshold, onSpeaking: () => listener(true), onStopped: () => listener(false) });
  monitor.add("", media);
  return () => monitor.close();
}
