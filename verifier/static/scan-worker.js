// Reads QR codes out of pixels, off the page's thread. In: {id, width, height, pixels: ArrayBuffer of RGBA};
// out: {id, texts}. Nothing is loaded from anywhere but this site.
import { prepareZXingModule, readBarcodes } from "./zxing_reader.js";

const wasm = new URL("./zxing_reader.wasm", import.meta.url).href;
const ready = prepareZXingModule({ overrides: { locateFile: () => wasm }, fireImmediately: true });
const OPTIONS = { formats: ["QRCode"], tryHarder: true, tryInvert: false, maxNumberOfSymbols: 4 };

self.onmessage = async ({ data: { id, width, height, pixels } }) => {
  let texts = [];
  try {
    await ready;
    const found = await readBarcodes(new ImageData(new Uint8ClampedArray(pixels), width, height), OPTIONS);
    texts = found.filter((code) => code.isValid).map((code) => code.text);
  } finally {
    self.postMessage({ id, texts });
  }
};
