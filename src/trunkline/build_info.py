"""The commit that this Trunkline was built from, and when.

A wheel has both in a file, ``BUILD`` (``hatch_build.py``). In a clone, where the package runs from its source, the
commit is read from the clone, and nothing was built; uncommitted changes are not visible this way.
"""

from __future__ import annotations

import os
from functools import cache

#: Hexadecimal digits that are shown.
DIGITS = 12
_PACKAGE = os.path.dirname(os.path.abspath(__file__))


@cache
def build_commit() -> str:
    """Return the first digits of the commit; empty when it is unknown.

    It is read once: the clone of a running process may move on.
    """
    date, recorded = _recorded()
    return (recorded if date else _of_clone(os.path.join(_PACKAGE, "..", "..")))[:DIGITS]


def build_date() -> str:
    """Return when the wheel was built, in RFC 3339 and UTC; empty in a clone."""
    return _recorded()[0]


@cache
def _recorded() -> tuple[str, str]:
    """Return the date and the commit that the wheel names; it may name no commit. Both are empty in a clone."""
    date, _, commit = _read(os.path.join(_PACKAGE, "BUILD")).partition(" ")
    return date, commit


def _of_clone(root: str) -> str:
    folder = os.path.join(root, ".git")
    if link := _read(folder):  # a worktree has a file that names its folder
        folder = os.path.join(root, link.removeprefix("gitdir: "))
    head = _read(os.path.join(folder, "HEAD"))
    if not head.startswith("ref: "):
        return head
    name = head.removeprefix("ref: ")
    common = os.path.join(folder, _read(os.path.join(folder, "commondir")))
    if commit := _read(os.path.join(common, name)):
        return commit
    for line in _read(os.path.join(common, "packed-refs")).splitlines():
        commit, _, ref = line.partition(" ")
        if ref == name:
            return commit
    return ""


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read().strip()
    except OSError:
        return ""
