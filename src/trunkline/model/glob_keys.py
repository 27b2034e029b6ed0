"""What ``join_on`` and ``group_by`` make of the paths that a glob matches, and which paths make a given key.

A template is text with references to the captures of a glob: ``$1`` or ``${1}`` the first, ``$0`` the path, ``$$`` a
dollar. A key is the template with the captures of a path put in.

A plan computes the key of every file, so keys have a fast engine: where groups hold no groups and a wildcard at most, a
greedy expression captures the same as ``Glob.captures``. It is one for ``re``, unless that might backtrack over many
positions of many wildcards: then it is one for RE2.
"""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import takewhile
from typing import TYPE_CHECKING, Any, cast

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
        #: With a place for each capture.
        self._format = "%s".join(text.replace("%", "%%") for text in self._texts)
        self._fullmatch = _fullmatch(glob)

    @property
    def is_constant(self) -> bool:
        """Whether all paths have the same key."""
        return not self._captures

    def of(self, path: str) -> str:
        """Return the key of a path that the glob matches.

        Raises:
            InvalidArgument: matching takes too many steps (``limits.GLOB_STEPS``).
        """
        captures = self._captures
        if not captures:
            return self._texts[0]
        if self._fullmatch is not None:
            # Of one group it is a text, of several a tuple; the format takes both.
            return self._format % cast("str", self._fullmatch(path).group(*captures))
        groups = self._glob.captures(path)
        assert groups is not None
        return self._format % tuple(groups[number - 1] if number else path for number in captures)

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


def _fullmatch(glob: Glob) -> Callable[[str], Any] | None:
    """Return what matches a path with captures like those of the glob; None where an expression may differ."""
    if not glob.groups or not all(map(_is_simple, glob.sequence)):
        return None
    linear = _may_backtrack(glob.sequence)
    translate = translate_node_linear if linear else translate_node
    expression = "".join(
        f"({''.join(map(translate, node.sequences[0]))})"
        if isinstance(node, Alternatives)
        else translate(node)
        for node in glob.sequence
    )
    if not linear:
        return re.compile(expression, re.DOTALL).fullmatch
    options = re2.Options()
    options.dot_nl = True
    options.log_errors = False
    return re2.compile(expression, options).fullmatch  # type: ignore[no-any-return]


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


def _may_backtrack(sequence: Sequence) -> bool:
    """Whether matching a path may take more steps than the square of the length of a name."""
    flat = [
        inner
        for node in sequence
        for inner in (node.sequences[0] if isinstance(node, Alternatives) else (node,))
    ]
    undecided = 0
    for position, node in enumerate(flat):
        if not isinstance(node, Wildcard):
            continue
        following = flat[position + 1 :]
        fixed = list(takewhile(lambda each: not isinstance(each, Wildcard), following))
        # The next slash or the end of the path leaves a wildcard one place to end.
        slash = any(isinstance(each, Literal) and "/" in each.text for each in fixed)
        if len(fixed) < len(following) and not (slash and not node.deep):
            undecided += 2 if node.deep else 1
    return undecided > 2
