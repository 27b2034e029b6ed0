"""How the words after a command are read."""

from __future__ import annotations

import pytest

from trunkline.cli.exit_codes import UsageError
from trunkline.cli.option_reader import OptionReader
from trunkline.cli.parsing import argument, natural

ARGUMENTS = (
    argument("file", metavar="FILE"),
    argument("old", nargs="?"),
    argument("-n", "--number", type=natural, default=0),
    argument("--rate", type=float),
    argument("-o", "--output", choices=("table", "json")),
    argument("-i", "--input", dest="inputs", action="append", default=[]),
    argument("-q", "--quiet", action="store_true"),
    argument("-v", "--verbose", action="store_true"),
)
UNCHANGED = {
    "file": "a", "old": None, "number": 0, "rate": None, "output": None, "inputs": [],
    "quiet": False, "verbose": False,
}  # fmt: skip


@pytest.mark.parametrize(
    ("line", "values"),
    [
        ("a", {}),
        ("a b", {"old": "b"}),
        ("a -q b", {"old": "b", "quiet": True}),
        ("a -qv", {"quiet": True, "verbose": True}),
        ("-qn5 a", {"quiet": True, "number": 5}),
        ("--number 5 a", {"number": 5}),
        ("--number=5 a", {"number": 5}),
        ("-n=5 a", {"number": 5}),
        ("a -ojson", {"output": "json"}),
        ("a --rate -1.5", {"rate": -1.5}),
        ("a -i x --input=y=z", {"inputs": ["x", "y=z"]}),
        ("a -i -", {"inputs": ["-"]}),
        ("a --input=", {"inputs": [""]}),
        ("-q -- a -v", {"quiet": True, "old": "-v"}),
    ],
)
def test_a_line_gives_values(line, values):
    assert vars(OptionReader("diff file", ARGUMENTS).read(line.split())) == UNCHANGED | values


def test_a_value_with_a_space_may_begin_like_an_option():
    options = OptionReader("diff file", ARGUMENTS).read(["a", "-i", "-x and more"])

    assert options.inputs == ["-x and more"]


@pytest.mark.parametrize(
    ("words", "files", "name"),
    [
        (["a"], None, "a"),
        (["x", "a"], ["x"], "a"),
        (["x", "y", "a"], ["x", "y"], "a"),
        (["x", "y"], ["x"], "y"),
    ],
)
def test_arguments_get_words_from_the_left_and_leave_enough_for_the_others(words, files, name):
    optional = () if files is None else (argument("files", nargs="+"),)

    options = OptionReader("x", (*optional, argument("name"))).read(words)

    assert (getattr(options, "files", None), options.name) == (files, name)


def test_words_that_are_left_go_to_the_option_that_takes_several_if_it_was_used():
    arguments = (argument("target"), argument("-f", dest="sources", action="several", default=[]))

    assert OptionReader("put file", arguments).read(["t", "-f", "a", "b", "c"]).sources == ["a", "b", "c"]
    assert OptionReader("put file", arguments).read(["-f", "a", "t"]).sources == ["a"]
    with pytest.raises(UsageError):
        OptionReader("put file", arguments).read(["t", "b"])


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("", "FILE"), ("a b c", "c"), ("a --nope", "--nope"), ("a -x", "-x"), ("a -qx", "-x"), ("a -q-", "-q-"),
        ("a -n", "-n"), ("a -n -q", "-n"), ("a -n --", "-n"), ("a -n five", "five"), ("a -n -5", "-5"),
        ("a --rate fast", "fast"), ("a -o xml", "table, json"), ("a --quiet=yes", "--quiet"),
        ("a --numb 5", "--number"),
    ],
)  # fmt: skip
def test_a_line_that_is_not_valid_names_the_word_and_the_help(line, named):
    with pytest.raises(UsageError) as refusal:
        OptionReader("diff file", ARGUMENTS).read(line.split())

    assert named in refusal.value.message
    assert refusal.value.message.endswith('; see "trunkline diff file --help"')


def test_all_that_is_missing_is_named():
    arguments = (argument("name"), argument("-f", "--file", required=True, metavar="FILE"))

    with pytest.raises(UsageError, match="create secret needs NAME and --file FILE"):
        OptionReader("create secret", arguments).read([])
