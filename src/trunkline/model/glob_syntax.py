"""The grammar of globs: text in, syntax tree out, or an error that names the character.

``model.globs`` defines what the nodes mean. A pattern is untrusted text: its length and the depth of its groups
are limited here.
"""

from __future__ import annotations

from msgspec import Struct

from trunkline.errors import InvalidArgument
from trunkline.model import limits


class Literal(Struct, frozen=True):
    """A fixed sequence of characters."""

    text: str


class AnyCharacter(Struct, frozen=True):
    """One character that is not a slash."""


class Wildcard(Struct, frozen=True):
    """Any number of characters; slashes only when ``deep``."""

    deep: bool


class CharacterClass(Struct, frozen=True):
    """One character within (or, negated, outside) the ranges; never a slash."""

    negated: bool
    ranges: tuple[tuple[str, str], ...]

    def holds(self, character: str) -> bool:
        """Whether the class matches ``character``."""
        within = any(low <= character <= high for low, high in self.ranges)
        return character != "/" and within != self.negated


class Alternatives(Struct, frozen=True):
    """One of the sequences, repeated as ``kind`` says: ``@`` once, ``?``, ``*``, ``+``, or ``!`` never."""

    kind: str
    #: Position of its capture, counted from 0; None for braces.
    group: int | None
    sequences: tuple[Sequence, ...]


Node = Literal | AnyCharacter | Wildcard | CharacterClass | Alternatives
Sequence = tuple[Node, ...]


class Parsed(Struct, frozen=True):
    """The syntax tree of a pattern. An empty sequence is the root's pattern."""

    text: str
    sequence: Sequence
    groups: int


def parse(pattern: str) -> Parsed:
    """Parse a pattern.

    Raises:
        InvalidArgument: the pattern is wrong; positions count characters from 1.
    """
    if not pattern:
        raise InvalidArgument(
            'glob "" invalid: it is empty; write "/" for the whole repo or "/*" for each top-level name'
        )
    if len(pattern) > limits.GLOB:
        raise InvalidArgument(
            f'glob "{pattern[:40]}…" invalid: it has {len(pattern):,} characters, {limits.GLOB:,} are '
            "allowed; use wildcards instead of listing names"
        )
    parser = _Parser(pattern)
    sequence = parser.sequence(closers="", depth=0)
    text = pattern
    if not all(_starts_with_slash(node) for node in sequence[:1]):
        sequence = _joined((Literal("/"), *sequence))
        text = "/" + pattern
    if isinstance(sequence[-1], Literal) and sequence[-1].text.endswith("/"):
        bare = sequence[-1].text[:-1]
        sequence = (*sequence[:-1], Literal(bare)) if bare else sequence[:-1]
        text = _without_last_slash(text) or "/"
    return Parsed(text, sequence, parser.groups)


def _without_last_slash(text: str) -> str:
    while text.endswith("/"):
        text = text[:-1]
        backslashes = len(text) - len(text.rstrip("\\"))
        text = text[:-1] if backslashes % 2 else text  # the slash was written \/
    return text


def _starts_with_slash(node: Node) -> bool:
    if isinstance(node, Alternatives):
        return node.kind in "@+" and all(s and _starts_with_slash(s[0]) for s in node.sequences)
    return isinstance(node, Literal) and node.text.startswith("/")


def _joined(nodes: Sequence) -> Sequence:
    """Merge adjacent literals, slashes and wildcards."""
    merged: list[Node] = []
    for node in nodes:
        last = merged[-1] if merged else None
        if isinstance(node, Literal) and isinstance(last, Literal):
            doubled = node.text == "/" and last.text.endswith("/")
            merged[-1] = last if doubled else Literal(last.text + node.text)
        elif isinstance(node, Wildcard) and isinstance(last, Wildcard):
            merged[-1] = Wildcard(node.deep or last.deep)
        else:
            merged.append(node)
    return tuple(merged)


class _Parser:
    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._at = 0
        self.groups = 0

    def sequence(self, closers: str, depth: int) -> Sequence:
        """Parse up to the end of the pattern or up to one of ``closers``, which is not consumed."""
        nodes: list[Node] = []
        while self._at < len(self._pattern) and self._pattern[self._at] not in closers:
            nodes.append(self._node(depth))
        return _joined(tuple(nodes))

    def _node(self, depth: int) -> Node:
        pattern, start = self._pattern, self._at
        mark = pattern[start]
        if mark in "@?*+!" and pattern[start + 1 : start + 2] == "(":
            return self._alternatives(mark, start + 1, depth)
        self._at += 1
        match mark:
            case "(":
                return self._alternatives("@", start, depth)
            case "{":
                return self._alternatives("{", start, depth)
            case "[":
                return self._character_class(start)
            case "?":
                return AnyCharacter()
            case "*":
                return self._wildcard()
            case "\\":
                return Literal(self._escaped(start))
            case ")" | "]" | "}":
                raise self._error(
                    f"{mark} at character {start + 1} closes nothing; write \\{mark} for the character itself"
                )
            case _:
                return Literal(mark)

    def _wildcard(self) -> Wildcard:
        deep = False
        # "*(" opens a group even after a star.
        while (
            self._pattern[self._at : self._at + 1] == "*"
            and self._pattern[self._at + 1 : self._at + 2] != "("
        ):
            deep = True
            self._at += 1
        return Wildcard(deep)

    def _alternatives(self, kind: str, opening: int, depth: int) -> Alternatives:
        """Parse a group whose opening parenthesis or brace is at ``opening``."""
        if depth == limits.GLOB_DEPTH:
            raise self._error(
                f"the group opened at character {opening + 1} is nested deeper than {limits.GLOB_DEPTH}; "
                "write it flatter"
            )
        separator, closer = (",", "}") if kind == "{" else ("|", ")")
        group = None
        if kind != "{":
            group = self.groups
            self.groups += 1
        sequences: list[Sequence] = []
        self._at = opening
        while self._pattern[self._at : self._at + 1] != closer:
            self._at += 1  # the opening or a separator
            sequences.append(self.sequence(separator + closer, depth + 1))
            if self._at == len(self._pattern):
                what = "brace" if kind == "{" else "parenthesis"
                raise self._error(
                    f"{what} opened at character {opening + 1} is never closed; add {closer} "
                    f"or write \\{self._pattern[opening]} for the character itself"
                )
        self._at += 1
        return Alternatives("@" if kind == "{" else kind, group, tuple(sequences))

    def _character_class(self, opening: int) -> CharacterClass:
        pattern = self._pattern
        negated = pattern[self._at : self._at + 1] in ("!", "^")
        self._at += negated
        ranges: list[tuple[str, str]] = []
        while self._at < len(pattern) and pattern[self._at] != "]":
            low = self._class_member(opening)
            high = low
            if pattern[self._at : self._at + 1] == "-" and pattern[self._at + 1 : self._at + 2] not in (
                "",
                "]",
            ):
                self._at += 1
                high = self._class_member(opening)
            if high < low:
                raise self._error(
                    f"range {low}-{high} in the bracket at character {opening + 1} runs backwards; "
                    f"write {high}-{low}"
                )
            ranges.append((low, high))
        if self._at == len(pattern):
            raise self._error(
                f"bracket opened at character {opening + 1} is never closed; add ] "
                "or write \\[ for the character itself"
            )
        if not ranges:
            raise self._error(f"bracket at character {opening + 1} is empty; name at least one character")
        self._at += 1
        return CharacterClass(negated, tuple(ranges))

    def _class_member(self, opening: int) -> str:
        start = self._at
        member = self._pattern[start]
        self._at += 1
        if member == "\\":
            member = self._escaped(start)
        if member == "/":
            raise self._error(
                f"bracket at character {opening + 1} holds a /, which a bracket never matches; leave it out"
            )
        return member

    def _escaped(self, backslash: int) -> str:
        if self._at == len(self._pattern):
            raise self._error(
                f"backslash at character {backslash + 1} escapes nothing; write \\\\ for a backslash"
            )
        self._at += 1
        return self._pattern[self._at - 1]

    def _error(self, what: str) -> InvalidArgument:
        return InvalidArgument(f'glob "{self._pattern}" invalid: {what}')


# --- back to text --------------------------------------------------------------------------------------

#: Characters with a meaning in patterns, in groups or in brackets.
_SPECIAL = frozenset("*?[]{}()!@+^\\|,-")


def text_of(sequence: Sequence) -> str:
    """Return a pattern whose syntax tree is ``sequence``, with captures in the same order."""
    return "".join(map(_text_of_node, sequence)) or "/"


def _text_of_node(node: Node) -> str:
    match node:
        case Literal(text):
            return _escape(text)
        case AnyCharacter():
            return "?"
        case Wildcard(deep):
            return "**" if deep else "*"
        case CharacterClass(negated, ranges):
            members = (
                _escape(low) if low == high else f"{_escape(low)}-{_escape(high)}" for low, high in ranges
            )
            return f"[{'!' if negated else ''}{''.join(members)}]"
        case Alternatives(kind, group, sequences):
            separator, opening, closing = (",", "{", "}") if group is None else ("|", f"{kind}(", ")")
            inner = separator.join("".join(map(_text_of_node, sequence)) for sequence in sequences)
            return f"{opening}{inner}{closing}"


def _escape(text: str) -> str:
    return "".join(f"\\{character}" if character in _SPECIAL else character for character in text)
