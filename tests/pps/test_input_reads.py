"""The input files of an assignment: whole, in order, and looked up together."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
from pps_world import pfs
from sql_costs import recording

from trunkline.errors import InvalidArgument
from trunkline.pps.workers import input_reads

if TYPE_CHECKING:
    from pps_world import PpsWorld

    from trunkline.pps.workers.assignments import Assignment

#: More than are read together, of so many bytes that their chunks are in a pack of the object store.
SMALL = 300
SMALL_BYTES = 400
#: More files than come with an assignment.
MANY = input_reads.SENT_FILES + 16


def assignment_of(world: PpsWorld, files: dict[str, bytes]) -> Assignment:
    """Return the assignment of a datum whose item is a whole repo."""
    world.repo("images")
    world.put("images", files)
    world.pipeline("edges", pfs("images", "/"))
    (hand,) = world.hands("edges", 1, lambda _seen: {})
    claimed = world.until(hand.take, "work")
    return world.assignments.held_by(hand.id, claimed.claim.id)


def small_files() -> dict[str, bytes]:
    generator = random.Random(7)
    return {f"/small/{number:03d}": generator.randbytes(SMALL_BYTES) for number in range(SMALL)}


def test_files_of_all_sizes_arrive_whole_and_in_order(world: PpsWorld) -> None:
    large = random.Random(8).randbytes(9 << 20)
    files = {"/empty": b"", "/large": large, **small_files(), "/small/zero": b"", "/z": b"z"}
    assignment = assignment_of(world, files)

    pieces = list(input_reads.pieces(world.versions, assignment, [0], None))

    contents: dict[str, bytes] = {}
    for piece in pieces:
        contents[piece.path] = contents.get(piece.path, b"") + piece.data
    assert contents == files
    assert list(contents) == sorted(files)
    assert sum(piece.path == "/large" for piece in pieces) > 1
    ends = [piece.path for piece in pieces if piece.last]
    assert ends == sorted(files)
    following = zip(pieces, [*pieces[1:], None], strict=True)
    assert all(after is None or after.path != piece.path for piece, after in following if piece.last)


def test_chunks_of_small_files_are_looked_up_together(
    world: PpsWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    assignment = assignment_of(world, small_files())
    world.stop_controller()

    with recording(world.versions.db, monkeypatch) as recorder:
        pieces = list(input_reads.pieces(world.versions, assignment, [0], None))

    world.start_controller()
    assert len(pieces) == SMALL
    assert len(recorder.transactions) < SMALL / 10


@pytest.mark.parametrize(
    "files",
    [
        {"/a": b"a", "/b": b"b", "/c": bytes(input_reads.SENT_BYTES)},
        {f"/{number:03d}": b"x" for number in range(MANY)},
        {"/a": b"a", "/c": b"c", **{f"/b/{number:03d}": b"" for number in range(MANY)}},
    ],
    ids=["large", "many", "many in a folder"],
)
def test_small_files_of_the_first_items_come_with_the_assignment(
    world: PpsWorld, files: dict[str, bytes]
) -> None:
    world.repo("images")
    world.put("images", files)
    world.pipeline("edges", pfs("images", "/*"), datum_set_spec={"number": MANY})
    [hand] = world.hands("edges", 1, lambda _seen: {})
    claimed = world.until(hand.take, "work")
    assignment = world.assignments.held_by(hand.id, claimed.claim.id)

    sent = input_reads.sent_files(world.versions, assignment)

    expected: list[int] = []
    size = number = 0
    for position, item in enumerate(assignment.items):
        of_item = [data for path, data in files.items() if path.startswith(item.path)]
        size, number = size + sum(map(len, of_item)), number + len(of_item)
        if size > input_reads.SENT_BYTES or number > input_reads.SENT_FILES:
            break
        expected.append(position)
    assert list(sent.items) == expected
    assert len(expected) < len(assignment.items)
    assert all(piece.last and piece.data == files[piece.path] for piece in sent.pieces)


def test_an_item_that_the_assignment_has_not_is_refused(world: PpsWorld) -> None:
    assignment = assignment_of(world, {"/a": b"a"})

    with pytest.raises(InvalidArgument):
        list(input_reads.pieces(world.versions, assignment, [1], None))
