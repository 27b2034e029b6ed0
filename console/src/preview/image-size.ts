/** Reads the width and height of an image from the begin of its file, so that huge ones are not decoded unasked. */

export interface ImageSize {
  width: number;
  height: number;
}

/** Bytes of a file that `imageSize` needs in nearly all cases. */
export const HEADER_BYTES = 65_536;

/** Return the size of an image; undefined when its kind is not known or the header is incomplete. */
export function imageSize(bytes: Uint8Array): ImageSize | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  try {
    return ofPng(view) ?? ofGif(view) ?? ofBmp(view) ?? ofWebp(view) ?? ofJpeg(view);
  } catch (error) {
    if (error instanceof RangeError) return undefined; // the header is longer, or cut off
    throw error;
  }
}

function starts(view: DataView, text: string, at = 0): boolean {
  return [...text].every((sign, index) => view.getUint8(at + index) === sign.charCodeAt(0));
}

function ofPng(view: DataView): ImageSize | undefined {
  return starts(view, "PNG", 1) ? { width: view.getUint32(16), height: view.getUint32(20) } : undefined;
}

function ofGif(view: DataView): ImageSize | undefined {
  return starts(view, "GIF8") ? { width: view.getUint16(6, true), height: view.getUint16(8, true) } : undefined;
}

function ofBmp(view: DataView): ImageSize | undefined {
  return starts(view, "BM") ? { width: view.getInt32(18, true), height: Math.abs(view.getInt32(22, true)) } : undefined;
}

function ofWebp(view: DataView): ImageSize | undefined {
  if (!starts(view, "RIFF") || !starts(view, "WEBP", 8)) return undefined;
  const low24 = (at: number) => view.getUint16(at, true) + (view.getUint8(at + 2) << 16);
  if (starts(view, "VP8X", 12)) return { width: low24(24) + 1, height: low24(27) + 1 };
  if (starts(view, "VP8L", 12)) {
    const bits = view.getUint32(21, true);
    return { width: (bits & 0x3fff) + 1, height: ((bits >>> 14) & 0x3fff) + 1 };
  }
  return { width: view.getUint16(26, true) & 0x3fff, height: view.getUint16(28, true) & 0x3fff };
}

function ofJpeg(view: DataView): ImageSize | undefined {
  if (view.getUint16(0) !== 0xffd8) return undefined;
  for (let at = 2; ; ) {
    if (view.getUint8(at) !== 0xff) return undefined;
    const marker = view.getUint8(at + 1);
    const isFrame = marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker);
    if (isFrame) return { width: view.getUint16(at + 7), height: view.getUint16(at + 5) };
    at += 2 + view.getUint16(at + 2);
  }
}
