"""Looks at the built handbook in Chromium: what axe and the browser report, and what the search finds.

    python -m docs_site.browser

A server shows the pages under their content policy, as readers get them.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from playwright.sync_api import Error, sync_playwright

from docs_site.sources import pages_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page

#: One page of each kind, as long as it is in the handbook, and an address without a page.
KINDS = (
    "", "start/console/", "start/ten-minutes/", "tutorials/word-count/", "concepts/datums/", "how-to/debug-datum/",
    "reference/cli/", "reference/limits/", "reference/spec/", "operate/eks/", "from/pachyderm/", "design/states/",
    "glossary/", "nowhere/",
)  # fmt: skip
#: Theme, width and height in pixels: a window in both themes, and a telephone, or a window at three times its size.
_VIEWS: tuple[tuple[Literal["light", "dark"], int, int], ...] = (
    ("light", 1280, 900),
    ("dark", 1280, 900),
    ("light", 390, 800),
)
#: A result of the search counts when it is among the first.
_FIRST = 3
#: Seconds until a search must have its results.
_PATIENCE = 10.0
_AXE_FILE = "console/node_modules/axe-core/axe.min.js"
_AXE = (
    "async () => (await axe.run(document, {resultTypes: ['violations']})).violations.map(found =>"
    " `${found.id}: ${found.nodes.map(node => node.target.join(' ')).slice(0, 3).join(', ')}`)"
)
_RESULTS = """() => [...document.querySelectorAll('*')].filter(host => host.shadowRoot)
    .flatMap(host => [...host.shadowRoot.querySelectorAll('[role=listbox] a')])
    .map(link => new URL(link.href).pathname)"""


@contextlib.contextmanager
def served(root: Path) -> Iterator[str]:
    """Run a server and yield the address of its handbook."""
    with tempfile.TemporaryDirectory() as folder:
        program = str(Path(sys.executable).parent / "trunkline")
        command = [program, "serve", "--listen", "127.0.0.1:0", "--data", folder, "--log-level", "error"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) as server:
            try:
                assert server.stdout is not None
                yield f"http://{json.loads(server.stdout.readline())['grpc']}/docs/"
            finally:
                server.terminate()


def findings(root: Path, browser: Browser, address: str) -> list[str]:
    """Return what axe and the browser report about pages of each kind, and which searches miss their page.

    Args:
        root: of the repository.
        browser: a started one.
        address: of the handbook.
    """
    axe = (root / _AXE_FILE).read_text()
    wrong = []
    for theme, width, height in _VIEWS:
        context = browser.new_context(color_scheme=theme, viewport={"width": width, "height": height})
        page = context.new_page()
        reports = _reports(page)
        for name in kinds(root):
            page.goto(f"{address}{name}", wait_until="load")
            reports += _looks(page, axe)
            wrong += [f"/docs/{name} ({theme}, {width} px): {report}" for report in reports]
            reports.clear()
        context.close()
    page = browser.new_page()
    page.goto(address, wait_until="load")
    page.get_by_role("button", name="Search").first.click()
    return wrong + [finding for query, target in searches(root) for finding in _missed(page, query, target)]


def kinds(root: Path) -> list[str]:
    """Return the addresses of the pages to look at."""
    pages = pages_of(root)
    return [
        name
        for name in KINDS
        if name == "nowhere/" or f"{name.rstrip('/')}.md" in pages or f"{name}index.md" in pages
    ]


def searches(root: Path) -> list[tuple[str, str]]:
    """Return the queries with the page that each must find: lines ``QUERY -> ADDRESS`` of ``docs/searches.txt``."""
    lines = (root / "docs/searches.txt").read_text().splitlines()
    return [(query, target) for query, arrow, target in (line.partition(" -> ") for line in lines) if arrow]


def _reports(page: Page) -> list[str]:
    """Return a list to which everything is added that the browser complains about."""
    reports: list[str] = []
    page.on("pageerror", lambda error: reports.append(f"the browser reports: {error}"))
    page.on(
        "console",
        lambda message: (
            reports.append(f"the browser reports: {message.text}")
            if message.type in ("error", "warning") and "404" not in message.text
            else None
        ),
    )
    return reports


def _looks(page: Page, axe: str) -> list[str]:
    page.evaluate(axe)
    reports = [f"axe: {report}" for report in page.evaluate(_AXE)]
    if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
        reports.append("the page is wider than the window")
    return reports


def _missed(page: Page, query: str, target: str) -> list[str]:
    """Return a sentence when a search does not find its page among the first.

    Args:
        page: of the browser, with the search open.
        query: what a reader types.
        target: address of the page below ``/docs/``.
    """
    box = page.get_by_role("combobox", name="Search")
    box.fill("")
    page.wait_for_function(f"() => ({_RESULTS})().length === 0")
    box.fill(query)
    results: list[Any] = []
    until = time.monotonic() + _PATIENCE
    while time.monotonic() < until:
        page.wait_for_timeout(150)
        before, results = results, page.evaluate(_RESULTS)
        if results and results == before:
            break
    first = [path.removeprefix("/docs/") for path in results]
    first = list(dict.fromkeys(first))[:_FIRST]
    return [] if target in first else [f'the search for "{query}" finds {first}, not {target}']


def main(root: Path) -> int:
    """Print what is wrong with the handbook in a browser."""
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        print("docs: there is no Chromium in PATH, so the pages were not opened")
        return 0
    if not (root / _AXE_FILE).is_file():
        print("docs: axe-core is not installed; run scripts/console build", file=sys.stderr)
        return 1
    begun = time.monotonic()
    try:
        with served(root) as address, sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=program, args=["--no-sandbox", "--disable-gpu"]
            )
            wrong = findings(root, browser, address)
            browser.close()
    except Error as error:
        print(f"docs: the browser cannot be used: {error.message}", file=sys.stderr)
        return 1
    print(
        "\n".join([*wrong, f"docs: {len(wrong)} findings in the browser ({time.monotonic() - begun:.0f} s)"])
    )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(Path(__file__).resolve().parents[2]))
