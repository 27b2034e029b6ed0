"""The tables that reference pages are made from have no gaps, and pages name only what exists."""

from __future__ import annotations

import inspect
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

from docs_reference import chart, generated, markdown, protocols, tables  # noqa: E402

from trunkline.cli import parsing  # noqa: E402
from trunkline.cli.command_table import ALIASES, TABLE  # noqa: E402
from trunkline.cli.help.topics import TOPICS  # noqa: E402
from trunkline.errors import NotFound, TrunklineError  # noqa: E402
from trunkline.model import limits, port_limits, spec_help, states  # noqa: E402
from trunkline.rpc import methods  # noqa: E402
from trunkline.rpc.gen.comments import COMMENTS  # noqa: E402

PAGES = [
    path
    for path in sorted([*(ROOT / "docs").rglob("*.md"), ROOT / "README.md"])
    if "decisions" not in path.parts and "changes" not in path.name
]
COMMANDS = {name: parsing.load(name) for name in TABLE}
#: Options that stand in examples of commands.
OPTIONS = {
    name
    for arguments in (parsing.COMMON, *(command.arguments for command in COMMANDS.values()))
    for argument in arguments
    for name in argument.names
} | {"--help", "--all", "--version"}
METRICS = {name for name, *_ in tables.metric_rows()}
#: Environment variables that the code, the chart or the images name.
VARIABLES = {
    name
    for folder in ("src", "charts", "docker", "scripts", "launcher")
    for path in (ROOT / folder).rglob("*")
    if path.suffix in (".py", ".yaml", ".tpl", ".go", "") and path.is_file()
    for name in re.findall(
        r"\b(?:TRUNKLINE|PACHD?|PPS|PFS|OPENLINEAGE)_[A-Z_]+", path.read_text(errors="replace")
    )
}
#: Values of the chart.
VALUES = {path for path, *_ in chart.rows_of_chart()}
#: Fields of a spec that have fields.
OBJECTS = [field.path for field in spec_help.every_field() if field.fields and "." not in field.path]


def test_every_command_and_option_says_what_it_does():
    unsaid = [
        f"{name} {argument.names[-1]}"
        for name, command in COMMANDS.items()
        for argument in command.arguments
        if not argument.settings.get("help")
    ]

    assert unsaid == []
    assert [name for name, (_, summary) in TABLE.items() if not summary.endswith(".")] == []


def test_every_setting_has_a_meaning_and_a_default():
    for argument in COMMANDS["serve"].arguments:
        meaning, default = tables.described(argument)

        assert meaning, argument.names
        assert default, argument.names


def test_every_limit_has_a_unit_and_what_it_bounds():
    for name, limit in {**limits.TABLE, **port_limits.TABLE}.items():
        assert limit.unit, name
        assert limit.bounds, name


def test_every_error_has_a_meaning_and_what_to_do():
    for each in tables.error_classes():
        assert inspect.getdoc(each), each
        assert each.remedy != TrunklineError.remedy, each


def test_every_metric_has_a_meaning_and_a_unit_where_it_measures():
    rows = list(tables.metric_rows())

    assert len(rows) > 20
    for name, kind, _, meaning in rows:
        assert meaning.endswith("."), name
        assert kind != "histogram" or name.endswith("_seconds"), name


def test_every_state_has_a_meaning():
    for kind, meanings in states.MEANINGS.items():
        assert set(meanings) == set(kind), kind


def test_every_rpc_of_our_own_says_what_it_does():
    unsaid = [
        method.full_name
        for name, service in methods.SERVICES.items()
        if name.startswith("trunkline.")
        for method in service.methods
        if not COMMENTS.get(method.full_name)
    ]

    assert unsaid == []


def test_every_value_of_the_chart_has_a_meaning():
    assert [path for path, _, _, meaning in chart.rows_of_chart() if not meaning] == []


def test_each_class_that_answers_for_a_service_has_its_rpcs():
    for name, servicer in protocols.classes().items():
        assert any(hasattr(servicer, method.name) for method in methods.SERVICES[name].methods), name


def test_pages_have_every_generated_part_and_no_unknown_one():
    used = {part for page in PAGES for part in markdown.parts(page.read_text())}

    assert used - set(generated.PARTS) == set()
    assert set(generated.PARTS) - used == set()


def test_help_about_a_field_links_to_its_section():
    headings = set(re.findall(r"^### `(.+)`$", (ROOT / "docs/reference/spec.md").read_text(), re.M))

    assert spec_help.section("resource_limits.cpu") in headings
    assert [
        field.path for field in spec_help.every_field() if spec_help.section(field.path) not in headings
    ] == []


def test_every_topic_of_help_has_its_page():
    assert [name for name in TOPICS if not (ROOT / "docs/reference" / f"{name}.md").exists()] == []


def test_every_command_has_its_page():
    pages = {path.name for path in (ROOT / "docs/reference/cli").glob("*.md")} - {"index.md"}

    assert pages == {f"{name.replace(' ', '-')}.md" for name in TABLE}


def in_code(page: Path) -> list[str]:
    """Return the pieces of code within the lines of a page."""
    return re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", page.read_text(), flags=re.M | re.S))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_names_only_commands_options_fields_metrics_and_variables_that_exist(page: Path):
    unknown = []
    for piece in in_code(page):
        if words := re.match(r"trunkline ((?:[a-z][a-z-]*)(?: [a-z][a-z-]*)*)", piece):
            options = re.findall(r"(?<= )--[a-z][a-z-]+", piece)
            exists = is_command(words[1].split()) and OPTIONS.issuperset(options)
        elif re.fullmatch(rf"(?:{'|'.join(OBJECTS)})(?:\.[a-z0-9_]+)+", piece):
            exists = is_field(piece) or piece in VALUES
        elif re.fullmatch(r"trunkline_[a-z_]+", piece):
            exists = bool({piece, f"{piece}_total", piece.removesuffix("_count")} & METRICS)
        elif variable := re.match(
            r"(?!TRUNKLINE_TEST)(TRUNKLINE|PACHD?|PPS|PFS|OPENLINEAGE)_[A-Z_]+\b", piece
        ):
            exists = variable[0] in VARIABLES or variable[0].startswith("PACH_DATUM_")
        else:
            exists = True
        if not exists:
            unknown.append(piece)

    assert unknown == []


def is_field(path: str) -> bool:
    """Tell whether a path is that of a field of a spec."""
    try:
        spec_help.look_up(path)
    except NotFound:
        return False
    return True


def is_command(words: list[str]) -> bool:
    """Tell whether words begin a command, are one with arguments, name a noun, or ask for help."""
    nouns = {name.split()[-1] for name in TABLE}
    if words[0] == "help":
        return len(words) == 1 or words[1] in (*TOPICS, "spec", "options") or is_command(words[1:])
    if ALIASES.get(words[0], words[0]) in nouns:
        return True
    lines = (" ".join(words), " ".join(ALIASES.get(word, word) for word in words))
    return any(
        f"{line} ".startswith(f"{name} ") or f"{name} ".startswith(f"{line} ")
        for name in TABLE
        for line in lines
    )
