/** Draws a picture of what workers did into a canvas: densities when far, bars when near, failures on top of all. */
import type { Colour } from "@/lib/tokens";
import type { Bar, Extent, Lane, Picture } from "./picture";

/** From so many pixels on a datum is a bar of its own. */
export const BAR = 3;

export interface Size {
  width: number;
  laneHeight: number;
}

type Palette = Record<Colour, string>;

/**
 * Draw all lanes.
 *
 * @param context of a canvas of `size.width` by the height of all lanes.
 * @param picture what to draw; it may be of another range while the one of `extent` is read.
 * @param extent the range that is shown.
 * @param size in CSS pixels.
 * @param colours of the theme.
 */
export function drawLanes(context: CanvasRenderingContext2D, picture: Picture, extent: Extent, size: Size, colours: Palette): void {
  context.clearRect(0, 0, size.width, picture.lanes.length * size.laneHeight);
  const scale = size.width / (extent.until - extent.from);
  for (const [number, lane] of picture.lanes.entries()) {
    const top = number * size.laneHeight;
    context.fillStyle = colours.hairline;
    context.fillRect(0, top + size.laneHeight - 1, size.width, 1);
    const inner = { top: top + 2, height: size.laneHeight - 5 };
    const near = lane.bars && lane.bars.some((bar) => (bar.end - bar.begin) * scale >= BAR);
    if (near) drawBars(context, lane.bars ?? [], extent, scale, inner, colours);
    else drawDensity(context, lane, picture, extent, scale, inner, colours);
    drawBars(context, lane.added, extent, scale, inner, colours);
    if (!near) drawFailures(context, lane, picture, extent, scale, inner, colours);
  }
}

interface Inner {
  top: number;
  height: number;
}

function drawDensity(
  context: CanvasRenderingContext2D, lane: Lane, picture: Picture, extent: Extent, scale: number, inner: Inner, colours: Palette,
): void {
  const seconds = (picture.until - picture.from) / Math.max(1, lane.busy.length);
  // Events may have moved the end; slices keep the times that they were read for.
  const width = seconds * scale;
  context.fillStyle = colours.active;
  for (let slice = 0; slice < lane.busy.length; slice++) {
    const share = lane.busy[slice] ?? 0;
    if (share === 0) continue;
    const left = (picture.from + slice * seconds - extent.from) * scale;
    if (left + width < 0 || left > context.canvas.width) continue;
    const height = Math.max(1, (inner.height * share) / 255);
    context.fillRect(left, inner.top + inner.height - height, Math.max(width, 0.6), height);
  }
}

function drawFailures(
  context: CanvasRenderingContext2D, lane: Lane, picture: Picture, extent: Extent, scale: number, inner: Inner, colours: Palette,
): void {
  const seconds = (picture.until - picture.from) / Math.max(1, lane.busy.length);
  for (const [slice] of lane.failures) {
    const left = (picture.from + slice * seconds - extent.from) * scale;
    notched(context, left, Math.max(4, seconds * scale), inner, colours);
  }
}

function drawBars(
  context: CanvasRenderingContext2D, bars: readonly Bar[], extent: Extent, scale: number, inner: Inner, colours: Palette,
): void {
  for (const pass of [false, true]) {
    for (const bar of bars) {
      if (pass !== bar.failed > 0) continue;
      const left = (bar.begin - extent.from) * scale;
      const width = Math.max(1, (bar.end - bar.begin) * scale - (bar.count === 1 ? 1 : 0));
      if (left + width < 0 || left > context.canvas.width) continue;
      if (bar.failed > 0) {
        notched(context, left, Math.max(width, 4), inner, colours);
      } else if (bar.state === "STARTING") {
        context.fillStyle = colours.active;
        context.globalAlpha = 0.35;
        context.fillRect(left, inner.top, width, inner.height);
        context.globalAlpha = 1;
        context.strokeStyle = colours.active;
        context.strokeRect(left + 0.5, inner.top + 0.5, Math.max(1, width - 1), inner.height - 1);
      } else {
        context.fillStyle = bar.state === "RECOVERED" ? colours.wait : colours.good;
        // Several datums are one lower bar: their own ends are not known here.
        const height = bar.count === 1 ? inner.height : Math.max(3, inner.height * 0.6);
        context.fillRect(left, inner.top + inner.height - height, width, height);
      }
    }
  }
}

/** Failed: solid with a notch, so that its shape says it too. */
function notched(context: CanvasRenderingContext2D, left: number, width: number, inner: Inner, colours: Palette): void {
  context.fillStyle = colours.bad;
  context.fillRect(left, inner.top, width, inner.height);
  context.fillStyle = colours.page;
  const notch = Math.min(3, width / 2);
  context.beginPath();
  context.moveTo(left + width / 2 - notch, inner.top);
  context.lineTo(left + width / 2 + notch, inner.top);
  context.lineTo(left + width / 2, inner.top + notch * 1.5);
  context.fill();
}
