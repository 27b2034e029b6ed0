"""Compares what a page shows with what a command writes.

Words that differ from run to run are compared by the patterns below: a word on the page that one of them matches
stands for every word that it matches. Runs of blanks count as one, because columns follow what is in them, and so does
the break of a long sentence: a line that begins with many blanks goes on with the one before. A line ``...`` stands
for any number of lines.
"""

from __future__ import annotations

import re

_NUMBER = r"\d+(?:\.\d+)?"
_UNIT = r"(?:ns|µs|us|ms|s|min|m|h|d|seconds?|minutes?|hours?|days?|weeks?)"
#: What differs from run to run, by name; the first that matches at a place counts.
PATTERNS = {
    "time": r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d)?",
    "date": r"\d{4}-\d\d-\d\d",
    "clock": r"\d\d:\d\d:\d\d(?:\.\d+)?",
    "short_id": r"(?<=@)[0-9a-f]{3,64}(?:…|(?![0-9a-zA-Z-]))",
    "id": r"(?<![0-9a-zA-Z])(?:[0-9a-f]{64}|[0-9a-f]{32}|[0-9a-f]{12}"
    r"|(?=[a-f]*\d)(?=\d*[a-f])[0-9a-f]{8})(?![0-9a-zA-Z])",
    "address": r"(?:127\.0\.0\.1|localhost|\[::1\]):\d+",
    "price": rf"\$ ?{_NUMBER}",
    "size": rf"(?<![\w.]){_NUMBER} ?(?:[kKMGT]i?B|B|bytes?)(?![\w])(?:/s)?",
    "parts": r"\d+ (?:chunks?|packs?)",
    "age": rf"(?<![\w.])(?:less than a second|just now|now|an? (?:second|minute|hour|day)"
    rf"|{_NUMBER} ?{_UNIT}(?!\w)(?: ?{_NUMBER} ?{_UNIT}(?!\w))*)(?: ago)?(?!\w)",
    "amount": r"(?<![\w.])0\.\d{3,}(?!\w)",
}
_VARIABLE = re.compile("|".join(f"(?P<{name}>{pattern})" for name, pattern in PATTERNS.items()))
_ELLIPSIS = "..."
_BREAK = re.compile(r"\n {8,}(?=\S)")


def matches(expected: str, actual: str, *, so_far: bool = False) -> bool:
    """Return whether an output is what a page shows.

    Args:
        expected: the lines of the page.
        actual: what was written.
        so_far: whether more may follow it.
    """
    pattern = re.compile("".join(map(_line_pattern, _lines(expected))))
    text = "".join(f"{line}\n" for line in _lines(actual))
    return bool(pattern.match(text) if so_far else pattern.fullmatch(text))


def _lines(text: str) -> list[str]:
    whole = _BREAK.sub(" ", text.rstrip("\n"))
    return [line.rstrip() for line in whole.split("\n")] if text.strip() else []


def _line_pattern(line: str) -> str:
    if line.strip() == _ELLIPSIS:
        return r"(?:.*\n)*?"
    pieces, position = [], 0
    for match in _VARIABLE.finditer(line):
        pieces.append(_literal(line[position : match.start()]))
        pieces.append(f"(?:{PATTERNS[str(match.lastgroup)]})")
        position = match.end()
    return "".join([*pieces, _literal(line[position:]), " *\n"])


def _literal(text: str) -> str:
    return " +".join(re.escape(piece) for piece in re.split(" +", text))
