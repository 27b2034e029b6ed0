"""Pictures of every page in both themes and two widths, in each state that a page can have, for people to look at.

They go to the folder that ``TRUNKLINE_SCREENSHOTS`` names; without it nothing is drawn. Those of the main state at
1,280 pixels are kept in the documentation:

    TRUNKLINE_SCREENSHOTS=docs/console scripts/test-console tests/console/test_screenshots.py -k main
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import story as stories
from proxies import Proxy

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Watched
    from playwright.sync_api import Page, Route
    from servers import Server

pytestmark = pytest.mark.timeout(900)

#: Bytes of a picture that shows something.
LEAST = 8_000
#: How the server answers a call that failed inside it.
FAILURE = {"code": 13, "message": "the server has a fault; its log says more", "details": []}
#: Pages that nothing can change, and therefore listen to nothing.
SILENT = {"compare", "create", "edit", "jobCompare", "logs", "settings", "settingsPart"}


@pytest.fixture(scope="module")
def story(shared: Server) -> stories.Story:
    return stories.tell(shared)


#: Three hundred pictures take ten minutes: they are drawn for those who look at them.
pytestmark = pytest.mark.skipif("TRUNKLINE_SCREENSHOTS" not in os.environ, reason="set TRUNKLINE_SCREENSHOTS")
THEMES = pytest.mark.parametrize("theme", ["light", "dark"])
WIDTHS = pytest.mark.parametrize("width", [1280, 1920])


@pytest.fixture
def folder() -> Path:
    folder = Path(os.environ["TRUNKLINE_SCREENSHOTS"])
    folder.mkdir(exist_ok=True)
    return folder


def draw(page: Page, path: Path) -> None:
    """Save a picture of what the window shows."""
    page.wait_for_timeout(400)  # transitions
    picture = page.screenshot(path=path)
    assert len(picture) > LEAST, path.stem


def settled(page: Page) -> None:
    page.locator("main h1").wait_for()
    page.wait_for_function("() => !document.querySelector('main [aria-busy=true]')")


def main_pages(story: stories.Story) -> dict[str, str]:
    """Return the address of every page, and of more parts of some, by the name of its picture."""
    more = {
        "timeline": f"{story.pages()['job']}?tab=timeline",
        "datums": f"{story.pages()['job']}?tab=datums",
        "scaling": f"{story.pages()['pipeline']}?tab=scaling",
        "table": story.file("/table.csv"),
        "markdown": story.file("/notes.md"),
        "secrets": "/ui/settings/secrets",
        "settingsPart": "/ui/settings/limits",  # "about" names a folder of this machine
    }
    return story.pages() | more


@THEMES
def test_every_page_has_a_picture_of_its_main_state(
    watch: Callable[..., Watched], story: stories.Story, origin: str, folder: Path, theme: str
) -> None:
    page = watch(origin, color_scheme=theme).context.new_page()
    for name, address in main_pages(story).items():
        page.goto(address)
        settled(page)
        draw(page, folder / f"{name}-{theme}.png")


@THEMES
def test_every_page_has_a_picture_in_a_wide_window(
    watch: Callable[..., Watched], story: stories.Story, origin: str, folder: Path, theme: str
) -> None:
    page = watch(origin, color_scheme=theme, viewport={"width": 1920, "height": 1080}).context.new_page()
    for name, address in main_pages(story).items():
        page.goto(address)
        settled(page)
        draw(page, folder / f"{name}-{theme}-1920.png")


def missing_pages(story: stories.Story) -> dict[str, str]:
    """Return addresses of what does not exist, for every page that is about one thing."""
    none = "0" * 32
    return {
        "dag": "/ui/p/none",
        "repo": "/ui/p/default/repos/imagse",
        "commits": "/ui/p/default/repos/none/commits",
        "tree": f"/ui/p/default/repos/images/tree/{none}/",
        "file": "/ui/p/default/repos/images/tree/master/none.png",
        "compare": f"/ui/p/default/repos/images/compare/{none}...master/",
        "pipeline": "/ui/p/default/pipelines/egdes",
        "edit": "/ui/p/default/pipelines/none/edit",
        "projectJobs": "/ui/p/none/jobs",
        "jobCompare": f"/ui/p/default/jobs/compare/edges/{none}...{story.good_job}",
        "job": f"/ui/p/default/jobs/edges/{none}",
        "datum": f"/ui/p/default/jobs/edges/{story.failed_job}/datums/{none}",
        "run": f"/ui/runs/{none}",
        "logs": "/ui/logs?pipeline=none",
        "settingsPart": "/ui/settings/none",
        "missing": "/ui/nowhere",
    }


def filtered_pages(story: stories.Story) -> dict[str, str]:
    """Return addresses with filters that nothing matches."""
    return {
        "dag": "/ui/p/default?q=zzz",
        "repos": "/ui/p/default/repos?q=zzz",
        "pipelines": "/ui/p/default/pipelines?q=zzz",
        "projectJobs": "/ui/p/default/jobs?state=KILLED",
        "jobs": "/ui/jobs?state=KILLED",
        "datums": f"{story.pages()['job']}?tab=datums&text=zzz",
        "logs": f"{story.pages()['logs']}&q=zzz",
        "machines": "/ui/machines?pipeline=zzz",
        "limits": "/ui/settings/limits?q=zzz",
    }


#: Pages of a server that has nothing yet.
EMPTY = {
    "home": "/ui/",
    "dag": "/ui/p/default",
    "repos": "/ui/p/default/repos",
    "pipelines": "/ui/p/default/pipelines",
    "projectJobs": "/ui/p/default/jobs",
    "jobs": "/ui/jobs",
    "runs": "/ui/runs",
    "logs": "/ui/logs",
    "machines": "/ui/machines",
    "secrets": "/ui/settings/secrets",
}


@WIDTHS
@THEMES
def test_pages_have_pictures_of_what_is_gone_or_filtered_away(
    watch: Callable[..., Watched], story: stories.Story, origin: str, folder: Path, theme: str, width: int
) -> None:
    watched = watch(origin, color_scheme=theme, viewport={"width": width, "height": 800})
    watched.expect("404")
    page = watched.context.new_page()
    for state, addresses in (("gone", missing_pages(story)), ("filtered", filtered_pages(story))):
        for name, address in addresses.items():
            page.goto(address)
            settled(page)
            draw(page, folder / f"{name}-{state}-{theme}-{width}.png")


@WIDTHS
@THEMES
def test_pages_have_pictures_of_first_load_failure_and_a_lost_stream(
    watch: Callable[..., Watched], story: stories.Story, shared: Server, folder: Path, theme: str, width: int
) -> None:
    held: list[Route] = []

    def hold(route: Route) -> None:
        """Let a call wait for its answer."""
        held.append(route)

    with Proxy(shared.address) as proxy:
        watched = watch(proxy.origin, color_scheme=theme, viewport={"width": width, "height": 800})
        watched.expect("ERR_|Failed to load resource|Failed to fetch|500|preload")
        page = watched.context.new_page()
        end = f"{theme}-{width}.png"
        for name, address in story.pages().items():
            page.route("**/api/**", hold)
            page.goto(address)
            page.locator("main h1").wait_for()
            draw(page, folder / f"{name}-loading-{end}")
            page.goto("about:blank")
            while held:
                held.pop().abort()
            page.unroute_all()
            page.route("**/api/**", lambda route: route.fulfill(status=500, json=FAILURE))
            page.goto(address)
            page.locator("main h1").wait_for()
            draw(page, folder / f"{name}-failed-{end}")
            page.unroute_all()
            page.goto(address)
            settled(page)
            proxy.cut()
            if name not in SILENT:
                page.locator("main").get_by_text("No connection to the server").wait_for()
            draw(page, folder / f"{name}-stale-{end}")
            proxy.restore()


@WIDTHS
@THEMES
def test_pages_of_an_empty_server_have_pictures(
    watch: Callable[..., Watched], server: Server, folder: Path, theme: str, width: int
) -> None:
    page = watch(
        f"http://{server.address}", color_scheme=theme, viewport={"width": width, "height": 800}
    ).context.new_page()
    for name, address in EMPTY.items():
        page.goto(address)
        settled(page)
        draw(page, folder / f"{name}-empty-{theme}-{width}.png")
