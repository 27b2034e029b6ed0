"""Every page, in both themes: nothing is reported by the browser, and axe finds nothing."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import story as stories

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Watched
    from playwright.sync_api import Page
    from servers import Server

CONSOLE = Path(__file__).parents[2] / "console"
#: The rules of WCAG 2.2 AA, and what axe holds for good practice.
AXE = """async () => {
  const result = await axe.run(document, {resultTypes: ["violations"]});
  const line = (node) => `${node.target.join(" ")} ${node.failureSummary}`;
  return result.violations.map((each) => `${each.id}: ${each.nodes.slice(0, 3).map(line).join("; ")}`);
}"""
ROUTES = re.findall(r"^  (\w+): \"", CONSOLE.joinpath("src/lib/routes.ts").read_text(encoding="utf-8"), re.M)


@pytest.fixture(scope="module")
def story(shared: Server) -> stories.Story:
    return stories.tell(shared)


def test_every_route_of_the_console_is_opened_here(story: stories.Story) -> None:
    assert list(story.pages()) == ROUTES


def settled(page: Page) -> None:
    """Wait until a page shows what it reads."""
    page.locator("main h1").wait_for()
    page.wait_for_function("() => !document.querySelector('main [aria-busy=true]')")


def axe_source() -> str | None:
    source = CONSOLE / "node_modules" / "axe-core" / "axe.min.js"
    return source.read_text(encoding="utf-8") if source.exists() else None


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("route", ROUTES)
def test_a_page_opens_without_errors_and_is_accessible(
    watch: Callable[..., Watched], origin: str, story: stories.Story, route: str, theme: str
) -> None:
    axe = axe_source()
    if axe is None:
        pytest.skip("axe-core is not installed: run scripts/console build")
    context = watch(origin, color_scheme=theme)
    page = context.context.new_page()

    page.goto(story.pages()[route])
    settled(page)

    page.evaluate(axe)
    assert page.evaluate(AXE) == []


def test_a_page_is_usable_at_320_pixels(
    watch: Callable[..., Watched], origin: str, story: stories.Story
) -> None:
    page = watch(origin, viewport={"width": 320, "height": 640}).context.new_page()
    wide = []
    for route, address in story.pages().items():
        page.goto(address)
        settled(page)
        if page.evaluate("() => document.documentElement.scrollWidth > innerWidth + 1"):
            wide.append(route)

    assert wide == []
