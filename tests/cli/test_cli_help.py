"""Help: examples, topics, fields of specs, and links to the handbook."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from trunkline.cli import exit_codes
from trunkline.cli.command_table import TABLE
from trunkline.cli.help.pages import topic
from trunkline.cli.help.topics import EXIT_CODES, TOPICS
from trunkline.cli.option_reader import OptionReader
from trunkline.cli.parsing import COMMON, load, split
from trunkline.model import spec_help

CLI = Path(exit_codes.__file__).parent


@pytest.mark.parametrize("name", [name for name in TABLE if name != "completion"])
def test_every_command_has_examples_that_parse(name):
    command = load(name)

    assert command.examples
    for line, meaning in command.examples:
        words = shlex.split(line)
        begin = words.index("trunkline") + 1
        assert split(words[begin:])[0] == name
        OptionReader(name, (*command.arguments, *COMMON)).read(split(words[begin:])[1])
        assert meaning
        assert not meaning.endswith(".")


@pytest.mark.parametrize("name", [*TOPICS, "options", "spec"])
def test_a_topic_fits_80_columns(run, name):
    outcome = run("help", name)

    assert (outcome.code, outcome.err) == (0, "")
    assert [line for line in outcome.out.splitlines() if len(line) > 80] == []


def test_every_field_of_a_spec_has_help_that_fits_80_columns():
    for field in spec_help.every_field():
        page = topic([f"spec.{field.path}"]) or ""

        assert field.path in page
        *lines, link = page.splitlines()
        assert [line for line in lines if len(line) > 80] == []
        assert link.startswith("Handbook: ")


def test_help_for_a_field_that_does_not_exist_names_those_that_do(run):
    outcome = run("help", "spec.input.pfs.globb")

    assert (outcome.code, outcome.out) == (3, "")
    assert 'did you mean "glob"?' in outcome.err


def test_the_exit_codes_of_the_topic_are_the_real_ones():
    codes = {value for name, value in vars(exit_codes).items() if name.isupper() and isinstance(value, int)}

    assert {code for code, _ in EXIT_CODES} == codes


def test_the_topic_of_the_environment_has_every_variable_that_a_command_reads():
    pattern = re.compile(
        r"environ(?:\.get\(|\[)\"([A-Z_]+)\"|\"((?:TRUNKLINE|PACHD?|OTEL|OPENLINEAGE)_[A-Z_]+)\""
    )
    read = {
        name
        for path in CLI.rglob("*.py")
        if path.name != "topics.py"
        for pair in pattern.findall(path.read_text())
        for name in pair
        if name
    }
    described = {
        name
        for section in TOPICS["environment"].sections
        for names, _ in section.rows
        for name in names.split(", ")
    }

    assert read - described == set()


def test_help_ends_with_the_page_in_the_handbook_of_the_server_in_use(run, server):
    assert run("list", "job", "--help").out.splitlines()[-1] == (
        f"Handbook: http://{server.address}/docs/reference/cli/list-job/"
    )
    assert run().out.splitlines()[-1] == f"Handbook: http://{server.address}/docs/"


def test_help_does_not_need_a_valid_configuration(run, monkeypatch, home):
    monkeypatch.delenv("TRUNKLINE_ADDRESS")
    folder = home / ".config" / "trunkline"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{")

    outcome = run("list", "job", "--help")

    assert outcome.code == 0
    assert outcome.out.splitlines()[-1] == "Handbook: http://localhost:30650/docs/reference/cli/list-job/"
