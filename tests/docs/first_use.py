"""Measures the first use: installs a clone as a new user does, follows the ten minutes, and looks at the console.

    scripts/docs first-use

What is measured is what the machine takes; reading comes on top. Packages come from the package index, so the time of
the installation depends on the network.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import chromium
from handbook_page import ROOT, read_page
from page_runner import Run

PAGE = ROOT / "docs/start/ten-minutes.md"
#: Milliseconds that the browser waits for something.
PATIENCE = 30_000


def main() -> None:
    """Measure and print."""
    with TemporaryDirectory(prefix="first-use-") as folder:
        clone, environment = Path(folder) / "clone", Path(folder) / "trunkline-env"
        steps = [("clone", _seconds("git", "clone", "-q", str(ROOT), str(clone)))]
        steps.append(("python3 -m venv trunkline-env", _seconds("python3", "-m", "venv", str(environment))))
        steps.append(("pip install .", _seconds(str(environment / "bin/pip"), "install", "-q", str(clone))))
        page = read_page(PAGE)
        run = Run(page, Path(folder) / "page", programs=str(environment / "bin"))
        browser: list[tuple[str, float]] = []
        run.run(lambda address: browser.extend(_look(address)))
    texts = {block.line: block.text for block in page.blocks}
    for line, seconds in run.seconds.items():
        if "output" not in next(block for block in page.blocks if block.line == line).settings:
            first = texts[line].splitlines()[0]
            steps.append((f"{PAGE.name}:{line} {first[:60]}", seconds))
    steps += browser
    for name, seconds in steps:
        _print(seconds, name)
    _print(sum(seconds for _, seconds in steps), "in all")


def _print(seconds: float, name: str) -> None:
    sys.stdout.write(f"{seconds:7.1f} s  {name}\n")


def _seconds(*command: str) -> float:
    begin = time.monotonic()
    subprocess.run(command, check=True, env=os.environ | {"PIP_DISABLE_PIP_VERSION_CHECK": "1"})
    return time.monotonic() - begin


def _look(address: str) -> list[tuple[str, float]]:
    """Open the console's graph and the page of the pipeline, if there is a browser."""
    if chromium.PROGRAM is None:
        sys.stdout.write("there is no Chromium: the browser is left out\n")
        return []
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium.PROGRAM, args=list(chromium.OPTIONS))
        page = browser.new_page()
        page.set_default_timeout(PATIENCE)
        begin = time.monotonic()
        page.goto(f"http://{address}/ui/p/default")
        page.locator("div.frame").get_by_text("length", exact=True).first.wait_for()
        graph = time.monotonic() - begin
        page.goto(f"http://{address}/ui/p/default/pipelines/length")
        page.get_by_text("success").first.wait_for()
        pipeline = time.monotonic() - begin - graph
        browser.close()
    return [("the console: the graph", graph), ("the console: the pipeline and its jobs", pipeline)]


if __name__ == "__main__":
    main()
