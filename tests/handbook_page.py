"""Reads a page: its world, and its code blocks with what their comments say of them.

A block begins with a line of three backticks and one word, its language. An HTML comment on the line before it says
more, as ``key: value`` pairs that are separated by semicolons. `docs/design/decisions/0126-page-runner.md` lists the
languages and keys. What this module does not know is an error, so that a misspelled key never leaves a block unrun.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import dedent

import yaml

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "scripts"))

from docs_site.fences import Fence, FenceError, fences  # noqa: E402

#: Where pages run: what a reader has before the first block.
WORLDS = ("none", "server", "browser", "aws", "kubernetes")
#: Keys of the comment before a block, as the contract has them.
KEYS = ("as", "exit", "file", "limit", "not run", "output", "run by", "terminal")
#: Languages whose blocks do something; the others can only be written to a file, or are excused.
_RUN = ("console", "json", "python", "sh", "yaml")
_COMMENT = re.compile(r"^ *<!--(?P<text>.*)-->\s*$")

_COMMAND = re.compile(
    r"\$ |(?:\w+=\S+ )*(?:trunkline|kubectl|helm|pip|docker|curl|npm|python3?|scripts/\S+) "
)


class PageError(Exception):
    """A page, or a block of it, is not written as the contract says."""


@dataclass(frozen=True)
class Block:
    """A code block of a page."""

    page: Path
    #: Number of its opening line, from 1.
    line: int
    language: str
    #: Its lines without their common indentation.
    text: str
    #: What the comment before it says.
    settings: dict[str, str] = field(default_factory=dict)
    #: Columns that its lines are indented by.
    indent: int = 0

    @property
    def place(self) -> str:
        """Where it is, as editors and terminals link it."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def excuse(self) -> str:
        """Why it is not run; empty when it is."""
        return self.settings.get("not run", "")

    @property
    def run_by(self) -> str:
        """The test that runs it in another world; empty when the runner does."""
        return self.settings.get("run by", "")

    @property
    def does_something(self) -> bool:
        """Whether it is a block that must be executed or excused."""
        return self.language != "text" or bool({"file", "output"} & set(self.settings))


@dataclass(frozen=True)
class Page:
    """A page of the handbook, or another Markdown file of the repository."""

    path: Path
    world: str
    #: Whether the working folder holds what a clone of the repository has: examples and charts.
    clone: bool
    #: Options of its server.
    serve: tuple[str, ...]
    blocks: tuple[Block, ...]

    @property
    def name(self) -> str:
        """Its path in the repository."""
        return str(self.path.relative_to(ROOT))


def pages() -> list[Path]:
    """Return all Markdown files that people read."""
    return sorted(
        [
            *ROOT.glob("*.md"),
            *ROOT.glob("docs/**/*.md"),
            *ROOT.glob("examples/**/*.md"),
            *ROOT.glob("console/*.md"),
        ]
    )


def read_page(path: Path) -> Page:
    """Read a page.

    Raises:
        PageError: its front matter or one of its blocks is not as the contract says.
    """
    text = path.read_text()
    settings = _front_matter(text, path)
    world, folder = str(settings.get("world", "none")), str(settings.get("folder", "empty"))
    if world not in WORLDS:
        raise PageError(f"{path}: world {world!r} is not one of {', '.join(WORLDS)}")
    if folder not in ("empty", "clone"):
        raise PageError(f"{path}: folder {folder!r} is neither empty nor clone")
    serve = tuple(str(settings.get("serve", "")).split())
    return Page(path, world, folder == "clone", serve, tuple(_blocks(text, path)))


def _front_matter(text: str, path: Path) -> dict[str, object]:
    # Files that are also read on GitHub, where front matter is shown as a table, have a comment instead.
    if text.startswith("---\n"):
        settings = yaml.safe_load(text[4:].partition("\n---\n")[0])
        if not isinstance(settings, dict):
            raise PageError(f"{path}: the front matter is not a list of keys and values")
        return settings
    first = _COMMENT.match(text.partition("\n")[0])
    return dict(_pairs(first["text"])) if first and "world:" in first["text"] else {}


def _pairs(text: str) -> list[tuple[str, str]]:
    pieces = (piece.partition(":") for piece in re.split(r";\s+(?=[a-z ]+:)", text))
    return [(key.strip(), value.strip()) for key, _, value in pieces if key.strip()]


def _blocks(text: str, path: Path) -> list[Block]:
    lines = text.splitlines()
    try:
        return [_block(lines, fence, path) for fence in fences(lines)]
    except FenceError as error:
        raise PageError(f"{path}:{error.line}: {error}") from error


def _block(lines: list[str], fence: Fence, path: Path) -> Block:
    number = fence.start + 1
    comment = _COMMENT.match(lines[fence.start - 1]) if fence.start else None
    return Block(
        path,
        number,
        _language(fence.info, path, number),
        dedent("".join(f"{line}\n" for line in lines[number : fence.end])),
        _settings(comment["text"] if comment else "", path, number),
        fence.indent,
    )


def _language(words: str, path: Path, line: int) -> str:
    # A language and nothing else: renderers and other tools skip fences with more, without a word.
    if not re.fullmatch(r"[a-z]+", words):
        raise PageError(f"{path}:{line}: write one language behind the backticks, not {words!r}")
    return words


def _settings(text: str, path: Path, line: int) -> dict[str, str]:
    settings = dict(_pairs(text))
    unknown = [key for key in settings if key not in KEYS]
    if unknown:
        raise PageError(f"{path}:{line}: unknown key {unknown[0]!r}; the keys are {', '.join(KEYS)}")
    return settings


def blocks_run_by(test: str, page: str) -> list[Block]:
    """Return the blocks of a page that a test has to run, because they need what only its fixtures have.

    Args:
        test: the ``__file__`` of the test.
        page: the path of the page in the repository.
    """
    name = str(Path(test).resolve().relative_to(ROOT))
    return [block for block in read_page(ROOT / page).blocks if block.run_by == name]


def _begins_with_command(block: Block) -> bool:
    # Pages of commands show their usage, and pages of the design draw pictures, both as text.
    if block.place.startswith(("docs/design/", "docs/reference/cli/")):
        return block.text.startswith("$ ")
    return bool(_COMMAND.match(block.text))


def check_block(block: Block) -> None:
    """Check what can be checked without running a block.

    Raises:
        PageError: it could neither be run nor excused.
    """
    if "not run" in block.settings and not block.excuse:
        raise PageError(f"{block.place}: an excuse needs a reason")
    if block.excuse and block.run_by:
        raise PageError(f"{block.place}: a block is either excused or run by a test")
    runs = block.language in _RUN or {"file", "not run", "output", "run by"} & set(block.settings)
    if block.does_something and not runs:
        raise PageError(
            f"{block.place}: nothing runs {block.language}; write it to a file, excuse it, or call it text"
        )
    if block.language == "text" and not block.does_something and _begins_with_command(block):
        raise PageError(f"{block.place}: commands belong into a sh or console block")
