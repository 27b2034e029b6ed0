"""What commands take, and which command a command line means.

The leading words select the command from ``command_table``; ``option_reader`` reads the rest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from trunkline.cli import colour
from trunkline.cli.command_table import ALIASES, TABLE
from trunkline.cli.exit_codes import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from trunkline.cli.invocation import Invocation

#: Options with a value that every command has; they may also precede the command's words.
WITH_VALUE = ("--address", "--context", "--project", "--ca", "--color")
_FLAGS = ("-q", "--quiet", "-v", "--verbose")
#: Least similarity (0 to 1, as difflib counts it) of a word that is suggested: "lst" and "list" have 0.86,
#: "find" and "finish", which do different things, 0.6.
SIMILAR = 0.65


class Argument(NamedTuple):
    """An option or a positional argument."""

    #: Of an option: how it is written, such as ``-f`` and ``--file``. Of a positional argument: one name.
    names: tuple[str, ...]
    #: Those of ``argument``.
    settings: dict[str, Any]

    @property
    def is_positional(self) -> bool:
        """Whether it has a place instead of a name."""
        return not self.names[0].startswith("-")

    @property
    def has_value(self) -> bool:
        """Whether a value follows its name, or stands in its place."""
        return self.settings.get("action") != "store_true"

    @property
    def is_required(self) -> bool:
        """Whether a command line without it is not valid."""
        if self.is_positional:
            return self.settings.get("nargs") != "?"
        return bool(self.settings.get("required"))

    @property
    def attribute(self) -> str:
        """The attribute of the options that holds its value."""
        name = next((name for name in self.names if name.startswith("--")), self.names[0])
        return str(self.settings.get("dest") or name.lstrip("-").replace("-", "_"))

    @property
    def default(self) -> Any:
        """The value without the argument."""
        return self.settings.get("default", None if self.has_value else False)

    @property
    def placeholder(self) -> str:
        """What stands for its value; empty when it takes none."""
        if not self.has_value:
            return ""
        choices = "|".join(map(str, self.settings.get("choices", ())))
        return str(self.settings.get("metavar") or choices or self.attribute.upper())

    @property
    def written_form(self) -> str:
        """How it is written, by the last of its names."""
        return self.placeholder if self.is_positional else f"{self.names[-1]} {self.placeholder}".rstrip()


def argument(*names: str, **settings: Any) -> Argument:
    """Describe an option or a positional argument.

    Args:
        names: of an option all, each with its dashes; of a positional argument one.
        settings: ``help`` and ``metavar`` describe it and its value. ``default`` is the value without it, ``dest`` the
            attribute that holds the value. ``required`` options must be there. ``type`` makes the value of a text,
            or raises ``UsageError``; ``choices`` are the values that it can have. ``action``: ``store_true`` for a
            flag, ``append`` for a list of the values of several uses, ``several`` for one that also takes words that
            nothing else takes, because a shell makes several of ``*.csv``. ``nargs`` of a positional argument: ``?``
            for none or one word, ``+`` for a list of one or more.
    """
    return Argument(names, settings)


class Command(NamedTuple):
    """The function and the arguments of a command."""

    #: Runs the command; returns the exit code, None meaning 0.
    run: Callable[[Invocation], int | None]
    arguments: Sequence[Argument] = ()
    #: Command lines to copy, each with what it does; the most usual first. They run in a test.
    examples: Sequence[tuple[str, str]] = ()


def output_format(text: str) -> str:
    """Read the name of an output format."""
    if text in FORMATS:
        return text
    if text.startswith(("jsonpath", "go-template")):
        raise UsageError(f"there is no {text.partition('=')[0]}; use --jq, such as --jq .repo.name")
    raise UsageError(f'"{text}" is not a format; choose one of {", ".join(FORMATS)}')


FORMATS = ("table", "wide", "csv", "json", "yaml", "jsonl", "name")
#: Options of commands that print objects.
SHOWING = (
    argument(
        "-o",
        "--output",
        type=output_format,
        metavar="FORMAT",
        help="table (the default), wide, csv, json, yaml, jsonl or name; json and yaml print one document after the"
        " other",
    ),
    argument("--columns", metavar="NAME,…", help="columns of table, wide and csv, in this order"),
    argument("--jq", metavar="EXPRESSION", help="print what jq makes of each JSON document"),
    argument("--raw", action="store_true", help="the same as -o json"),
    argument("--full-timestamps", action="store_true", help="print times in full instead of ages"),
)


#: Options of commands that change something and say what.
CHANGING = (
    argument("-o", "--output", choices=("json",), help="print what was changed as JSON on standard output"),
)


def limit_option(what: str) -> Argument:
    """Return the ``-n`` option of a list; ``what`` ends its help."""
    return argument("-n", "--number", type=natural, default=0, help=f"at most that many {what}")


def natural(text: str) -> int:
    """Read a whole number of 0 or more."""
    if not text.isdigit():
        raise UsageError(f'"{text}" is not a number of 0 or more')
    return int(text)


def _history(text: str) -> int:
    """Read ``all``, ``none`` or a whole number."""
    counts = {"none": 0, "all": -1, "-1": -1}
    return counts[text] if text in counts else natural(text)


def history_option(what: str) -> Argument:
    """Return the ``--history`` option of a list; ``what`` are older versions or what belongs to them."""
    return argument("--history", type=_history, default=0, metavar="N|all|none", help=f"also {what}")


TIMEOUT = argument(
    "--timeout",
    metavar="DURATION",
    help="give up after this time, such as 90s or 5m (default: wait without limit)",
)


#: Options of every command. Those of ``WITH_VALUE`` and ``_FLAGS`` may also precede the command's words.
COMMON = (
    argument(
        "--address", metavar="HOST:PORT", help="the server; grpcs://HOST:PORT for TLS, unix:PATH for a socket"
    ),
    argument("--ca", metavar="FILE", help="certificate of the CA that signed the server's ($PACH_CA_CERTS)"),
    argument("--context", metavar="NAME", help="the context that names server and project"),
    argument("--project", metavar="NAME", help="project of names that do not state one (default)"),
    argument(
        "--color",
        choices=colour.CHOICES,
        default="auto",
        help="colours in output: auto (on terminals), always or never",
    ),
    argument("-q", "--quiet", action="store_true", help="print no notes and no progress"),
    argument(
        "-v",
        "--verbose",
        action="store_true",
        help="print the server and each call to it, with its time, on standard error",
    ),
)


WATCH = argument("-w", "--watch", action="store_true", help="go on with what changes, until Ctrl-C")


def split(words: Sequence[str]) -> tuple[str, list[str]]:
    """Return the command's name and the words of its options.

    The name is empty or incomplete when the words end before a command is complete.

    Raises:
        UsageError: the command does not exist.
    """
    leading, words = _leading_options(list(words))
    if words[:1] == ["help"]:  # "help list repo" is "list repo --help"
        words = [*words[1:], "--help"]
    if nouns := _bare_noun(words):
        return nouns, leading
    name = ""
    for position, word in enumerate(words):
        if word in ("-h", "--help"):
            break
        longer = f"{name} {word}".strip()
        if not begins_a_command(longer):  # "nodes" begins commands itself; after "list" it is a plural
            longer = f"{name} {ALIASES.get(word, word)}".strip()
        if not begins_a_command(longer):
            if name in TABLE:
                return name, leading + words[position:]
            whole = longer if name else " ".join(words[position : position + 2])
            raise _unknown(name, word, whole, " ".join([*name.split(), *words[position:]]))
        name = longer
    else:
        return name, leading
    return name, [*leading, "--help"]


def _bare_noun(words: Sequence[str]) -> str:
    """Return the noun that a command line consists of, as ``trunkline repo``; empty when it is something else."""
    rest = [word for word in words if word not in ("-h", "--help")]
    if len(rest) != 1 or begins_a_command(rest[0]):
        return ""
    noun = ALIASES.get(rest[0], rest[0])
    is_noun = not begins_a_command(noun) and any(name.endswith(f" {noun}") for name in TABLE)
    return noun if is_noun else ""


def _leading_options(words: list[str]) -> tuple[list[str], list[str]]:
    at = 0
    while at < len(words) and words[at].startswith("-") and words[at] not in ("-h", "--help", "--version"):
        if words[at] in WITH_VALUE:
            at += 2
        elif words[at] in _FLAGS or words[at].startswith(tuple(f"{option}=" for option in WITH_VALUE)):
            at += 1
        else:
            raise UsageError(
                f'unknown option "{words[at]}" before the command; options of a command follow it,'
                ' see "trunkline COMMAND --help"'
            )
    if words[at : at + 1] == ["--version"]:
        return words[:at], ["version"]
    return words[:at], words[at:]


def begins_a_command(name: str) -> bool:
    """Tell whether words are a command or the beginning of one."""
    return name in TABLE or any(command.startswith(f"{name} ") for command in TABLE)


def _unknown(name: str, word: str, whole: str, line: str) -> UsageError:
    """Return the error for an unknown command, with a suggestion.

    Args:
        name: the words that begin a command.
        word: the first word that does not.
        whole: the words of the presumed command.
        line: all words.
    """
    import difflib  # 5 ms, only after a mistake

    from trunkline.cli.help import pachctl_verbs

    if advice := pachctl_verbs.advice(line):
        command, sentence = advice
        return UsageError(f'"{command}" is a command of pachctl; {sentence}')
    commands = [command for command in TABLE if command.startswith(f"{name} ")] if name else list(TABLE)
    nexts = sorted({command[len(name) :].split()[0] for command in commands})
    # Word by word: in "edit pipeline" the common "pipeline" would make every "… pipeline" look similar.
    near = difflib.get_close_matches(word, nexts, 1, SIMILAR)
    meant = ""
    if near:
        rest = whole.removeprefix(name).split()[1:]
        meant = " ".join([*name.split(), near[0], *(ALIASES.get(noun, noun) for noun in rest)])
        meant = meant if meant in TABLE else f"{name} {near[0]}".strip()
    elif " ".join(reversed(whole.split())) in TABLE:
        meant = " ".join(reversed(whole.split()))
    if meant:
        return UsageError(f'unknown command "trunkline {whole}"; did you mean "trunkline {meant}"?')
    if name:
        return UsageError(f'unknown resource "{word}" for "{name}"; expected one of: {", ".join(nexts)}')
    return UsageError(f'unknown command "trunkline {word}"; see "trunkline --help"')


def load(name: str) -> Command:
    """Import and return the command called ``name``."""
    from importlib import import_module

    command: Command = import_module(f"trunkline.cli.commands.{TABLE[name][0]}").COMMANDS[name]
    return command
