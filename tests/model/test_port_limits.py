"""The limits of the port: their table, and how they are set."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from trunkline.errors import InvalidArgument
from trunkline.model.port_limits import DEFAULTS, TABLE, PortLimits, parse

ROOT = Path(__file__).resolve().parents[2]


def test_the_page_lists_every_limit_as_the_code_has_it() -> None:
    page = (ROOT / "docs/reference/limits.md").read_text().partition("## The port")[2]

    listed = [line for line in page.splitlines() if line.startswith("| `")]

    assert listed == [
        f"| `{limit.name}` | {limit.default:,} | {limit.least:,} | {limit.most:,} | {limit.unit} | {limit.bounds} |"
        for limit in TABLE.values()
    ]


def test_every_limit_is_used() -> None:
    sources = "".join(
        path.read_text() for path in (ROOT / "src").rglob("*.py") if path.name != "port_limits.py"
    )

    assert [name for name in TABLE if not re.search(rf"limits\.{name.replace('-', '_')}\b", sources)] == []


def test_what_is_set_counts_and_the_rest_has_its_default() -> None:
    texts = ["streams=5", "message=32Mi", "header-pause=2.5", "streams=6"]

    assert parse(texts) == PortLimits(streams=6, message=32 << 20, header_pause=2.5)
    assert parse([]) == DEFAULTS


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("stream=5", "streams=VALUE"),
        ("bogus=1", "idle-connection"),
        ("streams", "streams=VALUE"),
        ("streams=", "from 1 to 1,000,000"),
        ("streams=1.5", "from 1 to 1,000,000"),
        ("streams=0", "from 1 to 1,000,000"),
        ("handshake=nan", "from 0.1 to 3,600"),
        ("message=1Ki", "4,194,304"),
        ("message=much", "quantity"),
        ("stream-window=9Mi", "connection-window"),
    ],
)
def test_what_is_not_valid_is_refused_with_what_is(text: str, part: str) -> None:
    with pytest.raises(InvalidArgument, match="--limit") as refused:
        parse([text])

    assert part in refused.value.message
