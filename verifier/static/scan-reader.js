// The reader of QR codes as the page sees it: a worker that is started when it is first needed.

const LONGEST = 3000; // pixels of a photo's longer side, tried first; larger ones cost time and find nothing more

let worker = null;
let last = 0;
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

/** The texts of the QR codes in a canvas. Rejects when the reader does not run in this browser. */
export function readCanvas(canvas) {
  const { width, height } = canvas;
  const pixels = canvas.getContext("2d", { willReadFrequently: true }).getImageData(0, 0, width, height).data.buffer;
  const id = (last += 1);
  return new Promise((resolve, reject) => {
    waiting.set(id, { resolve, reject });
    started().postMessage({ id, width, height, pixels }, [pixels]);
  });
}

/** The texts of the QR codes in a picture file. Rejects for what is no picture. */
export async function readPicture(file) {
  const picture = await createImageBitmap(file);
  const canvas = document.createElement("canvas");
  const scales = [Math.min(1, LONGEST / Math.max(picture.width, picture.height))];
  if (scales[0] > 0.5) scales.push(scales[0] / 2); // blurred or noisy photos are often read when they are halved
  for (const scale of scales) {
    canvas.width = Math.max(1, Math.round(picture.width * scale));
    canvas.height = Math.max(1, Math.round(picture.height * scale));
    canvas.getContext("2d", { willReadFrequently: true }).drawImage(picture, 0, 0, canvas.width, canvas.height);
    const texts = await readCanvas(canvas);
    if (texts.length > 0) return texts;
  }
  return [];
}

/** Start it early, so that it is there when the first picture is. */
export function warmUp() {
  started();
}
