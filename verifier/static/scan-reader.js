// The reader of QR codes as the page sees it: a worker that is started when it is first needed.

const LONGEST = 3000; // pixels of a photo's longer side as it is looked at; larger ones cost time and find nothing more

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

// How a camera's frames are looked at, in turn: as they are, and the middle enlarged. Modules of less than about four
// pixels, or blurred ones, are read only so: at 20 cm none of eight frames as it was, all eight enlarged.
export const LOOKS = [
  { part: 1, scale: 1 },
  { part: 2 / 3, scale: 1.5 },
];

/** The texts in `part` of a frame, around its middle, drawn on `canvas` at `scale`. */
export function readFrame(source, width, height, canvas, { part, scale }) {
  const [wide, high] = [width * part, height * part];
  canvas.width = Math.round(wide * scale);
  canvas.height = Math.round(high * scale);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.imageSmoothingQuality = "high";
  const [left, top] = [(width - wide) / 2, (height - high) / 2];
  context.drawImage(source, left, top, wide, high, 0, 0, canvas.width, canvas.height);
  return readCanvas(canvas);
}

/** The texts of the QR codes in a picture file. Rejects for what is no picture. */
export async function readPicture(file) {
  const picture = await createImageBitmap(file);
  const canvas = document.createElement("canvas");
  const whole = Math.min(1, LONGEST / Math.max(picture.width, picture.height));
  const scales = picture.width * 1.5 <= LONGEST && picture.height * 1.5 <= LONGEST ? [whole, 1.5] : [whole];
  for (const scale of scales) {
    const texts = await readFrame(picture, picture.width, picture.height, canvas, { part: 1, scale });
    if (texts.length > 0) return texts;
  }
  return [];
}

/** Start it early, so that it is there when the first picture is. */
export function warmUp() {
  started();
}
