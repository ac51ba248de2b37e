// Reads QR codes out of pictures, off the page's thread. Nothing is loaded from anywhere but this site.
//
//   in   {id, frame: VideoFrame, look}                          a camera's frame; its plane of light is all that is read
//        {id, pixels: ArrayBuffer of RGBA, width, height, how}   a picture that the page drew
//   out  {id, texts}, texts null when this browser does not give the frame's bytes
import { BINARIZERS, CHARACTER_SETS, EAN_ADD_ON_SYMBOLS, TEXT_MODES } from "./zxing_reader.js";
import { defaultReaderOptions, encodeFormats, prepareZXingModule } from "./zxing_reader.js";
import { greyOf, partOf, prepare, sizeOf } from "./scan-grey.js";

const wasm = new URL("./zxing_reader.wasm", import.meta.url).href;
const ready = prepareZXingModule({ overrides: { locateFile: () => wasm }, fireImmediately: true });
// As `readBarcodes` would hand them on. It takes RGBA only, copies it twice and turns it to grey slowly.
const OPTIONS = {
  ...defaultReaderOptions,
  formats: encodeFormats(["QRCode"]),
  binarizer: BINARIZERS.indexOf("LocalAverage"),
  eanAddOnSymbol: EAN_ADD_ON_SYMBOLS.indexOf("Ignore"),
  textMode: TEXT_MODES.indexOf("HRI"),
  characterSet: CHARACTER_SETS.indexOf("Unknown"),
  tryInvert: false,
  maxNumberOfSymbols: 4,
};
const PLANAR = /^(I4(20|22|44)A?|NV12)$/; // the plane of light comes first, a byte a pixel
const FOUR_BYTES = /^(RGB|BGR)[AX]$/;

let place = 0; // in the reader's memory
let room = 0; // bytes there
let held = new Uint8Array(); // a frame's bytes
let turn = Promise.resolve(); // one picture at a time: they share the two above

self.onmessage = ({ data }) => {
  turn = turn.then(() => answer(data));
};

async function answer(asked) {
  let texts = [];
  try {
    const module = await ready;
    const { frame, look, pixels, width, height, how } = asked;
    const grey = frame ? await lightOf(frame, look) : { plane: greyOf(new Uint8Array(pixels)), width, height };
    texts = grey && read(module, grey, frame ? look.how : how);
  } catch {
    // a reader that does not run says so by `error` of its own; a picture that cannot be read has no texts
  } finally {
    asked.frame?.close();
    self.postMessage({ id: asked.id, texts });
  }
}

/** The part of a frame that `look` wants, in grey; null where the browser does not give it. */
async function lightOf(frame, look) {
  const { format, visibleRect: whole } = frame;
  const planar = PLANAR.test(format);
  if (!planar && !FOUR_BYTES.test(format)) return null;
  const { x, y, width, height } = partOf(look, whole.width, whole.height);
  const rect = { x: Math.floor(whole.x / 2) * 2 + x, y: Math.floor(whole.y / 2) * 2 + y, width, height };
  try {
    const bytes = frame.allocationSize({ rect });
    if (held.length < bytes) held = new Uint8Array(bytes);
    const [first] = await frame.copyTo(held, { rect });
    if (first.offset !== 0 || first.stride !== (planar ? width : 4 * width)) return null;
  } catch {
    return null;
  }
  const size = width * height;
  return { plane: planar ? held : greyOf(held.subarray(0, 4 * size), format[0] === "B"), width, height };
}

function read(module, grey, how) {
  const [wide, high] = sizeOf(grey, how);
  if (room < wide * high) {
    module._free(place);
    place = module._malloc(wide * high);
    room = place ? wide * high : 0;
    if (!place) return [];
  }
  prepare(grey, how, module.HEAPU8.subarray(place, place + wide * high));
  const found = module.readBarcodesFromPixmap(place, wide, high, OPTIONS);
  const texts = [];
  for (let at = 0; at < found.size(); at += 1) {
    const code = found.get(at);
    if (code.isValid) texts.push(code.text);
  }
  found.delete();
  return texts;
}
