"""What the Tab key offers: the answer of the hidden command ``__complete``, which the completion scripts ask.

``trunkline __complete :CURRENT WORD…`` gets the text under the cursor, after a colon so that it is never empty, and the
words before it. It prints ``files`` or ``words`` in the first line and a candidate in each further one, with a
description after a tab. A shell must never wait or show an error because of it: whatever fails prints nothing, and
after ``candidates.LIMIT`` the process ends. Must not import slow modules before it knows that it needs them.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING

from trunkline.cli import parsing
from trunkline.cli.command_table import ALIASES, TABLE
from trunkline.cli.completion import candidates
from trunkline.cli.completion.candidates import Candidate, Question

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from trunkline.cli.parsing import Argument

#: What an argument takes, by its name in help. Others take a text of which nothing is known.
KINDS = {
    "REPO": "repo",
    "REPO@BRANCH": "branch",
    "REPO@BRANCH-OR-ID": "commit",
    "REPO@BRANCH-OR-ID|ID": "commit",
    "REPO@ID": "commit",
    "REPO[@BRANCH-OR-ID]": "commit?",
    "REPO@BRANCH-OR-ID:/PATH": "path",
    "REPO@BRANCH-OR-ID:PATTERN": "path",
    "REPO@COMMIT:/PATH": "path",
    "REPO@BRANCH-OR-ID[:/PATH]": "path?",
    "REPO@BRANCH[:/PATH]": "path?",
    "NEW": "path?",
    "OLD": "path?",
    "TARGET": "path",
    "PIPELINE": "pipeline",
    "PIPELINE@ID": "job",
    "PIPELINE@ID|ID": "job",
    "DATUM": "datum",
    "PROJECT": "project",
    "CONTEXT": "context",
    "SECRET": "secret",
    "FILE": "files",
    "FOLDER": "files",
    "SPEC": "files",
    "LIST": "files",
    "PATH": "files",
}
#: The same by option, for those whose name in help says less.
_OF_OPTIONS = {
    "--repo": "repo", "--pipeline": "pipeline", "--job": "job", "--datum": "datum", "--project": "project",
    "--context": "context", "--ca": "files",
}  # fmt: skip


def main(words: Sequence[str]) -> int:
    """Print what may stand under the cursor; always succeeds.

    Args:
        words: the text under the cursor after a colon, then the words before it.
    """
    signal.signal(signal.SIGALRM, lambda *_: os._exit(0))
    signal.setitimer(signal.ITIMER_REAL, candidates.LIMIT)
    try:
        current = words[0].removeprefix(":")
        kind, offered = answer(current, list(words[1:]))
        lines = [kind, *(_line(each) for each in offered if each.text.startswith(current))]
    except Exception:  # noqa: BLE001 - a shell must show no error while somebody types
        lines = []
    signal.setitimer(signal.ITIMER_REAL, 0)
    if lines:
        sys.stdout.write("\n".join(lines) + "\n")
        sys.stdout.flush()
    return 0


def _line(candidate: Candidate) -> str:
    note = " ".join(candidate.note.split())
    return f"{candidate.text}\t{note}" if note else candidate.text


def answer(current: str, before: Sequence[str]) -> tuple[str, Iterable[Candidate]]:
    """Return ``files`` or ``words``, and what may stand under the cursor.

    Args:
        current: the text under the cursor.
        before: the words before it, without the program's own.
    """
    words = list(before)
    if words[:1] == ["help"]:
        from trunkline.cli.help.topics import TOPICS

        name = _command(words[1:])[0]
        topics = [] if name else [Candidate(topic, page.summary) for topic, page in TOPICS.items()]
        return "words", [*_next_words(name), *topics]
    name, rest, settings = _command(words)
    if name not in TABLE:
        if rest:
            return "words", ()
        if words and words[-1] in parsing.WITH_VALUE:
            return _of(None, words[-1], Question("", current, (), {}), "")
        return "words", _global_options() if current.startswith("-") else _next_words(name)
    further = [] if rest else list(_next_words(name))
    arguments = parsing.load(name).arguments
    option, values = _place(arguments, rest, settings)
    prefix = ""
    if current.startswith("--") and "=" in current:
        option, _, value = current.partition("=")
        prefix, current = f"{option}=", value
    if option:
        chosen = next((each for each in arguments if option in each.names), None)
        return _of(chosen, option, Question("", current, values, settings), prefix)
    if current.startswith("-"):
        return "words", [*_options(arguments), *_global_options()]
    positional = [each for each in arguments if each.is_positional]
    if positional and (len(values) < len(positional) or "+" in str(positional[-1].settings.get("nargs"))):
        chosen = positional[min(len(values), len(positional) - 1)]
        kind, offered = _of(chosen, "", Question("", current, values, settings), "")
        return kind, [*further, *offered]
    return "words", further


def _command(words: Sequence[str]) -> tuple[str, list[str], dict[str, str]]:
    """Return the words of a command, what follows them, and the options that stand before."""
    settings: dict[str, str] = {}
    name, waiting = "", list(words)
    while waiting:
        word = waiting.pop(0)
        if word.startswith("-") and name in TABLE:
            return name, [word, *waiting], settings
        if word in parsing.WITH_VALUE:
            settings[word.strip("-")] = waiting.pop(0) if waiting else ""
        elif not word.startswith("-"):
            longer = f"{name} {word}".strip()
            if not parsing.begins_a_command(longer):
                longer = f"{name} {ALIASES.get(word, word)}".strip()
            if not parsing.begins_a_command(longer):
                return name, [word, *waiting], settings
            name = longer
    return name, [], settings


def _place(
    arguments: Sequence[Argument], rest: Sequence[str], settings: dict[str, str]
) -> tuple[str, tuple[str, ...]]:
    """Return the option whose value is under the cursor (or nothing), and the positional arguments before it.

    Args:
        arguments: of the command.
        rest: the words after the command.
        settings: gets the values of the options of every command.
    """
    valued = {name for each in arguments if each.has_value and not each.is_positional for name in each.names}
    values, pending = [], ""
    for word in rest:
        if pending:
            settings[pending.lstrip("-")] = word
            pending = ""
        elif word in valued or word in parsing.WITH_VALUE:
            pending = word
        elif word.startswith("--") and "=" in word:
            settings[word.partition("=")[0].lstrip("-")] = word.partition("=")[2]
        elif not word.startswith("-"):
            values.append(word)
    return pending, tuple(values)


def _next_words(name: str) -> Iterator[Candidate]:
    """Yield the words that may follow a part of a command, each with what it leads to."""
    following: dict[str, list[str]] = {}
    for command in TABLE:
        if command.startswith(f"{name} ") or not name:
            word, _, rest = command[len(name) :].strip().partition(" ")
            following.setdefault(word, []).append(rest)
    for word, rests in sorted(following.items()):
        whole = f"{name} {word}".strip()
        yield Candidate(word, TABLE[whole][1] if whole in TABLE else ", ".join(rests))
    if not name:
        yield Candidate("help", "Show how to use a command, or a topic.")


def _options(arguments: Iterable[Argument]) -> Iterator[Candidate]:
    for each in arguments:
        if not each.is_positional:
            for name in each.names:
                yield Candidate(name, str(each.settings.get("help", "")))


def _global_options() -> Iterator[Candidate]:
    for names, settings in parsing.COMMON:
        for name in names:
            yield Candidate(name, str(settings["help"]))
    yield Candidate("--help", "show the help of the command")


def _of(
    argument: Argument | None, option: str, question: Question, prefix: str
) -> tuple[str, Iterable[Candidate]]:
    """Return the values of an argument.

    Args:
        argument: of the command; None for an option of every command.
        option: empty for a positional argument.
        question: what is known of the command line.
        prefix: goes before each value.
    """
    settings = argument.settings if argument is not None else {}
    choices = settings.get("choices") or (
        parsing.FORMATS if settings.get("type") is parsing.output_format else ()
    )
    offered: Iterable[Candidate]
    if choices:
        offered = [Candidate(str(choice)) for choice in choices]
    else:
        names = argument.names if argument is not None else (option,)
        kind = next((_OF_OPTIONS[name] for name in names if name in _OF_OPTIONS), "")
        kind = kind or KINDS.get(str(settings.get("metavar")), "")
        if kind in ("", "files"):
            return kind or "words", ()
        from trunkline.cli.completion import values

        offered = values.values(question._replace(kind=kind))
    return "words", [Candidate(prefix + text, note) for text, note in offered]
