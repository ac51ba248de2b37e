// The camera: opened when it is asked for, read frame by frame, closed as soon as something was read or nobody looks.
import { LOOKS } from "./scan-grey.js";
import { readVideo } from "./scan-reader.js";

const WANTED = {
  audio: false,
  video: { facingMode: { ideal: "environment" }, width: { ideal: 1920 }, height: { ideal: 1080 } },
};

/** Whether there can be a camera at all: pages without TLS have none. */
export function hasCamera() {
  return Boolean(navigator.mediaDevices?.getUserMedia && window.Worker);
}

export class Camera {
  #video;
  #stream = null;
  #canvas = document.createElement("canvas");

  /** @param {HTMLVideoElement} video */
  constructor(video) {
    this.#video = video;
  }

  get isOpen() {
    return this.#stream !== null;
  }

  /** Open it and show its picture. Rejects with whatever the browser says, by many names. */
  async open() {
    this.#stream = await navigator.mediaDevices.getUserMedia(WANTED);
    this.#video.srcObject = this.#stream;
    await this.#video.play(); // asked for explicitly: some in-app browsers stay black otherwise
  }

  close() {
    for (const track of this.#stream?.getTracks() ?? []) track.stop();
    this.#stream = null;
    this.#video.srcObject = null;
  }

  /** Texts of the first frame that has any; null when the camera is closed before. */
  async read() {
    for (let turn = 0; this.isOpen; turn += 1) {
      await this.#frame();
      if (!this.isOpen || this.#video.videoWidth === 0) continue;
      const texts = await readVideo(this.#video, this.#canvas, LOOKS[turn % LOOKS.length]);
      if (this.isOpen && texts.length > 0) return texts;
    }
    return null;
  }

  /** {min, max, step, value} of the zoom, or null. */
  get zoom() {
    const track = this.#track;
    const range = track?.getCapabilities?.().zoom;
    if (!range || range.max <= range.min) return null;
    return { min: range.min, max: range.max, step: range.step || 0.1, value: track.getSettings().zoom ?? range.min };
  }

  get hasTorch() {
    return Boolean(this.#track?.getCapabilities?.().torch);
  }

  /** Set zoom or torch; a camera that refuses stays as it is. */
  async set(constraint) {
    try {
      await this.#track?.applyConstraints({ advanced: [constraint] });
    } catch {
      // It said that it could; nothing depends on it.
    }
  }

  get #track() {
    return this.#stream?.getVideoTracks()[0] ?? null;
  }

  #frame() {
    const video = this.#video;
    return new Promise((resolve) => {
      if (video.requestVideoFrameCallback) video.requestVideoFrameCallback(resolve);
      else requestAnimationFrame(resolve);
      setTimeout(resolve, 500); // a camera that gives no frames must not hold up closing it
    });
  }
}
