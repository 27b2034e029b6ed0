"""The graph of 1,000 pipelines in a browser: time to the first picture, and times of frames while it moves.

    python benchmarks/console_graph.py FOLDER [--rounds N]

FOLDER is a data folder of benchmarks/console_data.py. The console must be built, and Chromium and Playwright be there
(scripts/test-console installs them). Besides times of frames, the processor time of the page per frame is printed:
other programs on the machine do not change it.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "e2e")]

import chromium  # noqa: E402
from servers import Server  # noqa: E402

if TYPE_CHECKING:
    from playwright.sync_api import Page

FRAMES = 90
#: Opens the graph by its link and returns the milliseconds until its canvas has a picture.
OPEN = """async () => {
  const begin = performance.now();
  document.querySelector('nav a[href="/ui/p/default"]').click();
  for (;;) {
    await new Promise(requestAnimationFrame);
    const canvas = document.querySelector("main canvas");
    if (!canvas || canvas.width <= 300) continue;
    const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
    if (pixels.some((value, at) => at % 4 === 3 && value > 0)) return performance.now() - begin;
  }
}"""
#: Moves the picture in each frame and returns the milliseconds between frames.
MOVE = """async ([kind, frames]) => {
  const graph = document.querySelector("main [role=group]:has(> canvas)");
  const box = graph.getBoundingClientRect();
  graph.setPointerCapture = () => undefined;
  const send = (Event, type, x, y, more) => graph.dispatchEvent(new Event(type, {
    bubbles: true, cancelable: true, clientX: box.left + x, clientY: box.top + y, pointerId: 1, button: 0, ...more}));
  const lengths = [];
  if (kind === "pan") send(PointerEvent, "pointerdown", 400, 300);
  let last = await new Promise(requestAnimationFrame);
  for (let frame = 0; frame < frames; frame++) {
    const way = frame < frames / 2 ? frame : frames - frame;
    if (kind === "pan") send(PointerEvent, "pointermove", 400 - way * 9, 300 - way * 3);
    else send(WheelEvent, "wheel", box.width * 0.6, box.height / 2, {deltaY: frame < frames / 2 ? -14 : 14});
    const now = await new Promise(requestAnimationFrame);
    lengths.push(now - last);
    last = now;
  }
  if (kind === "pan") send(PointerEvent, "pointerup", 0, 0);
  return lengths;
}"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    # The pipelines are there to be looked at: their workers do not start.
    server = Server(arguments.folder, options=["--capacity-memory", "1Mi"]).start()
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=chromium.PROGRAM, args=list(chromium.OPTIONS)
            )
            page = browser.new_page(viewport={"width": 1280, "height": 800}, locale="en-US")
            measure(page, f"http://{server.address}", arguments.rounds)
            browser.close()
    finally:
        server.close()


def measure(page: Page, origin: str, rounds: int) -> None:
    """Print all figures.

    Args:
        page: an empty page.
        origin: of the server.
        rounds: how often the graph is opened.
    """
    pictures = []
    for _ in range(rounds):
        page.goto(f"{origin}/ui/settings")
        page.locator("main h1").wait_for()
        pictures.append(page.evaluate(OPEN))
    print(f"first picture: median {statistics.median(pictures):.0f} ms, best {min(pictures):.0f} ms")
    for scale, title in ((0.0, "all of it"), (0.42, "names"), (0.7, "cards")):
        page.keyboard.press("f")
        page.mouse.move(900, 450)
        while scale_of(page) < scale:
            page.mouse.wheel(0, -40)
            page.wait_for_timeout(50)
        for kind in ("pan", "zoom"):
            page.wait_for_timeout(500)
            before = processor_seconds()
            lengths = sorted(page.evaluate(MOVE, [kind, FRAMES]))
            used = max(seconds - before.get(pid, seconds) for pid, seconds in processor_seconds().items())
            p95 = lengths[int(len(lengths) * 0.95)]
            elements = page.evaluate("() => document.querySelectorAll('*').length")
            print(
                f"{kind}, {title}: p50 {lengths[len(lengths) // 2]:.1f} ms, p95 {p95:.1f} ms, "
                f"processor {used / FRAMES * 1000:.1f} ms a frame, {elements} elements"
            )


def scale_of(page: Page) -> float:
    """Return the scale of the graph's picture."""
    script = "() => new DOMMatrix(getComputedStyle(document.querySelector('canvas + div')).transform).a"
    return float(page.evaluate(script))


def processor_seconds() -> dict[int, float]:
    """Return the processor time that each page of the browser has used."""
    used: dict[int, float] = {}
    for process in psutil.Process().children(recursive=True):
        try:
            if any("--type=renderer" in word for word in process.cmdline()):
                times: Any = process.cpu_times()
                used[process.pid] = times.user + times.system
        except psutil.NoSuchProcess:
            continue
    return used


if __name__ == "__main__":
    main()
