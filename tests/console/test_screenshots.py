"""Pictures of every page in both themes, for people to look at.

They go to the folder that ``TRUNKLINE_SCREENSHOTS`` names, or else nowhere that stays:

    TRUNKLINE_SCREENSHOTS=docs/console scripts/test-console tests/console/test_screenshots.py
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import story as stories

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Watched
    from servers import Server

#: Bytes of a picture that shows something.
LEAST = 8_000


@pytest.fixture(scope="module")
def story(shared: Server) -> stories.Story:
    return stories.tell(shared)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_page_has_a_picture(
    watch: Callable[..., Watched], story: stories.Story, origin: str, tmp_path: Path, theme: str
) -> None:
    folder = Path(os.environ.get("TRUNKLINE_SCREENSHOTS", tmp_path))
    folder.mkdir(exist_ok=True)
    more = {
        "timeline": f"{story.pages()['job']}?tab=timeline",
        "datums": f"{story.pages()['job']}?tab=datums",
        "scaling": f"{story.pages()['pipeline']}?tab=scaling",
        "table": story.file("/table.csv"),
        "markdown": story.file("/notes.md"),
        "secrets": "/ui/settings/secrets",
        "settingsPart": "/ui/settings/limits",  # "about" names a folder of this machine
    }
    page = watch(origin, color_scheme=theme).context.new_page()
    for name, address in (story.pages() | more).items():
        page.goto(address)
        page.locator("main h1").wait_for()
        page.wait_for_function("() => !document.querySelector('main [aria-busy=true]')")
        page.wait_for_timeout(400)  # transitions
        picture = page.screenshot(path=folder / f"{name}-{theme}.png")
        assert len(picture) > LEAST, name
