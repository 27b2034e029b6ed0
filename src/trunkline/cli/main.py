"""Runs one command and turns errors into one line and an exit code.

Must not import slow modules; a test lists those that may be imported.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, NoReturn

from trunkline.cli import colour, exit_codes, parsing
from trunkline.cli.command_table import TABLE
from trunkline.cli.option_reader import OptionReader
from trunkline.errors import NotFound, TrunklineError

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run ``arguments`` and return the exit code; without any, run those of the process and end it."""
    if arguments is None:
        _end(_code_of(sys.argv[1:]))
    return _code_of(arguments)


def _end(code: int) -> NoReturn:
    """End the process without taking apart what it has loaded, which takes 5 ms and changes nothing outside."""
    import os

    threading = sys.modules.get("threading")
    if "atexit" in sys.modules or (threading and threading.active_count() > 1):
        sys.exit(code)  # something is to be done at the end
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        sys.exit(code)
    os._exit(code)


def _code_of(words: Sequence[str]) -> int:
    if words[:1] == ["__complete"]:
        from trunkline.cli.completion import completing

        return completing.main(words[1:])
    try:
        code = _run(words)
        sys.stdout.flush()
    except TrunklineError as error:
        from trunkline.cli.help import error_pages

        page = error_pages.page(error, words)
        return _fail(words, error.code, exit_codes.exit_code(error), error.message, error.hint, page)
    except BrokenPipeError:
        # The reader has closed the pipe, as "head" does. Python must not report it at exit either.
        _discard_output()
        return exit_codes.OK
    except KeyboardInterrupt as interrupt:
        for note in getattr(interrupt, "__notes__", ()):
            print(f"trunkline: interrupted; {note}", file=sys.stderr)
        return exit_codes.INTERRUPTED
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        message = f"{where}{error.strerror or error}"
        if isinstance(error, FileNotFoundError):
            return _fail(words, "NOT_FOUND", exit_codes.NOT_FOUND, message)
        return _fail(words, "FAILURE", exit_codes.FAILURE, message)
    return code


def _fail(
    words: Sequence[str], code: str, exit_code: int, message: str, hint: str = "", page: str = ""
) -> int:
    """Print an error, as JSON where the command line asks for JSON, and return the exit code.

    Args:
        words: the command line, which may be one that cannot be parsed.
        code: of the error, for programs.
        exit_code: of the process.
        message: for people.
        hint: a command that helps; empty for none.
        page: of the handbook; empty for none.
    """
    see = ""
    if page:
        from trunkline.cli.help import pages

        see = pages.handbook_address(page)
    line = f" {' '.join(words)} "
    options = (
        "-o json",
        "-ojson",
        "-o jsonl",
        "-ojsonl",
        "--output json",
        "--output=json",
        "--output jsonl",
        "--raw",
    )
    if any(f" {option} " in line for option in options):
        import json

        fields: dict[str, object] = {"code": code, "exit_code": exit_code, "message": message}
        fields |= {name: value for name, value in (("hint", hint), ("see", see)) if value}
        print(json.dumps(fields, ensure_ascii=False), file=sys.stderr)
    else:
        print(f"trunkline: {message}", file=sys.stderr)
        for name, value in (("hint", hint), ("see", see)):
            if value:
                print(f"{name}: {value}", file=sys.stderr)
    return exit_code


def _run(words: Sequence[str]) -> int:
    if list(words) == ["--all"]:
        from trunkline.cli.help import overview

        print(overview.every_command())
        return exit_codes.OK
    if list(words[:1]) == ["help"]:
        from trunkline.cli.help import pages

        topic = [word for word in words[1:] if word != "--no-pager"]
        if (page := pages.topic(topic)) is not None:
            from trunkline.cli import pager

            with pager.paged(use=topic == list(words[1:])):
                print(page)
            return exit_codes.OK
    name, rest = parsing.split(words)
    if name not in TABLE:
        _help(name)
        return exit_codes.OK
    command = parsing.load(name)
    if _asks_for_help(rest):
        from trunkline.cli.help import pages

        print(pages.page(name, command))
        return exit_codes.OK
    options = OptionReader(name, (*command.arguments, *parsing.COMMON)).read(rest)

    from trunkline.cli.invocation import Invocation

    colour.choose(options.color)
    with Invocation(options, name) as invocation:
        try:
            return command.run(invocation) or exit_codes.OK
        except NotFound as error:
            if error.answered:
                from trunkline.cli import missing

                references = [{"project": invocation.project}, *invocation.references]
                error.hint = missing.hint(invocation.console, references, error.message)
            raise


def _asks_for_help(words: Sequence[str]) -> bool:
    """Tell whether one of the options of a command asks for its help, which needs no valid command line."""
    options = words[: words.index("--")] if "--" in words else words
    return not {"-h", "--help"}.isdisjoint(options)


def _help(words: str) -> None:
    """Print the help of a verb, a noun, or of everything.

    Args:
        words: the beginning of a command, a noun, or empty.
    """
    from trunkline.cli.help import overview, pages

    if not words:
        print(overview.first_screen())
        print(pages.handbook())
    elif names := overview.beginning_with(words):
        print(overview.commands(names, f"trunkline {words} … [OPTIONS]"))
    else:
        print(overview.commands(overview.about(words), f"trunkline VERB {words} [OPTIONS]"))


def _discard_output() -> None:
    import os

    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
