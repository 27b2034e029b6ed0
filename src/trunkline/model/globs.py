r"""Globs: patterns that select files and directories of a tree.

The language is that of the Pachyderm API::

    *  ?            any characters, one character; both stop at /
    **              any characters, / included
    [abc] [a-c]     one of these characters; [!abc] and [^abc]: any other character; never /
    {a,b}           either
    @(a|b) (a|b)    exactly one; ?(a) at most one, *(a) any number, +(a) at least one
    !(a|b)          anything within one path element except these
    \x              the character x itself

Every group in parentheses captures the text it matched; groups are numbered by their opening parenthesis. A
pattern is matched against the canonical path (``model.paths``) of a file or directory and must match all of it.
Only ``/`` matches the root. A pattern without leading slash gets one; a trailing slash is dropped.

Three engines implement the same semantics. A pattern whose cost is bounded becomes a regular expression for
``re`` (half a microsecond per path). Repeated groups and several interacting wildcards can make a backtracking
engine take exponential time, so they become an expression for RE2 (three microseconds), which is linear in pattern
and path. Neither supports ``!( )``: patterns with one, and captures, run on sets of positions that are stored as
the bits of an integer. There the cost grows with the square of the path's length for each group that repeats or
excludes, so a pattern with a ``!( )`` may have few of them (``limits.GLOB_SEARCHES``). Anybody who may create a
pipeline can send a pattern, so no pattern may stop the server.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import re2

from trunkline.errors import InvalidArgument
from trunkline.model import limits
from trunkline.model.glob_syntax import (
    Alternatives,
    AnyCharacter,
    CharacterClass,
    Literal,
    Node,
    Sequence,
    Wildcard,
    parse,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

#: A repetition that may backtrack over the whole path counts as this many alternatives …
_WILDCARD_WEIGHT = 512
#: … and a pattern with more combinations than this does not use ``re``: one such wildcard takes less than ten
#: milliseconds on the longest path.
_MAX_COMBINATIONS = 512
#: Bytes that RE2 may use for one pattern.
_RE2_MEMORY = 512 << 10
#: Size of the cache of compiled patterns.
_COMPILED = 256


class Glob:
    """A compiled pattern. Immutable; may be shared between threads."""

    __slots__ = (
        "_expression",
        "_root",
        "groups",
        "is_literal",
        "literal_end",
        "literal_prefix",
        "pattern",
        "sequence",
    )

    #: The pattern in canonical form: with leading and without trailing slash.
    pattern: str
    #: The longest text that every matching path starts with.
    literal_prefix: str
    #: Text that every matching path ends with; empty when none is known.
    literal_end: str
    #: Whether the pattern matches exactly one path, ``literal_prefix``.
    is_literal: bool
    #: Number of capturing groups.
    groups: int
    #: The syntax tree; empty for the root's pattern.
    sequence: Sequence

    def __init__(self, pattern: str) -> None:
        parsed = parse(pattern)
        self.pattern = parsed.text
        self.groups = parsed.groups
        self.sequence = parsed.sequence
        self._root = not parsed.sequence
        first = parsed.sequence[0] if parsed.sequence else Literal("/")
        self.literal_prefix = first.text if isinstance(first, Literal) else "/"
        final = parsed.sequence[-1] if parsed.sequence else first
        self.literal_end = final.text if isinstance(final, Literal) else ""
        self.is_literal = len(parsed.sequence) <= 1 and isinstance(first, Literal)
        searches = [node.kind for node in _groups(parsed.sequence) if node.kind in "*+!"]
        self._expression: Any = None
        if "!" in searches:
            self._check_searches(len(searches))
        else:
            plain = _without_groups(parsed.sequence)
            self._expression = _expression(plain) or self._linear(plain)

    def _check_searches(self, count: int) -> None:
        if count > limits.GLOB_SEARCHES:
            raise InvalidArgument(
                f'glob "{self.pattern[:40]}…" invalid: it has !( ) and {count} groups of *( ), +( ) and !( ) in all,'
                f" {limits.GLOB_SEARCHES} are allowed; write a simpler glob"
            )

    def _linear(self, sequence: Sequence) -> Any:
        """Translate a sequence without ``!( )`` for RE2."""
        options = re2.Options()
        options.max_mem = _RE2_MEMORY
        options.log_errors = False
        options.dot_nl = True
        try:
            return re2.compile(_translate_linear(sequence), options)
        except (re2.error, UnicodeEncodeError) as error:
            raise InvalidArgument(
                f'glob "{self.pattern[:40]!r}…" invalid: it is too large to be compiled, or no Unicode text;'
                " write a simpler glob"
            ) from error

    def __repr__(self) -> str:
        return f"Glob({self.pattern!r})"

    def matches(self, path: str) -> bool:
        """Whether the pattern matches ``path``: canonical, without trailing slash, ``/`` for the root.

        Raises:
            InvalidArgument: the match takes too many steps (``limits.GLOB_STEPS``).
        """
        if path == "/" or self._root:
            return self._root and path == "/"
        if self._expression is not None:
            return self._expression.fullmatch(path) is not None
        text = _Text(path)
        return bool(text.ends(self.sequence, 1) >> text.length)

    def captures(self, path: str) -> list[str] | None:
        """Return what each group in parentheses matched, or None when the pattern does not match.

        From left to right, each part of the pattern matches as much as it can. A group that was not used
        gives the empty string, a repeated one the text of its last repetition.
        """
        if not self.matches(path):
            return None
        captures = [""] * self.groups
        if captures:
            _Text(path).capture(self.sequence, 0, len(path), captures)
        return captures


@lru_cache(maxsize=_COMPILED)
def compile_glob(pattern: str) -> Glob:
    """Compile ``pattern``; equal patterns share one object while it is in the cache.

    Raises:
        InvalidArgument: the pattern is not valid; the message names the position and the fault.
    """
    return Glob(pattern)


def _groups(sequence: Sequence) -> Iterator[Alternatives]:
    """Yield every group of a sequence, nested groups included."""
    for node in sequence:
        if isinstance(node, Alternatives):
            yield node
            for alternative in node.sequences:
                yield from _groups(alternative)


def _without_groups(sequence: Sequence) -> Sequence:
    """Return a sequence that matches the same, with groups that have one alternative as a part of it."""
    nodes: list[Node] = []
    for node in sequence:
        if isinstance(node, Alternatives) and node.kind == "@" and len(node.sequences) == 1:
            nodes += _without_groups(node.sequences[0])
        else:
            nodes.append(node)
    return tuple(nodes)


# --- the fast engine: one regular expression -----------------------------------------------------------


def _expression(sequence: Sequence) -> re.Pattern[str] | None:
    """Translate a sequence whose cost is bounded; return None for any other."""
    combinations = _combinations(sequence, last=True)
    if combinations is None or combinations > _MAX_COMBINATIONS:
        return None
    return re.compile(_translate(sequence), re.DOTALL)


def _combinations(sequence: Sequence, *, last: bool) -> int | None:
    """Return an upper bound of the ways that a backtracking engine may try; None without a bound.

    Args:
        sequence: the sequence to match.
        last: whether its end is the end of the path.
    """
    total = 1
    for index, node in enumerate(sequence):
        if isinstance(node, Wildcard) and not _is_settled(node, sequence[index + 1 :], last=last):
            total *= _WILDCARD_WEIGHT
        elif isinstance(node, Alternatives):
            if node.kind in "*+!":
                return None
            ways = 1 if node.kind == "?" else 0
            for alternative in node.sequences:
                inner = _combinations(alternative, last=False)
                if inner is None:
                    return None
                ways += inner
            total *= ways
    return total


def _is_settled(wildcard: Wildcard, remainder: Sequence, *, last: bool) -> bool:
    """Whether the first position where the pattern can continue after the wildcard is as good as any other."""
    fixed = _fixed_length(remainder)
    if not wildcard.deep and any(
        isinstance(node, Literal) and "/" in node.text for node in remainder[:fixed]
    ):
        return True  # the next slash settles it
    if fixed == len(remainder):
        return last  # the end of the path settles it
    # A later wildcard that may take all that this one may take can take the difference.
    after = remainder[fixed]
    return isinstance(after, Wildcard) and (after.deep or not wildcard.deep)


def _fixed_length(sequence: Sequence) -> int:
    """Count the leading nodes that match a fixed number of characters."""
    for index, node in enumerate(sequence):
        if not isinstance(node, (Literal, AnyCharacter, CharacterClass)):
            return index
    return len(sequence)


def _translate(sequence: Sequence) -> str:
    parts: list[str] = []
    index = 0
    while index < len(sequence):
        node = sequence[index]
        remainder = sequence[index + 1 :]
        fixed = _fixed_length(remainder)
        if (
            isinstance(node, Wildcard)
            and 0 < fixed < len(remainder)
            and _is_settled(node, remainder, last=True)
        ):
            # Atomic: no backtracking to a later position, so several wildcards cost their sum, not their product.
            any_text = ".*?" if node.deep else "[^/]*?"
            parts.append(f"(?>{any_text}{_translate(remainder[:fixed])})")
            index += 1 + fixed
            continue
        parts.append(translate_node(node))
        index += 1
    return "".join(parts)


def translate_node(node: Node) -> str:
    """Return a node as an expression for ``re`` that captures nothing."""
    match node:
        case Literal(text):
            return re.escape(text)
        case AnyCharacter():
            return "[^/]"
        case Wildcard(deep):
            return ".*" if deep else "[^/]*"
        case CharacterClass(negated, ranges):
            inside = "".join(f"{re.escape(low)}-{re.escape(high)}" for low, high in ranges)
            return f"[^/{inside}]" if negated else f"(?!/)[{inside}]"
        case Alternatives(kind, _, sequences):
            either = "|".join(_translate(sequence) for sequence in sequences)
            return f"(?:{either})" + ("?" if kind == "?" else "")


# --- the linear engine: RE2 ----------------------------------------------------------------------------


def _translate_linear(sequence: Sequence) -> str:
    return "".join(map(translate_node_linear, sequence))


def translate_node_linear(node: Node) -> str:
    """Return a node as an expression for RE2 that captures nothing."""
    match node:
        case Literal(text):
            return str(re2.escape(text))
        case AnyCharacter():
            return "[^/]"
        case Wildcard(deep):
            return ".*" if deep else "[^/]*"
        case CharacterClass(negated, ranges):
            return _class_linear(negated, ranges)
        case Alternatives(kind, _, sequences):
            either = "|".join(map(_translate_linear, sequences))
            return f"(?:{either}){kind if kind in '?*+' else ''}"


def _class_linear(negated: bool, ranges: tuple[tuple[str, str], ...]) -> str:
    """Return a class that never holds a slash; RE2 has no look-ahead to take it out."""
    parts = [(ord(low), ord(high)) for low, high in ranges]
    if negated:
        return "[^/" + "".join(f"\\x{{{low:x}}}-\\x{{{high:x}}}" for low, high in parts) + "]"
    slash = ord("/")
    split = [
        part for low, high in parts for part in ((low, min(high, slash - 1)), (max(low, slash + 1), high))
    ]
    inside = "".join(f"\\x{{{low:x}}}-\\x{{{high:x}}}" for low, high in split if low <= high)
    return f"[{inside}]" if inside else r"[^\x{0}-\x{10ffff}]"


# --- the exact engine: sets of positions as bits -------------------------------------------------------


class _Text:
    """A path being matched. A set of positions 0 … length is an integer with those bits set."""

    __slots__ = ("_masks", "_reached", "_steps", "all", "inside", "length", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.length = len(text)
        self.all = (1 << (self.length + 1)) - 1
        #: Per character, its positions.
        masks: dict[str, int] = {}
        for position, character in enumerate(text):
            masks[character] = masks.get(character, 0) | 1 << position
        self._masks = masks
        #: Positions of characters that are not a slash.
        self.inside = self.all >> 1 & ~masks.get("/", 0)
        #: Ends that the alternatives of a ``*( )``, ``+( )`` or ``!( )`` reach from one start: each is computed
        #: once, however deep the groups are nested.
        self._reached: dict[tuple[int, int], int] = {}
        self._steps = 0

    def ends(self, sequence: Sequence, starts: int) -> int:
        """Return every position at which the sequence can end when it starts at one of ``starts``."""
        for node in sequence:
            starts = self._ends_of(node, starts)
            if not starts:
                return 0
        return starts

    def _ends_of(self, node: Node, starts: int) -> int:
        match node:
            case Literal(text):
                for character in text:
                    starts = (starts & self._masks.get(character, 0)) << 1
                return starts
            case AnyCharacter():
                return (starts & self.inside) << 1
            case Wildcard(deep):
                return self._onwards(starts, deep=deep)
            case CharacterClass():
                positions = 0
                for character, mask in self._masks.items():
                    if node.holds(character):
                        positions |= mask
                return (starts & positions) << 1
            case Alternatives():
                return self._ends_of_alternatives(node, starts)

    def _ends_of_alternatives(self, node: Alternatives, starts: int) -> int:
        if node.kind == "!":
            return self._ends_of_anything_but(node, starts)
        reached = self._ends_of_repeated(node, starts) if node.kind in "*+" else self._either(node, starts)
        return reached | starts if node.kind in "?*" else reached

    def _ends_of_repeated(self, node: Alternatives, starts: int) -> int:
        """Return the positions that one or more repetitions reach."""
        reached, new = 0, starts
        while new:
            start = new & -new
            new ^= start
            ends = self._either_from(node, start) & ~reached
            reached |= ends
            new |= ends
        return reached

    def _either_from(self, node: Alternatives, start: int) -> int:
        """Do what ``_either`` does for one start, and cache the result."""
        self._steps += 1
        if self._steps > limits.GLOB_STEPS:
            raise InvalidArgument(
                f'the glob takes more than {limits.GLOB_STEPS:,} steps to match "{self.text[:100]}"; write it with'
                " fewer groups within groups"
            )
        key = (id(node), start)
        if key not in self._reached:
            self._reached[key] = self._either(node, start)
        return self._reached[key]

    def _either(self, node: Alternatives, starts: int) -> int:
        reached = 0
        for sequence in node.sequences:
            reached |= self.ends(sequence, starts)
        return reached

    def _ends_of_anything_but(self, node: Alternatives, starts: int) -> int:
        reached = 0
        while starts:
            start = starts & -starts
            starts ^= start
            reached |= self._onwards(start, deep=False) & ~self._either_from(node, start)
        return reached

    def _onwards(self, starts: int, *, deep: bool) -> int:
        """Return the positions from ``starts`` on, up to the next slash or (deep) to the end."""
        if deep:
            return self.all & -(starts & -starts)
        # The sum carries each start through its run of characters to the run's end, in one addition
        # (Cameron et al., "Bitwise Data Parallelism in Regular Expression Matching", PACT 2014).
        return ((starts & self.inside) + self.inside) ^ self.inside | starts

    def capture(self, sequence: Sequence, start: int, end: int, captures: list[str]) -> None:
        """Write into ``captures`` what the groups of a sequence that spans ``start`` to ``end`` matched."""
        for index, node in enumerate(sequence):
            next_start = self._longest(self._ends_of(node, 1 << start), sequence[index + 1 :], end)
            if isinstance(node, Alternatives):
                self._capture_group(node, start, next_start, captures)
            start = next_start

    def _capture_group(self, node: Alternatives, start: int, end: int, captures: list[str]) -> None:
        if node.group is not None:
            captures[node.group] = self.text[start:end]
        while node.kind != "!" and start < end:
            step_end = end
            if node.kind in "*+":
                more: Sequence = (Alternatives("*", None, node.sequences),)
                step_end = self._longest(self._either(node, 1 << start) & ~(1 << start), more, end)
            for sequence in node.sequences:
                if self.ends(sequence, 1 << start) >> step_end & 1:
                    self.capture(sequence, start, step_end, captures)
                    break
            start = step_end

    def _longest(self, ends: int, remainder: Sequence, target: int) -> int:
        """Return the highest of ``ends`` from which ``remainder`` can end at ``target``; one must exist."""
        ends &= (1 << (target + 1)) - 1
        while ends:
            highest = ends.bit_length() - 1
            if self.ends(remainder, 1 << highest) >> target & 1:
                return highest
            ends ^= 1 << highest
        raise AssertionError("a part of a matching pattern has no end")
