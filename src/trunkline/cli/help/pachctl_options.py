"""Options of pachctl 2.12 that are spelled otherwise here, need nothing, or are refused with the reason.

Loaded only for a command line with an option that its command does not have.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_Words = dict[str, tuple[str, ...]]
_RECURSIVE: _Words = {"-r": ("--recursive",)}
_EXPAND: _Words = {"-x": (), "--expand": ()}
_RAW: _Words = {"--raw": ("--output=json",)}
#: Options of all commands, and of each, with the words that say the same here; none for what is so in any case.
_WORDS: dict[str, _Words] = {
    "": {"--no-color": ("--color=never",)},
    "create branch": {"-t": ("--trigger",)},
    "create pipeline": _RAW,
    "delete commit": _RECURSIVE,
    "get file": {"--progress": (), "--retry": ()},
    "list commit": _EXPAND,
    "list job": {**_EXPAND, "--no-pager": ()},
    "put file": {"-c": (), "--compress": (), "--progress": ()},
    "squash commit": _RECURSIVE,
    "update pipeline": _RAW,
    "version": _RAW,
}
#: Options with a value that need nothing here.
_VALUES = {"put file": ("-p", "--parallelism")}
_IMAGES = "Trunkline pushes no images; push them with the tool that builds them"
_PUSH = dict.fromkeys(("-p", "--push-images", "-r", "--registry", "-u", "--username"), _IMAGES)
#: Why an option is refused, and what to do instead.
_REFUSED: dict[str, dict[str, str]] = {
    "create pipeline": _PUSH,
    "diff file": {"--diff-command": 'use "get file" for both files, and the command'},
    "put file": {"--full-path": "write the path into the target, as in repo@branch:/path"},
    "update pipeline": _PUSH,
}


def translated(command: str, words: Sequence[str]) -> list[str]:
    """Return a command line with the options of pachctl replaced by those of Trunkline.

    Args:
        command: such as ``list job``.
        words: those after it.
    """
    replacements = {**_WORDS[""], **_WORDS.get(command, {})}
    result: list[str] = []
    is_value = False
    for word in words:
        name, sign, value = word.partition("=")
        if is_value:
            is_value = False
        elif name in _VALUES.get(command, ()):
            is_value = not sign
        elif name in replacements and value not in ("false", "0"):
            result += replacements[name]
        elif name not in replacements:
            result.append(word)
    return result


def refusal(command: str, options: Sequence[str]) -> str:
    """Return why an option of pachctl is refused, as a sentence; empty when none is.

    Args:
        command: such as ``list job``.
        options: those that the command does not have.
    """
    for option in options:
        name = option.partition("=")[0]
        if reason := _REFUSED.get(command, {}).get(name):
            return f'"{name}" is an option of pachctl: {reason}'
    return ""
