"""Reads the words after a command: its options and its arguments.

argparse does the same, but takes 5 ms of a command that takes 30: to import it, and to prepare it for every option of
the command. The rules for words are argparse's: ``--name value``, ``--name=value``, ``-n value``, ``-nvalue``, ``-qv``;
after ``--`` no word is an option; a value does not look like an option, unless it is a negative number or has a space.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NoReturn

from trunkline.cli.exit_codes import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trunkline.cli.parsing import Argument

#: What the text of a number has to be.
_NUMBERS = {int: "a whole number", float: "a number"}


class OptionReader:
    """Reads the words of one command line.

    Args:
        command: name of the command, such as ``put file``.
        arguments: the options and positional arguments that it takes.
    """

    def __init__(self, command: str, arguments: Sequence[Argument]) -> None:
        self._command = command
        self._arguments = arguments
        self._options = {name: each for each in arguments if not each.is_positional for name in each.names}
        self._positional = [each for each in arguments if each.is_positional]
        self._values = {each.attribute: each.default for each in arguments}
        self._missing = {each.attribute: each for each in arguments if each.is_required}
        #: Words that are neither options nor their values.
        self._plain: list[str] = []
        #: Words that look like options that the command does not have.
        self._unknown: list[str] = []

    def read(self, words: Sequence[str]) -> SimpleNamespace:
        """Return the value of each option and argument as an attribute.

        Raises:
            UsageError: a word is not valid, or one is missing.
        """
        waiting = list(words)
        while waiting:
            word = waiting.pop(0)
            if word == "--":
                self._plain += waiting
                break
            if self._is_option(word):
                self._read_option(word, waiting)
            else:
                self._plain.append(word)
        if self._unknown and (translated := self._translated(words)) != list(words):
            return OptionReader(self._command, self._arguments).read(translated)
        self._place()
        if self._missing:
            missing = " and ".join(each.written_form for each in self._missing.values())
            self._fail(f"{self._command} needs {missing}")
        self._take_the_rest()
        return SimpleNamespace(**self._values)

    def _translated(self, words: Sequence[str]) -> list[str]:
        """Return a command line that may have been written for pachctl as one of Trunkline.

        Raises:
            UsageError: an option of pachctl is refused.
        """
        from trunkline.cli.help import pachctl_options

        if refusal := pachctl_options.refusal(self._command, self._unknown):
            raise UsageError(refusal)
        return pachctl_options.translated(self._command, words)

    def _is_option(self, word: str) -> bool:
        if not word.startswith("-") or word == "-":
            return False
        return word in self._options or not (" " in word or word[1:].replace(".", "", 1).isdigit())

    def _read_option(self, word: str, waiting: list[str]) -> None:
        """Read an option and its value.

        Args:
            word: the option, perhaps with its value or with other flags.
            waiting: the words after it, from which the value is taken.
        """
        name, separator, value = word.partition("=")
        if name not in self._options and not word.startswith("--"):
            name, value = word[:2], word[2:]
            separator = value
        option = self._options.get(name)
        if option is None or (not option.has_value and value.startswith("-")):
            self._unknown.append(word)
        elif option.has_value:
            if not separator:
                if not waiting or waiting[0] == "--" or self._is_option(waiting[0]):
                    self._fail(f"{name} needs a value")
                value = waiting.pop(0)
            self._set(option, self._converted(option, name, value))
        else:
            if separator and (word.startswith("--") or separator == "="):
                self._fail(f"{name} takes no value")
            self._set(option, True)
            if separator:
                waiting.insert(0, f"-{value}")

    def _set(self, argument: Argument, value: Any) -> None:
        self._missing.pop(argument.attribute, None)
        if argument.settings.get("action") in ("append", "several"):
            value = [*(self._values[argument.attribute] or ()), value]
        self._values[argument.attribute] = value

    def _converted(self, argument: Argument, name: str, text: str) -> Any:
        """Return the value that a text means.

        Args:
            argument: an option or a positional argument.
            name: of it, as the user knows it.
            text: of the command line.
        """
        kind = argument.settings.get("type", str)
        try:
            value = kind(text)
        except UsageError as error:
            self._fail(f"{name}: {error.message}")
        except ValueError:
            self._fail(f'{name}: "{text}" is not {_NUMBERS[kind]}')
        choices = argument.settings.get("choices", (value,))
        if value not in choices:
            self._fail(f'{name}: "{text}" is not one of {", ".join(choices)}')
        return value

    def _place(self) -> None:
        """Give the positional arguments their words, from the left."""
        needed = sum(each.is_required for each in self._positional)
        for each in self._positional:
            needed -= each.is_required
            is_list = each.settings.get("nargs") == "+"
            room = max(len(self._plain) - needed, int(each.is_required))
            words = self._plain[: room if is_list else min(room, 1)]
            del self._plain[: len(words)]
            values = [self._converted(each, each.written_form, word) for word in words]
            if values:
                self._set(each, values if is_list else values[0])

    def _take_the_rest(self) -> None:
        """Give the plain words that are left to the option that takes several, if it was used."""
        several = [each for each in self._options.values() if each.settings.get("action") == "several"]
        if not self._unknown and several and self._values[several[0].attribute]:
            for word in self._plain:
                self._set(several[0], word)
        elif extra := self._unknown + self._plain:
            self._fail(f"unrecognized arguments: {' '.join(extra)}{self._hint(extra)}")

    def _hint(self, extra: Sequence[str]) -> str:
        """Say what was probably meant by words that the command does not take."""
        import difflib

        if extra[0].startswith("--"):
            options = [name for name in self._options if name.startswith("--")]
            near = difflib.get_close_matches(extra[0].partition("=")[0], options, 1)
            return f'; did you mean "{near[0]}"?' if near else ""
        repeated = [each.names[0] for each in self._options.values() if each.default == []]
        if repeated and not extra[0].startswith("-"):
            return f"; repeat {repeated[0]} before each value, as in {repeated[0]} A {repeated[0]} B"
        return ""

    def _fail(self, message: str) -> NoReturn:
        raise UsageError(f'{message}; see "trunkline {self._command} --help"')
