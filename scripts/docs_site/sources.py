"""Prepares the sources of the site from the repository's Markdown.

Pages are written for two readers: GitHub, which shows ``docs/`` as it is, and the site. What differs is changed here:

- Pages from outside ``docs/`` join it (``ADDITIONAL``), and links are made to lead to where they are on the site.
- A link to a file that is not on the site becomes the file's path in code: the site is read without the repository.
- ``<picture>`` with a dark source becomes two images, of which the site shows that of the page's own theme.
- Comments and front matter of the page runner are removed. Pictures that no page shows are left out.

An entry of the menu that ends with ``/`` stands for all pages of that folder.
"""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import yaml

from docs_site.fences import FenceError, fences

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

#: Pages from outside docs/, by path in the repository: path on the site.
ADDITIONAL = {"CHANGELOG.md": "changes.md", "CONTRIBUTING.md": "contributing.md"}
#: Sources of docs/ that are not on the site: the index for GitHub, and what draws pictures.
LEFT_OUT = re.compile(r"README\.md|.*\.(?:py|d2|txt|pyc)")
_CODE = re.compile(r"(`+).+?\1", re.DOTALL)
_LINK = re.compile(r"(?P<image>!?)\[(?P<text>(?:[^\[\]]|\[[^\]]*\])*)\]\((?P<target>[^)\s]+)\)")
#: What the generator of figures finds a number by, within a line.
_FIGURE = re.compile(r"<!-- figure: .+? -->(.*?)<!-- end -->")
_COMMENT = re.compile(r"^<!--.*?-->[ ]*\n?", re.DOTALL | re.MULTILINE)
#: A block that the reader saves under a name: the comment for the page runner, and the fence.
_FILE = re.compile(
    r"^(?P<indent> *)<!-- *(?:[^>]*; *)?file: *(?P<name>[^;> ]+)[^>]*-->[ ]*\n(?P<fence> *`{3,}\w+)[ ]*$",
    re.MULTILINE,
)
_PICTURE = re.compile(r"<picture>(?P<content>.*?)</picture>", re.DOTALL)
_ATTRIBUTE = re.compile(r'([\w-]+)="([^"]*)"')
_FRONT_MATTER = re.compile(r"\A---\n(.*?)\n---\n", re.DOTALL)


class SourceError(Exception):
    """A source that the site cannot be built from; the message names the page and how to fix it."""


def front_matter(text: str) -> tuple[dict[str, Any], str]:
    """Return the front matter of a page, and the page without it."""
    match = _FRONT_MATTER.match(text)
    if match is None:
        return {}, text
    return yaml.safe_load(match[1]) or {}, text[match.end() :].lstrip("\n")


def pages_of(root: Path) -> dict[str, str]:
    """Return where each source comes from: path in the repository by path on the site.

    Args:
        root: of the repository.
    """
    docs = root / "docs"
    names = sorted(path.relative_to(docs).as_posix() for path in docs.rglob("*") if path.is_file())
    sources = {name: f"docs/{name}" for name in names if not LEFT_OUT.fullmatch(name)}
    readmes = (path.relative_to(root).as_posix() for path in sorted(root.glob("examples/*/README.md")))
    examples = {name: f"examples/{posixpath.basename(posixpath.dirname(name))}.md" for name in readmes}
    return sources | {target: source for source, target in (ADDITIONAL | examples).items()}


def prepared(text: str, source: str, target: str, places: Mapping[str, str]) -> str:
    """Return a page as the site's builder reads it.

    Args:
        text: of the source.
        source: its path in the repository.
        target: its path on the site.
        places: path on the site by path in the repository, for all sources.

    Raises:
        SourceError: the page has what the site cannot show.
    """
    facts, text = front_matter(text)
    if re.search(r"^ *(```|~~~) *mermaid", text, re.MULTILINE):
        raise SourceError(
            f"{source}: a mermaid fence loads a script from elsewhere; draw it in docs/diagrams"
        )
    text = _FILE.sub(r'\g<fence> title="\g<name>"', text)
    try:
        parts = list(_parts(text))
    except FenceError as error:
        raise SourceError(f"{source}:{error.line}: {error}") from error
    text = "".join(
        part if is_code else _without_code(part, source, target, places) for part, is_code in parts
    )
    head = {"description": facts["description"]} if "description" in facts else {}
    return (f"---\n{yaml.safe_dump(head, allow_unicode=True, width=1000)}---\n\n" if head else "") + text


def without_code(text: str) -> str:
    """Return a page without its fences and code within lines."""
    return _CODE.sub("", _without_fences(text))


def _parts(text: str) -> Iterator[tuple[str, bool]]:
    """Yield the fences of a text, and what is between them."""
    lines = text.splitlines(keepends=True)
    end = 0
    for fence in fences(text.splitlines()):
        yield "".join(lines[end : fence.start]), False
        yield "".join(lines[fence.start : fence.end + 1]), True
        end = fence.end + 1
    yield "".join(lines[end:]), False


def _without_fences(text: str) -> str:
    return "".join(part for part, is_fence in _parts(text) if not is_fence)


def _without_code(text: str, source: str, target: str, places: Mapping[str, str]) -> str:
    text = _COMMENT.sub("", _FIGURE.sub(r"\1", text))
    text = _PICTURE.sub(lambda match: _two_images(match["content"], source), text)
    pieces, end = [], 0
    for match in _CODE.finditer(text):  # links whose text has code are found by the second pass
        pieces += [text[end : match.start()], match[0].replace("](", "]\0(")]
        end = match.end()
    text = "".join([*pieces, text[end:]])
    return _LINK.sub(lambda match: _link(match, source, target, places), text).replace("]\0(", "](")


def _two_images(content: str, source: str) -> str:
    """Return a picture as an image for each theme."""
    tags = {
        tag: dict(_ATTRIBUTE.findall(rest))
        for tag, rest in re.findall(r"<(source|img)\b(.*?)/?>", content, re.DOTALL)
    }
    light, dark = tags.get("img", {}), tags.get("source", {})
    if not light.get("alt") or "src" not in light or "dark" not in dark.get("media", ""):
        raise SourceError(
            f'{source}: a picture needs <source media="(prefers-color-scheme: dark)" srcset="…">'
            ' and <img alt="…" src="…">'
        )
    return f"![{light['alt']}]({light['src']}#only-light)\n![{light['alt']}]({dark['srcset']}#only-dark)"


def _link(match: re.Match[str], source: str, target: str, places: Mapping[str, str]) -> str:
    path, mark, anchor = match["target"].partition("#")
    if not path or re.match(r"[a-z][a-z+.-]*:", path):
        return match[0]
    file = posixpath.normpath(posixpath.join(posixpath.dirname(source), unquote(path)))
    place = places.get(file) or places.get(f"{file}/index.md") or places.get(f"{file}/README.md")
    if file in ("README.md", "docs/README.md"):
        place, mark, anchor = "index.md", "", ""
    if place is None:
        if match["image"]:
            raise SourceError(f"{source}: the image {path} is not in docs")
        label = match["text"]
        return f"{label} (`{file}`)" if f"`{file}`" not in label and label != file else f"`{file}`"
    new = posixpath.relpath(place, posixpath.dirname(target) or ".")
    return f"{match['image']}[{match['text']}]({new}{mark}{anchor})"


def files_of(text: str, page: str) -> set[str]:
    """Return the paths on the site that a prepared page links to.

    Args:
        text: of the page.
        page: its path on the site.
    """
    targets = (match["target"].partition("#")[0] for match in _LINK.finditer(text))
    return {posixpath.normpath(posixpath.join(posixpath.dirname(page), target)) for target in targets}


def expanded(menu: list[Any], pages: Iterable[str], titles: Mapping[str, str]) -> list[Any]:
    """Return a menu in which a folder stands for its pages, without those that have an entry of their own.

    Args:
        menu: ``nav`` of mkdocs.yml.
        pages: paths on the site.
        titles: by path on the site.
    """
    named = {page for entry in menu for page in pages_below(entry)}
    unnamed = sorted(page for page in pages if page.endswith(".md") and page not in named)
    return [_expanded_entry(entry, unnamed, titles) for entry in menu]


def _expanded_entry(entry: Any, pages: list[str], titles: Mapping[str, str]) -> Any:
    if isinstance(entry, str):
        return entry
    ((title, value),) = entry.items()
    if isinstance(value, list):
        return {title: [_expanded_entry(part, pages, titles) for part in value]}
    if not value.endswith("/"):
        return entry
    inside = [page for page in pages if posixpath.dirname(page) == value[:-1]]
    first = [page for page in inside if posixpath.basename(page) in ("index.md", "README.md")]
    return {title: [*first, *({titles[page]: page} for page in inside if page not in first)]}


def pages_below(entry: Any) -> list[str]:
    """Return the pages that an entry of a menu names, and those of the entries below it."""
    if isinstance(entry, str):
        return [entry]
    ((_, value),) = entry.items()
    return [value] if isinstance(value, str) else [page for part in value for page in pages_below(part)]


def title_of(text: str, page: str) -> str:
    """Return the first heading of a page as plain text."""
    match = re.search(r"^# +(.+?) *#*$", _without_fences(text), re.MULTILINE)
    if match is None:
        raise SourceError(f"{page}: a page needs a heading of the first level")
    return re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", r"\1", match[1])


def summary_of(text: str) -> str:
    """Return what a page is about: the description in its front matter, or else its first sentence."""
    facts, text = front_matter(text)
    if "description" in facts:
        return str(facts["description"])
    for paragraph in re.split(r"\n\s*\n", _COMMENT.sub("", _without_fences(text))):
        plain = " ".join(paragraph.split())
        if plain and plain[0] not in "#|<![-*>:":
            plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", plain)
            return re.split(r"(?<=[.:])\s", plain)[0].rstrip(":")
    return ""
