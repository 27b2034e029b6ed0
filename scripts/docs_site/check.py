"""Checks the built site: links, anchors, what pages load, headings, pictures, published addresses, size.

    python -m docs_site.check

Only files are read here; ``docs_site.browser`` looks at pages in a browser.
"""

from __future__ import annotations

import posixpath
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from docs_site.build import redirects
from trunkline import handbook_pages

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

#: Bytes that the site may take in the package.
MAX_SIZE = 6 * 2**20
#: Elements and attributes whose value a browser loads by itself.
_LOADED = {
    ("script", "src"), ("img", "src"), ("img", "srcset"), ("source", "src"), ("source", "srcset"), ("iframe", "src"),
    ("link", "href"), ("video", "src"), ("object", "data"), ("use", "href"), ("use", "xlink:href"),
}  # fmt: skip
#: Relations of <link> that load nothing.
_NOT_LOADED = {"prev", "next", "alternate", "canonical"}


class Page(HTMLParser):
    """What the checks need to know about one page."""

    def __init__(self, text: str) -> None:
        """Read a page."""
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.headings: list[int] = []
        self.without_alt: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collect links, anchors, headings and what is loaded."""
        values = {name: value or "" for name, value in attrs}
        self.anchors.update(values[name] for name in ("id", "name") if name in values)
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        if len(tag) == 2 and tag[0] == "h" and tag[1].isdigit():
            self.headings.append(int(tag[1]))
        if tag == "img" and not values.get("alt"):
            self.without_alt.append(values.get("src", ""))
        if tag == "link" and values.get("rel") in _NOT_LOADED:
            self.links.append(values.get("href", ""))
            return
        self.loaded += [values[name] for name in values if (tag, name) in _LOADED]


def findings(site: Path, addresses: str) -> list[str]:
    """Return what is wrong with a site, one sentence each.

    Args:
        site: folder of the built site.
        addresses: text of ``docs/addresses.txt``.
    """
    files = {path.relative_to(site).as_posix() for path in site.rglob("*") if path.is_file()}
    pages = {name: Page((site / name).read_text()) for name in sorted(files) if name.endswith(".html")}
    moved = redirects(addresses)
    articles = [name for name in pages if name != "404.html" and posixpath.dirname(name) + "/" not in moved]
    return [
        *(finding for name, page in pages.items() for finding in _links(name, page, pages, files)),
        *(finding for name in articles for finding in _form(name, pages[name])),
        *_addresses(addresses, pages),
        *(f"{name}: has no Markdown beside it" for name in articles if not _markdown(name, files)),
    ]


def _links(name: str, page: Page, pages: Mapping[str, Page], files: Iterable[str]) -> Iterable[str]:
    """Yield the links of a page that lead nowhere, and what it loads from elsewhere."""
    for target in page.loaded:
        if urlsplit(target).scheme not in ("", "data") or target.startswith("//"):
            yield f"{name}: loads {target} from elsewhere"
    for target in [*page.links, *page.loaded]:
        parts = urlsplit(target)
        if parts.scheme or target.startswith("//"):
            continue
        file = _file_of(name, unquote(parts.path))
        if file not in files:
            yield f"{name}: {target} leads nowhere"
        elif parts.fragment and file in pages and unquote(parts.fragment) not in pages[file].anchors:
            yield f"{name}: {target} names a heading that {file} does not have"


def _file_of(page: str, path: str) -> str:
    """Return the file that a path on a page leads to.

    Args:
        page: file of the page.
        path: of the link, relative or below ``/docs/``.
    """
    root = f"/{handbook_pages.MOUNT}/"
    if not path:
        return page
    file = path.removeprefix(root) if path.startswith(root) else posixpath.join(posixpath.dirname(page), path)
    is_folder = path.endswith(("/", "/..", "/.")) or path in (".", "..")
    return posixpath.normpath(posixpath.join(file, "index.html") if is_folder else file)


def _form(name: str, page: Page) -> Iterable[str]:
    if page.headings.count(1) != 1:
        yield f"{name}: has {page.headings.count(1)} headings of the first level; needs one"
    for level, below in zip(page.headings, page.headings[1:], strict=False):
        if below > level + 1:
            yield f"{name}: a heading of level {below} follows one of level {level}"
    for image in page.without_alt:
        yield f"{name}: the image {image} has no text for those who do not see it"


def _addresses(addresses: str, pages: Mapping[str, Page]) -> Iterable[str]:
    """Yield addresses that were published, or that code links to, and are not on the site."""
    published = [line.partition(" -> ")[0] for line in addresses.splitlines() if line and line[0] != "#"]
    linked = [
        value
        for name, value in vars(handbook_pages).items()
        if name.isupper() and isinstance(value, str) and name != "MOUNT"
    ]
    for address in [*published, *redirects(addresses).values(), *linked]:
        if f"{address.partition('#')[0]}index.html" not in pages:
            yield f"/{handbook_pages.MOUNT}/{address} has no page; if it has moved, docs/addresses.txt needs OLD -> NEW"


def _markdown(name: str, files: Iterable[str]) -> bool:
    folder = posixpath.dirname(name)
    return any(
        file in files for file in (f"{folder}.md", f"{folder}/index.md".lstrip("/"), f"{folder}/README.md")
    )


def main(root: Path) -> int:
    """Print what is wrong with the built site of a repository."""
    wrong = findings(root / "build/handbook/site", (root / "docs/addresses.txt").read_text())
    size = sum(path.stat().st_size for path in (root / "src/trunkline/handbook").rglob("*") if path.is_file())
    if size > MAX_SIZE:
        wrong.append(
            f"the site takes {size / 2**20:.1f} MiB in the package; the limit is {MAX_SIZE // 2**20} MiB"
        )
    print("\n".join([*wrong, f"docs: {len(wrong)} findings in files"]))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(Path(__file__).resolve().parents[2]))
