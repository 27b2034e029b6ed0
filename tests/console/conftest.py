"""Fixtures for tests of the console: a whole server with the built files, and pages in the system's Chromium.

A page fails its test when the browser reports an error, a violation of the content policy, or a request to another
host. ``Watched.expect`` names what a test provokes.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

sys.path.append(str(Path(__file__).parents[1] / "e2e"))
import chromium
from servers import Server

sync_api = pytest.importorskip(
    "playwright.sync_api", reason="needs playwright: scripts/test-console installs it"
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request

#: Milliseconds that a test waits for something on a page.
PATIENCE = 30_000

sync_api.expect.set_options(timeout=PATIENCE)

_REPORT_VIOLATIONS = """
document.addEventListener("securitypolicyviolation", (event) =>
  console.error(`policy violation: ${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}`));
"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All tests here are slow: they start a browser."""
    folder = Path(__file__).parent
    for item in items:
        if folder in item.path.parents:
            item.add_marker(pytest.mark.slow)
            if chromium.PROGRAM is None:
                item.add_marker(pytest.mark.skip(reason="needs Chromium (Debian's package chromium)"))


class Watched:
    """A browser context whose pages' errors are collected."""

    def __init__(self, context: BrowserContext, origin: str) -> None:
        self.context = context
        self.errors: list[str] = []
        self._origin = origin
        self._expected: list[re.Pattern[str]] = []
        context.add_init_script(_REPORT_VIOLATIONS)
        context.on("console", self._on_console)
        context.on("weberror", lambda error: self.errors.append(f"uncaught: {error.error}"))
        context.on("request", self._on_request)

    def expect(self, pattern: str) -> None:
        """Do not count errors that contain a match of a regular expression."""
        self._expected.append(re.compile(pattern))

    def unexpected(self) -> list[str]:
        """Return the errors that no test asked for."""
        return [
            error for error in self.errors if not any(pattern.search(error) for pattern in self._expected)
        ]

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.errors.append(f"console: {message.text} ({message.location.get('url', '')})")

    def _on_request(self, request: Request) -> None:
        if not request.url.startswith((self._origin, "data:", "blob:", "about:")):
            self.errors.append(f"request to another host: {request.url}")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium, for all tests of a module: while Playwright is open, no test of the process can run an event loop."""
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium.PROGRAM, args=list(chromium.OPTIONS))
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all tests of a module; its commands find the interpreter of the tests first."""
    path = os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])
    server = Server(tmp_path_factory.mktemp("console") / "data", environment={"PATH": path}).start()
    yield server
    server.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server of its own, for tests that do something to it."""
    server = Server(tmp_path / "data").start()
    yield server
    server.close()


@pytest.fixture
def origin(shared: Server) -> str:
    """The origin of the shared server's pages."""
    return f"http://{shared.address}"


@pytest.fixture
def watch(browser: Browser) -> Iterator[Callable[..., Watched]]:
    """Return a function that opens a context for an origin; its errors fail the test."""
    contexts: list[Watched] = []

    def open_context(origin: str, **options: Any) -> Watched:
        defaults = {"locale": "en-US", "timezone_id": "UTC", "viewport": {"width": 1280, "height": 800}}
        context = browser.new_context(base_url=origin, **(defaults | options))
        context.set_default_timeout(PATIENCE)
        watched = Watched(context, origin)
        contexts.append(watched)
        return watched

    yield open_context
    errors = [error for watched in contexts for error in watched.unexpected()]
    for watched in contexts:
        watched.context.close()
    assert errors == []


@pytest.fixture
def context(watch: Callable[..., Watched], origin: str) -> Watched:
    """A context for the shared server."""
    return watch(origin)


@pytest.fixture
def page(context: Watched) -> Page:
    """A page of the shared server."""
    return context.context.new_page()
