"""Windows of a log, searches in it and its histogram agree with all of its lines."""

from __future__ import annotations

import random
import re
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from exchange import Exchange
from pps_world import PpsWorld, pfs

from trunkline import errors
from trunkline.model import names
from trunkline.model.events import EventFilter, EventKind, event
from trunkline.pps import logs
from trunkline.pps.queries import log_pages, log_reading
from trunkline.pps.queries.log_pages import Pattern, Place
from trunkline.pps.queries.log_reading import LogName
from trunkline.rpc.asgi.calls import Calls
from trunkline.rpc.asgi.files import FilesApplication

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trunkline.pfs.writes import WriteTransaction

BEGIN = 1_700_000_000.0
PIPELINE = names.PipelineName("default", "edges")
LOG = LogName(pipeline=PIPELINE)
TEXTS = ("error: no space", 'said "Error"\\n', "tab\there", "Größe 1", "plain", "", "abc" * 50, "[1, 2]")


class Written:
    """A pipeline's log of three workers and two datums."""

    def __init__(self, world: PpsWorld) -> None:
        self.world = world
        world.repo("images")
        number = world.pipeline("edges", pfs("images"))
        world.stop_controller()
        dice = random.Random(2)
        #: Worker, datum and message of each line.
        self.lines: list[tuple[str, str, str]] = []

        def fill(write: WriteTransaction) -> None:
            for batch in range(30):
                worker = f"w{batch % 3}"
                lines = [
                    logs.Line(f"{batch % 2:064x}", BEGIN + batch, f"{dice.choice(TEXTS)} {batch}", True)
                    for _ in range(dice.randrange(1, 9))
                ]
                logs.store(
                    write, pipeline_id=number, job_id=None, worker_id=worker, lines=lines, data=logs.pack(lines)
                )  # fmt: skip
                self.lines += ((worker, line.datum, line.message) for line in lines)

        world.versions.write(fill)

    @property
    def messages(self) -> list[str]:
        return [message for *_, message in self.lines]

    def window(self, place: Place, name: LogName = LOG) -> log_pages.Window:
        return log_pages.window(self.world.versions, name, place)

    def search(self, pattern: Pattern, name: LogName = LOG, number: int = 0) -> tuple[list[str], int]:
        groups = list(log_pages.search(self.world.versions, name, pattern, number=number))
        assert groups[-1].is_done
        return [line.line.message for group in groups for line in group.lines], groups[-1].total


@pytest.fixture
def written(world: PpsWorld) -> Written:
    return Written(world)


@pytest.mark.parametrize("world", ["sqlite", "postgres"], indirect=True)
def test_windows_by_position_and_by_number_are_parts_of_the_whole_log(written: Written) -> None:
    whole = written.window(Place(from_begin=True, after=2_000))

    assert [line.line.message for line in whole.lines] == written.messages
    for number in range(0, len(whole.lines), 7):
        around = written.window(Place(position=whole.lines[number].position, before=3, after=4))
        by_number = written.window(Place(number=number, before=3, after=4))
        assert around.lines == by_number.lines == whole.lines[max(0, number - 3) : number + 4]
        assert (around.before, around.total) == (max(0, number - 3), len(written.lines))


def test_a_window_without_a_place_has_the_last_lines(written: Written) -> None:
    last = written.window(Place(before=5))

    assert [line.line.message for line in last.lines] == written.messages[-5:]
    assert last.before == len(written.lines) - 5


def test_a_window_begins_at_a_time(written: Written) -> None:
    window = written.window(Place(since=BEGIN + 10, after=1))

    [line] = window.lines
    assert line.line.ts == BEGIN + 10


def test_the_log_of_a_worker_or_datum_has_its_lines_with_the_same_positions(written: Written) -> None:
    datum = f"{1:064x}"
    for name, place, value in (
        (LogName(pipeline=PIPELINE, worker_id="w1"), 0, "w1"),
        (LogName(pipeline=PIPELINE, datum=datum), 1, datum),
    ):
        check_part(written, name, place, value)


def check_part(written: Written, name: LogName, place: int, value: str) -> None:
    """Check the log of the lines whose field at ``place`` has a value."""
    own = written.window(Place(from_begin=True, after=2_000), name)
    by_position = {line.position: line for line in written.window(Place(from_begin=True, after=2_000)).lines}

    assert [line.line.message for line in own.lines] == [
        line[2] for line in written.lines if line[place] == value
    ]
    assert all(by_position[line.position] == line for line in own.lines)
    middle = written.window(Place(position=own.lines[5].position, after=2), name)
    assert (list(middle.lines), middle.before) == (own.lines[5:7], 5)


def test_the_text_of_a_log_has_each_line_of_it_behind_its_time(written: Written) -> None:
    datum = f"{1:064x}"
    for name, place, value in (
        (LOG, 0, None),
        (LogName(pipeline=PIPELINE, worker_id="w1"), 0, "w1"),
        (LogName(pipeline=PIPELINE, datum=datum), 1, datum),
    ):
        text = b"".join(log_reading.whole_text(written.world.versions, name)).decode()

        messages = [line[2] for line in written.lines if value in (None, line[place])]
        assert [line.partition(" ")[2] for line in text.split("\n")[:-1]] == messages
    assert text.startswith("2023-11-14T22:13:21.000000Z ")


async def test_a_whole_log_is_a_download_in_one_answer(written: Written) -> None:
    with ThreadPoolExecutor(2) as executor:
        application = FilesApplication(written.world.versions, executor, Calls({}))
        exchange = await Exchange(
            application, "/files/.log/default/edges", method="GET", base=(), http_version="1.1"
        ).ended()

    lines = exchange.body.decode().split("\n")[:-1]
    assert [line.partition(" ")[2] for line in lines] == written.messages
    assert exchange.headers[b"content-disposition"] == b"attachment; filename*=UTF-8''edges.log"
    assert exchange.headers[b"content-security-policy"] == b"sandbox; default-src 'none'"


def test_clients_read_long_batches_at_the_same_time(world: PpsWorld) -> None:
    world.repo("images")
    pipeline = world.pipeline("edges", pfs("images"))
    world.stop_controller()
    dice = random.Random(3)
    for number in range(4):
        lines = [logs.Line("", BEGIN + number, f"{number} {dice.random()}", True) for _ in range(10_000)]
        world.versions.write(
            logs.store, pipeline_id=pipeline, job_id=None, worker_id="w", lines=lines, data=logs.pack(lines)
        )

    def read(number: int) -> list[str]:
        windows = [
            log_pages.window(world.versions, LOG, Place(number=number * 10_000 + 5)) for _ in range(20)
        ]
        return [line.line.message[:2] for window in windows for line in window.lines]

    with ThreadPoolExecutor(4) as threads:
        read_by_each = list(threads.map(read, range(4)))

    assert read_by_each == [[f"{number} "] * 20 * log_pages.LINES for number in range(4)]


PATTERNS = (
    Pattern(text="error"),
    Pattern(text="Error", match_case=True),
    Pattern(text='"Error"\\'),
    Pattern(text="\t"),
    Pattern(text="größe"),
    Pattern(text="Größe", match_case=True),
    Pattern(text="0"),
    Pattern(text=", 2"),
    Pattern(text="true"),
    Pattern(text="c 1[0-9]$", is_expression=True),
    Pattern(text="^[^0-9]*1", is_expression=True),
    Pattern(text=r"\Aplain 1|zzz", is_expression=True),
    Pattern(text=r"(?-m:[0-9]$)", is_expression=True),
    Pattern(text="zzz", is_expression=True),
    Pattern(text="ERROR", is_expression=True),
)


def test_a_search_returns_exactly_the_lines_whose_message_matches(written: Written) -> None:
    answers = [written.search(pattern) for pattern in PATTERNS]

    matching = [matching_messages(written.messages, pattern) for pattern in PATTERNS]
    assert [lines for lines, _ in answers] == matching
    assert [total for _, total in answers] == [len(lines) for lines in matching]
    assert [pattern.text for pattern, lines in zip(PATTERNS, matching, strict=True) if not lines] == [
        "true",
        "zzz",
    ]


def matching_messages(messages: list[str], pattern: Pattern) -> list[str]:
    expression = re.compile(
        pattern.text if pattern.is_expression else re.escape(pattern.text),
        0 if pattern.match_case else re.IGNORECASE,
    )
    return [message for message in messages if expression.search(message)]


def test_a_search_counts_all_hits_and_returns_as_many_as_are_asked_for(written: Written) -> None:
    lines, total = written.search(Pattern(text="a"), number=3)

    expected = [message for message in written.messages if "a" in message.lower()]
    assert (lines, total) == (expected[:3], len(expected))


@pytest.mark.parametrize("width", [10, 1_000])
def test_a_histogram_counts_every_line_once(written: Written, width: int) -> None:
    histogram = log_pages.histogram(written.world.versions, LOG, None, None, width)

    assert sum(histogram.lines) == len(written.lines)
    assert (histogram.begin, histogram.end) == (BEGIN, BEGIN + 29)


def test_what_is_not_a_position_is_refused(written: Written) -> None:
    for position in ("x", "1", "1.", ".5", "1.x"):
        with pytest.raises(errors.InvalidArgument):
            written.window(Place(position=position))


def test_the_log_of_a_datum_is_found_by_the_time_that_it_ran(world: PpsWorld) -> None:
    world.repo("images")
    world.put("images", {f"/{number}": b"x" for number in range(3)})
    number = world.pipeline("edges", pfs("images"))

    def copy(seen: Mapping[str, Mapping[str, bytes]]) -> dict[str, bytes]:
        return {path: data for files in seen.values() for path, data in files.items()}

    hand = world.staffed("edges", copy)
    job = hand.work_until_ended("edges")
    datum = hand.ran[1]
    lines = [logs.Line(ran, world.clock.now(), f"of {ran}", True) for ran in hand.ran]
    old = [logs.Line(datum, 1.0, "long ago", True)]
    for some in (old, lines):
        world.versions.write(
            logs.store, pipeline_id=number, job_id=job.id, worker_id=hand.id, lines=some, data=logs.pack(some)
        )  # fmt: skip

    name = LogName(pipeline=PIPELINE, job=names.JobName(PIPELINE, job.set_id), datum=datum)
    window = log_pages.window(world.versions, name, Place(from_begin=True))

    assert [line.line.message for line in window.lines] == [f"of {datum}"]
    assert window.lines[0].line.job == job.set_id


def test_events_of_logs_are_for_watchers_that_name_the_kind() -> None:
    happened = event(
        EventKind.LOG, 1.0, "default", pipeline="edges", job="", worker="w", begin="7.0", lines=3
    )

    assert not EventFilter.parse(pipelines=["edges"]).admits(happened)
    assert EventFilter.parse(kinds=["log"], pipelines=["edges"]).admits(happened)
