"""The limits, and the page that lists them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from trunkline.errors import InvalidArgument
from trunkline.model import limits, names, paths
from trunkline.model.limits import TABLE
from trunkline.model.spec_rules import load
from trunkline.model.spec_text import parse_request
from trunkline.pfs.queries import Page

ROOT = Path(__file__).resolve().parents[2]


def rows() -> list[str]:
    return [f"| `{name}` | {limit:,} | {limit.unit} | {limit.bounds} |" for name, limit in TABLE.items()]


def test_the_page_lists_every_limit_as_the_code_has_it() -> None:
    page = (ROOT / "docs/reference/limits.md").read_text().partition("## The port")[0]

    listed = [line for line in page.splitlines() if line.startswith("| `")]

    assert listed == rows()


def test_every_limit_is_used() -> None:
    sources = (
        "".join(path.read_text() for path in (ROOT / "src").rglob("*.py") if path.name != "limits.py")
        + (ROOT / "src/trunkline/model/limits.py").read_text().partition("\ndef check_text")[2]
    )

    unused = [name for name in TABLE if not re.search(rf"\b(limits\.)?{name}\b", sources)]

    assert unused == []


def spec(**changes: object) -> dict[str, object]:
    return {
        "pipeline": {"name": "p"},
        "transform": {"cmd": ["true"]},
        "input": {"pfs": {"repo": "a", "glob": "/*"}},
        **changes,
    }


def leaf(number: int) -> dict[str, object]:
    return {"pfs": {"repo": "a", "glob": "/*", "name": f"i{number}"}}


def test_a_plain_spec_is_within_every_limit() -> None:
    assert load(spec()).name == "p"


@pytest.mark.parametrize(
    "changes",
    [
        {"parallelism_spec": {"constant": limits.WORKERS + 1}},
        {"datum_tries": limits.DATUM_TRIES + 1},
        {"datum_timeout": f"{limits.TIMEOUT + 1}s"},
        {"job_timeout": "87600h1s"},
        {"description": "d" * (limits.DESCRIPTION + 1)},
        {"description": "é" * (limits.DESCRIPTION // 2 + 1)},
        {"transform": {"cmd": ["true"], "image": "i" * (limits.IMAGE_NAME + 1)}},
        {"transform": {"cmd": ["true"], "image": "a\nb"}},
        {"transform": {"cmd": ["true", "x" * (limits.ARGUMENT + 1)]}},
        {"transform": {"cmd": ["true"], "env": {"X": "y" * limits.ARGUMENT}}},
        {"transform": {"cmd": ["true"], "env": {f"v{i}": "" for i in range(limits.SPEC_MAP + 1)}}},
        {"transform": {"cmd": ["sh"], "stdin": [":"] * (limits.SPEC_LIST + 1)}},
        {"input": {"union": [leaf(i) for i in range(limits.INPUTS + 1)]}},
        {"resource_requests": {"memory": "1Ei"}},
        {"resource_requests": {"cpu": 1e18}},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_a_spec_beyond_a_limit_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(InvalidArgument):
        load(spec(**changes))


@pytest.mark.parametrize(
    "text",
    [
        '{"a":' + "[" * 100_000 + "]" * 100_000 + "}",
        '{"input":' * 20_000 + "{}" + "}" * 20_000,
        '{"input":' + '{"cross":[' * 999 + "1" + "]}" * 999 + "}",
        '{"datum_tries":' + "9" * 100_000 + "}",
        '{"datum_tries":-' + "9" * 5_000 + "}",
        '{"pipeline":{"name":"a"},"pipeline":{"name":"b"}}',
        '{"datum_timeout":NaN}',
        '{"description":"' + "d" * limits.SPEC + '"}',
        '{"a": "' + '\\"' * 400_000,
        "[]",
        "",
        "{}{}",
        "\0\0",
    ],
    ids=[
        "brackets",
        "objects",
        "inputs",
        "digits",
        "negative",
        "twice",
        "NaN",
        "long",
        "unclosed",
        "list",
        "none",
        "two",
        "NUL",
    ],
)
def test_json_that_is_no_spec_is_refused_with_one_short_line(text: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        parse_request(text)

    assert "\n" not in caught.value.message
    assert len(caught.value.message) < 400


def test_digits_and_brackets_within_a_string_are_no_numbers_and_no_levels() -> None:
    text = '{"description": "' + "[" * 300 + "9" * 300 + '\\""}'

    assert len(parse_request(text)["description"]) == 601


def test_a_path_may_be_as_deep_as_the_limit_and_no_deeper() -> None:
    paths.validate("/d" * limits.PATH_DEPTH)

    with pytest.raises(InvalidArgument, match="255 are allowed"):
        paths.canonical("d/" * limits.PATH_DEPTH + "f")


def test_metadata_counts_keys_and_values_together() -> None:
    limits.check_metadata({"k": "v" * (limits.METADATA - 1)}, "repo a")

    with pytest.raises(InvalidArgument, match="repo a"):
        limits.check_metadata(
            {"a": "v" * (limits.METADATA // 2), "b": "v" * (limits.METADATA // 2)}, "repo a"
        )


def test_a_reference_with_too_many_steps_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="steps"):
        names.split_ancestry("master" + "^1" * (limits.ANCESTRY_STEPS + 1))


@pytest.mark.parametrize("text", ["x" * 100, "é" * 50, "x" * 101, "é" * 51, "€" * 300])
def test_a_text_that_cannot_be_refused_is_cut(text: str) -> None:
    limit = limits.Limit(100, "bytes", "a small limit")

    cut = limits.cut_text(text, limit)

    assert len(cut.encode()) <= 100
    assert (cut == text) == (len(text.encode()) <= 100)


@pytest.mark.parametrize(("size", "index"), [(2**53, 2**63 - 1), (1, 2**31), (2**31 + 1, 0)])
def test_a_page_beyond_the_limit_is_refused(size: int, index: int) -> None:
    with pytest.raises(InvalidArgument):
        _ = Page(size, index).bounds
