"""Log lines by time, page by page, against a sorted list of all of them."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pps_world import PpsWorld, pfs

from trunkline.model import logql
from trunkline.pps import logs
from trunkline.pps.logs import Span, microseconds
from trunkline.pps.queries import log_search
from trunkline.pps.queries.log_search import Neighbours, Page, Position, Search, Source

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trunkline.pfs.writes import WriteTransaction

#: Seconds since the epoch at which the lines begin.
BEGIN = 1_790_000_000.0
SOURCE = Source(search=Search())


class Filled:
    """A store with lines of two pipelines; several workers send them late and at the same times."""

    def __init__(self, world: PpsWorld) -> None:
        self.world = world
        world.repo("images")
        numbers = [world.pipeline(name, pfs("images")) for name in ("edges", "montage")]
        world.stop_controller()
        dice = random.Random(1)
        expected: list[tuple[int, int, int, int, str]] = []

        def fill(write: WriteTransaction) -> None:
            for batch in range(40):
                pipeline = dice.randrange(2)
                sent = BEGIN + batch * 60.0
                # In whole seconds, so that many lines have one time.
                times = sorted(sent - dice.choice((0, 0, 1, 2, 60, 600)) for _ in range(dice.randrange(1, 6)))
                lines = [
                    logs.Line(f"{batch % 3:064x}", ts, f"line {batch}.{place}", bool(place % 2))
                    for place, ts in enumerate(times)
                ]
                logs.store(
                    write,
                    pipeline_id=numbers[pipeline], job_id=None, worker_id=f"w{batch % 4}", lines=lines,
                    data=logs.pack(lines),
                )  # fmt: skip
                expected.extend(
                    (microseconds(line.ts), pipeline, batch, place, line.message)
                    for place, line in enumerate(lines)
                )

        world.versions.write(fill)
        expected.sort()
        self.messages = [message for *_, message in expected]
        self.times = [at for at, *_ in expected]

    def read(self, page: Page, source: Source = SOURCE) -> tuple[list[str], Neighbours]:
        neighbours = Neighbours()
        groups = log_search.page(self.world.versions, source, page, neighbours)
        return [entry.line.message for group in groups for entry in group], neighbours

    def forward(self, position: Position, limit: int) -> tuple[list[str], Neighbours]:
        return self.read(Page(span=Span(start=position.at), skip=position.skip, limit=limit))

    def backward(self, position: Position | None, limit: int) -> tuple[list[str], Neighbours]:
        stop, skip = (position.at, position.skip) if position else (None, 0)
        return self.read(Page(span=Span(stop=stop, backward=True), skip=skip, limit=limit))


@pytest.fixture(scope="module")
def filled() -> Iterator[Filled]:
    world = PpsWorld()
    yield Filled(world)
    world.close()


def test_lines_of_all_workers_and_pipelines_come_by_time_in_both_directions(filled: Filled) -> None:
    forward, _ = filled.forward(Position(0), 0)
    backward, _ = filled.backward(None, 0)

    assert forward == filled.messages
    assert backward == filled.messages[::-1]


@pytest.mark.parametrize("limit", [4, 25])
def test_following_the_hints_gives_each_line_once(filled: Filled, limit: int) -> None:
    newer: list[str] = []
    older: list[str] = []

    lines, neighbours = filled.forward(Position(0), limit)
    while lines:
        newer += lines
        assert neighbours.newer is not None
        lines, neighbours = filled.forward(neighbours.newer, limit)
    lines, neighbours = filled.backward(None, limit)
    while lines:
        older += lines
        lines, neighbours = filled.backward(neighbours.older, limit)

    assert newer == filled.messages
    assert older == filled.messages[::-1]


@settings(max_examples=4, deadline=None)
@given(st.integers(1, 7), st.integers(1, 20))
def test_a_hint_the_other_way_leads_to_the_lines_next_to_the_page(
    filled: Filled, limit: int, pages: int
) -> None:
    position = Position(0)
    before: list[str] = []
    for _ in range(pages):
        lines, neighbours = filled.forward(position, limit)
        assert neighbours.newer is not None
        position, older = neighbours.newer, neighbours.older
        before += lines

    previous, around = filled.backward(older, limit) if older is not None else ([], Neighbours())
    again = filled.forward(around.newer, limit)[0] if around.newer is not None else lines

    assert previous == before[: len(before) - len(lines)][::-1][:limit]
    assert again == lines


@settings(max_examples=4, deadline=None)
@given(st.data())
def test_a_time_range_holds_exactly_its_lines(filled: Filled, data: st.DataObject) -> None:
    moments = st.sampled_from(sorted(set(filled.times)))
    start, stop = sorted((data.draw(moments), data.draw(moments)))
    expected = [
        message for at, message in zip(filled.times, filled.messages, strict=True) if start <= at < stop
    ]

    forward, _ = filled.read(Page(span=Span(start=start, stop=stop)))
    backward, _ = filled.read(Page(span=Span(start=start, stop=stop, backward=True)))

    assert forward == expected
    assert backward == expected[::-1]


def test_a_search_keeps_lines_by_datum_container_level_and_expression(filled: Filled) -> None:
    def search_messages(**search: object) -> list[str]:
        return filled.read(Page(), Source(search=Search(**search)))[0]  # type: ignore[arg-type]

    of_datum = search_messages(datum=f"{1:064x}")
    by_user = search_messages(user_only=True)
    matching = search_messages(tests=(logql.line_filter(r"^line 1\d\.0$", negated=False),))
    by_query = search_messages(
        logql=logql.parse('{pipelineName="edges",pod="w1",container="storage"} != "3"')
    )
    errors = search_messages(level=log_search.ERROR)

    assert of_datum == [line for line in filled.messages if int(line[5:].split(".")[0]) % 3 == 1]
    assert by_user == [line for line in filled.messages if int(line.split(".")[1]) % 2]
    assert sorted(matching) == [f"line 1{digit}.0" for digit in range(10)]
    assert by_query
    assert all(int(line[5:].split(".")[0]) % 4 == 1 and "3" not in line for line in by_query)
    assert errors == []


def test_a_short_page_of_a_long_log_reads_little_of_it(world: PpsWorld) -> None:
    world.repo("images")
    number = world.pipeline("edges", pfs("images"))
    world.stop_controller()

    def fill(write: WriteTransaction) -> None:
        for batch in range(3000):
            line = logs.Line("", BEGIN + batch * 60.0, f"line {batch}", user=True)
            logs.store(
                write, pipeline_id=number, job_id=None, worker_id="w", lines=[line], data=logs.pack([line])
            )

    world.versions.write(fill)
    opened: list[str] = []

    def note(line: logs.Line) -> bool:
        opened.append(line.message)
        return True

    span = Span(start=microseconds(BEGIN + 1500 * 60.0))

    lines = logs.in_order(world.versions, logs.Query(pipeline_id=number), span, note)

    assert [next(lines).message for _ in range(3)] == ["line 1500", "line 1501", "line 1502"]
    assert len(opened) == 3


@pytest.mark.parametrize(
    ("message", "level"),
    [
        ("plain", log_search.INFO),
        ('{"severity": "ERROR"}', log_search.ERROR),
        ('{"level": "debug", "message": 1}', log_search.DEBUG),
        ('{"level": 5}', log_search.INFO),
        ("{" + '"a":{' * 5000, log_search.INFO),
    ],
)
def test_the_level_of_a_line_is_what_its_json_says(message: str, level: int) -> None:
    assert log_search.level_of(message) == level
