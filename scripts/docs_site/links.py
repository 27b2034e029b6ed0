"""Lists the links of pages to other sites, with the date on which somebody last opened each.

    python -m docs_site.links

Opens every link of ``docs/external-links.txt`` and writes today's date beside those that answer. Continuous
integration has no network: there a test compares the list with the pages.
"""

from __future__ import annotations

import re
import sys
import urllib.error
import urllib.request
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from docs_site.sources import without_code

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

NAME = "docs/external-links.txt"
#: In the place of a date: nobody has opened the link yet.
NEVER = "never"
#: Seconds that a site gets to answer.
_PATIENCE = 20.0
_URL = re.compile(r"\]\((https?://[^)\s]+)\)")


def of_pages(root: Path) -> set[str]:
    """Return the links of the pages of a repository to other sites."""
    pages = [*root.glob("*.md"), *root.glob("docs/**/*.md"), *root.glob("examples/**/*.md")]
    return {url for page in pages for url in _URL.findall(without_code(page.read_text()))}


def listed(text: str) -> dict[str, str]:
    """Return the date of the last look by link.

    Args:
        text: of the list: lines ``DATE URL``.
    """
    lines = [line.split() for line in text.splitlines() if line and line[0] != "#"]
    return {url: day for day, url in lines}


def looked_at(
    dates: dict[str, str], urls: Iterable[str], opens: Callable[[str], str], today: str
) -> list[str]:
    """Set the dates of the links that answer, and return a sentence for each of the others.

    Args:
        dates: of the last looks by link; those that no page has any more go.
        urls: the links of the pages.
        opens: opens a link and returns what is wrong with it.
        today: the date.
    """
    links = set(urls)
    wrong = {url: opens(url) for url in sorted(links)}
    for url in [url for url in dates if url not in links]:
        del dates[url]
    for url, reason in wrong.items():
        dates[url] = dates.get(url, NEVER) if reason else today
    return [f"{url}: {reason}" for url, reason in wrong.items() if reason]


def _open(url: str) -> str:
    request = urllib.request.Request(url, headers={"User-Agent": "trunkline-handbook"})
    try:
        with urllib.request.urlopen(request, timeout=_PATIENCE):
            return ""
    except (urllib.error.URLError, OSError) as error:
        return str(error)


def main(root: Path) -> int:
    """Open the links of a repository's pages and bring the list up to date."""
    path = root / NAME
    head = [line for line in path.read_text().splitlines() if line.startswith("#")]
    dates = listed(path.read_text())
    wrong = looked_at(dates, of_pages(root), _open, date.today().isoformat())  # noqa: DTZ011
    path.write_text("\n".join([*head, *(f"{dates[url]} {url}" for url in sorted(dates)), ""]))
    print("\n".join([*wrong, f"docs: {len(dates)} links to other sites, {len(wrong)} do not answer"]))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(Path(__file__).resolve().parents[2]))
