"""The language of code and documents: phrases that a reader has to translate are refused.

The house style asks for plain English and for names that are nouns (CONTRIBUTING.md). Most of it a machine cannot
judge; these phrases and names it can. Phrases are looked for in whole files, so in messages, comments and docstrings
alike.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

PLACES = (
    *(path.name for path in ROOT.glob("*.md")),
    *("benchmarks", "charts", "docker", "docs", "examples", "launcher", "protos", "scripts", "src", "tests"),
    *(".ci", "console/src", "console/build", "hatch_build.py", "pyproject.toml"),
)
BINARY = {".gz", ".jpg", ".png", ".pyc"}

#: What to write instead, by the expression that finds the phrase.
INSTEAD = {
    r"\b(?:un)?mend(?:s|ed|ing)?\b": "fix",
    r"\bhopeless\b": "unsatisfiable",
    r"\bin vain\b": "unsuccessfully",
    r"\bby lot\b": "at random",
    r"\bfor ever\b": "forever",
    r"\bwhat is beyond\b": "the rest; more than the limit",
    r"\b(?:is|are|was|were|be|been) told\b": "the verb: gets, learns, is configured, is reported",
    r"\bunless told otherwise\b": "by default",
    r"\bone more word\b": "expected a noun",
    r"\bthinks out\b": "draws, computes",
    r"\bis no (?:arn|bool|branch|client|command|commit|digest|duration|file|folder|glob|id|image|job|link|list"
    r"|machine|mapping|message|name|number|object|option|path|pipeline|pod|quantity|regular|repo|size|spec|state"
    r"|text|time|url|value|worker)\b": "is not a valid …",
    r"\bthe way through\b": "how to",
    r"\bwho wants\b": "to …, do …",
    r"\bdoors?\b": "interface",
    r"\b(?:simply|easily|seamless(?:ly)?|powerful|blazing(?:ly)?|robust(?:ly)?|obviously)\b": "nothing, or the fact",
    r"\b(?:leverag(?:e|es|ed|ing)|utili[sz](?:e|es|ed|ing))\b": "use",
    r"\bin order to\b": "to",
    r"\bof course\b": "nothing",
    r"(?<!for )\bhands? in\b|\bhanded in\b|\bhanding in\b|\bhand-ins?\b": "report, record, complete; completion",
}
PHRASES = {re.compile(expression, re.IGNORECASE): instead for expression, instead in INSTEAD.items()}


#: Files that are not ours, or that have to name the phrases.
EXEMPT = (
    "src/trunkline/console/",  # built from console/
    "protos/pachyderm/",  # the API of Pachyderm, word by word
    "src/trunkline/rpc/gen/",  # generated
    "src/trunkline/rpc/asgi/static/",  # of others
    "tests/golden/",  # frozen
    "tests/house/test_language.py",
    "docs/plots/chain.svg",  # drawn
)

#: Phrases that are right where they stand, with the reason.
ALLOWED: dict[tuple[str, str], str] = {}


def files() -> list[str]:
    """Return our text files, as paths below the repository."""
    folders = [ROOT / place for place in PLACES]
    paths = [path for folder in folders for path in (folder.rglob("*") if folder.is_dir() else [folder])]
    names = sorted(
        str(path.relative_to(ROOT)) for path in paths if path.is_file() and path.suffix not in BINARY
    )
    return [name for name in names if "__pycache__" not in name and not name.startswith(EXEMPT)]


FILES = files()


def test_most_of_the_tree_is_looked_at() -> None:
    assert len(FILES) > 50


def test_files_use_plain_words() -> None:
    phrases = [
        f'{name}:{text.count(chr(10), 0, match.start()) + 1}: "{match.group()}"; write: {instead}'
        for name in FILES
        for text in [(ROOT / name).read_text()]
        for phrase, instead in PHRASES.items()
        for match in phrase.finditer(text)
        if (name, match.group()) not in ALLOWED
    ]

    assert phrases == []


#: Names that say what happened to a value and not what it holds.
NO_NOUNS = frozenset(
    "found told said kept one wanted known given made taken gone left there here shown".split()  # noqa: SIM905
)
#: Folders and files whose values still have such names; the list only shrinks.
NOT_RENAMED = ("src/trunkline/pps/workers/claims.py",)
#: Where ``left`` is a side.
SIDES = (
    "docs/plots/draw.py",
    "examples/opencv/image/files/montage.py",
    "tests/e2e/test_opencv.py",
    "tests/model/test_globs.py",
    "tests/pps/long_history.py",
)


def bound_names(tree: ast.AST) -> list[tuple[str, int]]:
    """Return the names that a module gives to values and functions, with their lines."""
    names = []
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                names.append((name.strip("_"), node.lineno))
            case ast.arg(arg=name) | ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                names.append((name.strip("_"), node.lineno))
    return names


def test_values_are_named_by_nouns() -> None:
    modules = [name for name in FILES if name.endswith(".py") and not name.startswith(NOT_RENAMED)]

    names = [
        f"{module}:{line}: {name}"
        for module in modules
        for name, line in bound_names(ast.parse((ROOT / module).read_text()))
        if name in NO_NOUNS and not (name == "left" and module in SIDES)
    ]

    assert len(modules) > 300
    assert names == []
