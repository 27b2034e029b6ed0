"""What ``join_on`` and ``group_by`` make of the paths that a glob matches, and which paths make a given key.

A template is text with references to the captures of a glob: ``$1`` or ``${1}`` the first, ``$0`` the path, ``$$`` a
dollar. A key is the template with the captures of a path put in.

A plan computes the key of every file, so captures have a fast engine: where each captured group has only one way to
match a given text, a greedy expression captures the same as ``Glob.captures``. With one wildcard it is an expression
for ``re``; with several, ``re`` may backtrack, so it is one for RE2.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import re2

from trunkline.errors import InvalidArgument
from trunkline.model import limits
from trunkline.model.glob_syntax import Alternatives, Literal, Node, Sequence, Wildcard, text_of
from trunkline.model.globs import compile_glob, translate_node, translate_node_linear

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from trunkline.model.globs import Glob

_REFERENCE = re.compile(r"\$(?:(\d+)|\{(\d+)\}|(\$))")
#: Templates in the cache; a pipeline has two for each of its inputs.
_TEMPLATES = 256


class Keys:
    """The keys that a template makes of the paths that a glob matches. Immutable; threads may share it."""

    def __init__(self, glob: Glob, template: str) -> None:
        """Check a template.

        Args:
            glob: the glob with the groups that the template refers to.
            template: text with references.

        Raises:
            InvalidArgument: it refers to a group that the glob does not have.
        """
        self._glob = glob
        #: Text and numbers of captures in turn, beginning and ending with a text.
        self._texts = [""]
        self._captures: list[int] = []
        end = 0
        for reference in _REFERENCE.finditer(template):
            self._texts[-1] += template[end : reference.start()]
            end = reference.end()
            if reference[3]:
                self._texts[-1] += "$"
                continue
            number = int(reference[1] or reference[2])
            if number > glob.groups:
                raise InvalidArgument(
                    f'"{template}" refers to capture {reference[0]}, but glob "{glob.pattern}" has {glob.groups}'
                    " groups in parentheses; add a group such as (*) to the glob or name a lower number"
                )
            self._captures.append(number)
            self._texts.append("")
        self._texts[-1] += template[end:]
        self._capture = _fast_captures(glob)

    @property
    def is_constant(self) -> bool:
        """Whether all paths have the same key."""
        return not self._captures

    def of(self, path: str) -> str:
        """Return the key of a path that the glob matches.

        Raises:
            InvalidArgument: matching takes too many steps (``limits.GLOB_STEPS``).
        """
        if not self._captures:
            return self._texts[0]
        captures = self._capture(path) if self._capture is not None else self._glob.captures(path)
        assert captures is not None
        parts = [self._texts[0]]
        for number, text in zip(self._captures, self._texts[1:], strict=True):
            parts.append(captures[number - 1] if number else path)
            parts.append(text)
        return "".join(parts)

    def globs_for(self, keys: Iterable[str]) -> list[tuple[str, Glob]] | None:
        """Return for each key a glob that matches every path with this key, and few others.

        Keys that no path has are left out.

        Returns:
            Keys and globs; None when the keys do not determine the text of a group.
        """
        place = self._place_of_group()
        if place is None:
            return None
        start, end = self._texts
        globs: list[tuple[str, Glob]] = []
        for key in keys:
            if not key.startswith(start) or not key.endswith(end) or len(key) < len(start) + len(end):
                continue
            text = Literal(key[len(start) : len(key) - len(end)])
            sequence = self._glob.sequence
            pattern = text_of((*sequence[:place], text, *sequence[place + 1 :]) if place >= 0 else (text,))
            if len(pattern) > limits.GLOB:
                return None
            globs.append((key, compile_glob(pattern)))
        return globs

    def _place_of_group(self) -> int | None:
        """Return where the only group of the template is in the glob; -1 for all of it, None when keys are not enough.

        A group within another group need not be used, so its text does not determine that of the path.
        """
        if len(self._captures) != 1:
            return None
        [number] = self._captures
        if number == 0:
            return -1
        for position, node in enumerate(self._glob.sequence):
            if isinstance(node, Alternatives) and node.group == number - 1:
                return position
        return None


@lru_cache(maxsize=_TEMPLATES)
def keys(pattern: str, template: str) -> Keys:
    """Return the keys of a pattern and a template, which are valid.

    Args:
        pattern: a glob.
        template: text with references to its groups.

    Raises:
        InvalidArgument: one of them is not valid.
    """
    return Keys(compile_glob(pattern), template)


def _fast_captures(glob: Glob) -> Callable[[str], Any] | None:
    """Return what captures like ``Glob.captures`` by an expression; None where an expression may differ."""
    if not glob.groups or not all(map(_is_simple, glob.sequence)):
        return None
    several = sum(isinstance(node, Wildcard) for node in _flat(glob.sequence)) > 1
    translate = translate_node_linear if several else translate_node
    expression = "".join(
        f"({''.join(map(translate, node.sequences[0]))})"
        if isinstance(node, Alternatives)
        else translate(node)
        for node in glob.sequence
    )
    if several:
        options = re2.Options()
        options.dot_nl = True
        options.log_errors = False
        fullmatch = re2.compile(expression, options).fullmatch
    else:
        fullmatch = re.compile(expression, re.DOTALL).fullmatch

    def capture(path: str) -> Any:
        match = fullmatch(path)
        return match.groups() if match is not None else None

    return capture


def _is_simple(node: Node) -> bool:
    """Whether a node captures nothing, or is a group of one alternative that is used once and holds no group."""
    if not isinstance(node, Alternatives):
        return True
    if node.kind != "@" or node.group is None or len(node.sequences) != 1:
        return False
    inner = node.sequences[0]
    return not any(isinstance(each, Alternatives) for each in inner) and (
        len(inner) == 1 or not any(isinstance(each, Wildcard) for each in inner)
    )


def _flat(sequence: Sequence) -> list[Node]:
    return [
        inner
        for node in sequence
        for inner in (node.sequences[0] if isinstance(node, Alternatives) else (node,))
    ]
