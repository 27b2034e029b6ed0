/** Which part of a picture is visible, and at what size: pan, zoom and fit. Pure. */

export interface Camera {
  /** Point of the picture at the upper left corner of the screen. */
  x: number;
  y: number;
  /** Pixels on screen per pixel of the picture. */
  scale: number;
}

export interface Box {
  left: number;
  top: number;
  width: number;
  height: number;
}

export interface Size {
  width: number;
  height: number;
}

const MIN_SCALE = 0.02;
const MAX_SCALE = 2;
/** A fitted picture is not shown larger than this. */
const FIT_SCALE = 1;
const MARGIN = 32;

/** Shows a whole box in the middle of the screen. */
export function fit(box: Box, screen: Size): Camera {
  const wide = (screen.width - 2 * MARGIN) / Math.max(1, box.width);
  const high = (screen.height - 2 * MARGIN) / Math.max(1, box.height);
  const scale = Math.min(Math.max(Math.min(wide, high, FIT_SCALE), MIN_SCALE), MAX_SCALE);
  return {
    x: box.left + box.width / 2 - screen.width / scale / 2,
    y: box.top + box.height / 2 - screen.height / scale / 2,
    scale,
  };
}

/**
 * Zooms around a point of the screen, which stays where it is.
 *
 * @param camera The camera before.
 * @param factor Above 1 to see more closely.
 * @param at The point, in pixels of the screen.
 */
export function zoom(camera: Camera, factor: number, at: { x: number; y: number }): Camera {
  const scale = Math.min(Math.max(camera.scale * factor, MIN_SCALE), MAX_SCALE);
  return { x: camera.x + at.x / camera.scale - at.x / scale, y: camera.y + at.y / camera.scale - at.y / scale, scale };
}

/** Moves the picture by pixels of the screen. */
export function pan(camera: Camera, dx: number, dy: number): Camera {
  return { ...camera, x: camera.x - dx / camera.scale, y: camera.y - dy / camera.scale };
}

/** Moves as little as shows a box; one that is larger than the screen is put to its middle. */
export function reveal(camera: Camera, box: Box, screen: Size): Camera {
  const margin = MARGIN / camera.scale;
  return {
    ...camera,
    x: revealed(camera.x, screen.width / camera.scale, box.left - margin, box.width + 2 * margin),
    y: revealed(camera.y, screen.height / camera.scale, box.top - margin, box.height + 2 * margin),
  };
}

function revealed(start: number, length: number, boxStart: number, boxLength: number): number {
  if (boxLength >= length) return boxStart + boxLength / 2 - length / 2;
  return Math.min(Math.max(start, boxStart + boxLength - length), boxStart);
}

/**
 * What the screen shows of the picture.
 *
 * @param camera The camera.
 * @param screen The screen.
 * @param margin Pixels of the screen to add on each side.
 */
export function visibleBox(camera: Camera, screen: Size, margin = 0): Box {
  return {
    left: camera.x - margin / camera.scale,
    top: camera.y - margin / camera.scale,
    width: (screen.width + 2 * margin) / camera.scale,
    height: (screen.height + 2 * margin) / camera.scale,
  };
}

export function overlaps(one: Box, other: Box): boolean {
  return (
    one.left < other.left + other.width &&
    other.left < one.left + one.width &&
    one.top < other.top + other.height &&
    other.top < one.top + one.height
  );
}
