// The reader of QR codes as the page sees it: a worker that is started when it is first needed.
import { partOf } from "./scan-grey.js";

const LONGEST = 3000; // pixels of a photo's longer side as it is looked at; larger ones cost time and find nothing more

let worker = null;
let last = 0;
let direct = "VideoFrame" in window; // frames go to the worker as the camera gave them, until that fails once
const waiting = new Map();

function started() {
  if (worker === null) {
    worker = new Worker(new URL("./scan-worker.js", import.meta.url), { type: "module" });
    worker.onmessage = ({ data: { id, texts } }) => {
      waiting.get(id)?.resolve(texts);
      waiting.delete(id);
    };
    worker.onerror = (event) => {
      event.preventDefault();
      for (const one of waiting.values()) one.reject(new Error("the reader does not run"));
      waiting.clear();
      worker = null;
    };
  }
  return worker;
}

/** Rejects when the reader does not run in this browser. */
function ask(question, moved) {
  const id = (last += 1);
  return new Promise((resolve, reject) => {
    started().postMessage({ id, ...question }, moved);
    waiting.set(id, { resolve, reject });
  });
}

/** The texts in the part of a frame that `look` wants. Closes the frame; null where its bytes are not to be had.
 * @param {VideoFrame} frame @param {import("./scan-grey.js").Look} look */
export async function readFrame(frame, look) {
  try {
    return await ask({ frame, look }, [frame]);
  } catch (error) {
    frame.close();
    if (error instanceof DOMException) return null; // a browser that does not hand frames over
    throw error;
  }
}

/** The same of anything that can be drawn, by way of a canvas.
 * @param {CanvasImageSource} source @param {HTMLCanvasElement} canvas @param {import("./scan-grey.js").Look} look */
export function readDrawn(source, width, height, canvas, look) {
  const { x, y, width: wide, height: high } = partOf(look, width, height);
  draw(canvas, source, [x, y, wide, high], wide, high);
  return readCanvas(canvas, look.how);
}

/** The same of a video, in the way that this browser has.
 * @param {HTMLVideoElement} video @param {HTMLCanvasElement} canvas @param {import("./scan-grey.js").Look} look */
export async function readVideo(video, canvas, look) {
  if (direct) {
    const frame = frameOf(video);
    const texts = frame && (await readFrame(frame, look));
    if (texts !== null) return texts;
    direct = false;
  }
  return readDrawn(video, video.videoWidth, video.videoHeight, canvas, look);
}

/** What the video shows now; null where the browser does not give it. @param {HTMLVideoElement} video */
function frameOf(video) {
  try {
    return new VideoFrame(video);
  } catch {
    return null;
  }
}

/** The texts of the QR codes in a picture file. Rejects for what is no picture. */
export async function readPicture(file) {
  const picture = await createImageBitmap(file);
  const canvas = document.createElement("canvas");
  const scale = Math.min(1, LONGEST / Math.max(picture.width, picture.height));
  const [wide, high] = [picture.width, picture.height].map((size) => Math.max(2, Math.floor((size * scale) / 2) * 2));
  const hows = Math.max(wide, high) * 1.5 <= LONGEST ? ["plain", "smooth", "enlarge"] : ["plain", "smooth"];
  draw(canvas, picture, [0, 0, picture.width, picture.height], wide, high);
  for (const how of hows) {
    const texts = await readCanvas(canvas, how);
    if (texts.length > 0) return texts;
  }
  return [];
}

/** Start it early, so that it is there when the first picture is. */
export function warmUp() {
  started();
}

function draw(canvas, source, [x, y, width, height], wide, high) {
  if (canvas.width !== wide || canvas.height !== high) Object.assign(canvas, { width: wide, height: high });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.imageSmoothingQuality = "high";
  context.fillStyle = "#fff"; // behind a picture with transparent paper
  context.fillRect(0, 0, wide, high);
  context.drawImage(source, x, y, width, height, 0, 0, wide, high);
}

function readCanvas(canvas, how) {
  const { width, height } = canvas;
  const pixels = canvas.getContext("2d", { willReadFrequently: true }).getImageData(0, 0, width, height).data.buffer;
  return ask({ pixels, width, height, how }, [pixels]);
}
