"""Canonical file paths, and the rules for paths that may be written.

A path starts with ``/``, has no trailing ``/`` (except the root ``/``), no empty element, and is UTF-8
text. ``clean`` normalizes what users type and never fails; ``validate`` checks a path that is about to be
written and never changes it. Characters with a meaning in globs are refused, so that any path can be used
as a glob of itself. Other punctuation and all scripts are allowed, because real files have such names
(Pachyderm accepts printable ASCII only).

Both run once per file of every upload, so a valid path costs one regular expression. Nothing here checks
what exists.
"""

from __future__ import annotations

import re

from trunkline.errors import InvalidArgument
from trunkline.model import limits

_FORBIDDEN = r"\x00-\x1f\x7f-\x9f*?\[\]{}\\"
_SURROGATES = r"\ud800-\udfff"  # what Python makes of bytes that are not UTF-8
# No possessive quantifiers: Python 3.11.2, which Debian ships, gets them wrong around a group. Backtracking is cheap
# anyway, because an element that gives characters back is never followed by a slash.
_GOOD = re.compile(rf"(?:/(?!\.\.?(?:/|\Z))[^/{_FORBIDDEN}{_SURROGATES}]{{1,{limits.PATH_ELEMENT}}})+")
_BAD_CHARACTER = re.compile(rf"[{_FORBIDDEN}]")
_BAD_TEXT = re.compile(rf"[{_SURROGATES}]")
_SLASHES = re.compile(r"//+")


def clean(path: str) -> str:
    """Return ``path`` in canonical form: leading ``/``, single slashes, no trailing ``/``.

    >>> clean("a//b/")
    '/a/b'
    >>> clean("")
    '/'
    """
    if not path.startswith("/"):
        path = "/" + path
    if "//" in path:
        path = _SLASHES.sub("/", path)
    if len(path) > 1 and path.endswith("/"):
        path = path[:-1]
    return path


def validate(path: str) -> None:
    """Check that a file may be written at ``path``, which must be in canonical form.

    Raises:
        InvalidArgument: the path is not valid; the message starts ``path (X) invalid:``.
    """
    if _GOOD.fullmatch(path) is None:
        raise InvalidArgument(f"path ({_escaped(path)}) invalid: {_fault(path)}")
    if path.count("/") > limits.PATH_DEPTH:
        raise InvalidArgument(
            f"path ({_escaped(path)}) invalid: it is {path.count('/'):,} names deep, {limits.PATH_DEPTH} are allowed;"
            " use fewer directories"
        )
    if path.isascii():
        if len(path) > limits.PATH:
            raise InvalidArgument(f"path ({_escaped(path)}) invalid: {_path_too_long(len(path))}")
        return
    encoded = path.encode()
    if len(encoded) > limits.PATH:
        raise InvalidArgument(f"path ({_escaped(path)}) invalid: {_path_too_long(len(encoded))}")
    for element in encoded.split(b"/"):
        if len(element) > limits.PATH_ELEMENT:
            raise InvalidArgument(f"path ({_escaped(path)}) invalid: {_element_too_long(len(element))}")


def canonical(path: str) -> str:
    """Clean and validate a path in one step; cheaper when the path is already canonical.

    Raises:
        InvalidArgument: the path is not valid.
    """
    if len(path) <= limits.PATH_ELEMENT and path.isascii() and _GOOD.fullmatch(path):
        return path
    path = clean(path)
    validate(path)
    return path


def parents(path: str) -> list[str]:
    """Return the directories above ``path``, the root first, without trailing slashes.

    >>> parents("/a/b/c")
    ['/', '/a', '/a/b']
    """
    directories = ["/"] if path != "/" else []
    cut = path.find("/", 1)
    while cut != -1:
        directories.append(path[:cut])
        cut = path.find("/", cut + 1)
    return directories


def _fault(path: str) -> str:
    """Return what is wrong with a path that the fast check refused, and how to fix it."""
    if path in ("", "/"):
        return "it names no file; give a path such as /name"
    if _BAD_TEXT.search(path):
        return "it is not UTF-8 text; rename the file to valid UTF-8"
    if bad := _BAD_CHARACTER.search(path):
        mark = bad.group()
        if mark.isprintable():
            return (
                f"character {mark!r} has a meaning in globs; rename the file without any of * ? [ ] {{ }} \\"
            )
        return f"control character {mark!r} at position {bad.start() + 1} is not allowed; rename the file"
    if not path.startswith("/"):
        return "it does not start with /; write it from the root of the repo"
    if path.endswith("/"):
        return "it ends with /, which names a directory; directories are made by writing files into them"
    for element in path[1:].split("/"):
        if element == "":
            return "it has an empty element; write one / between names"
        if element in (".", ".."):
            return f"element {element!r} is not allowed; write the path from the root of the repo"
        if len(element.encode()) > limits.PATH_ELEMENT:
            return _element_too_long(len(element.encode()))
    raise AssertionError(f"no fault found in {path!r}")


def _element_too_long(size: int) -> str:
    return f"an element has {size} bytes, {limits.PATH_ELEMENT} are allowed; shorten the name"


def _path_too_long(size: int) -> str:
    return f"it has {size:,} bytes, {limits.PATH:,} are allowed; use fewer or shorter directories"


def _escaped(path: str) -> str:
    """Return a path as messages show it: printable and short."""
    printable = "".join(c if c.isprintable() else repr(c)[1:-1] for c in path[:200])
    return printable + ("…" if len(path) > 200 else "")
