"""What a job runs: its early part, at the positions from 0 on, then its todo (docs/design/jobs.md)."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

from trunkline.pps.datum_rows import HASH
from trunkline.storage.sums import TreeId

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from trunkline.meta.jobs import JobRow
    from trunkline.storage.trees import Trees


def rows(trees: Trees, job: JobRow, start: int, stop: int) -> list[tuple[bytes, bytes]]:
    """Return the rows at positions ``[start, stop)`` of what a job runs: first its early part, then its todo.

    Args:
        trees: reads datum trees.
        job: the job.
        start: the first position.
        stop: the position after the last.
    """
    result: list[tuple[bytes, bytes]] = []
    first = job.early_count
    if job.early is not None and start < first:
        result += trees.rows(TreeId(job.early), start, min(stop, first))
    if job.todo is not None and stop > first:
        result += trees.rows(TreeId(job.todo), max(start, first) - first, stop - first)
    return result


def get(trees: Trees, job: JobRow, key: bytes) -> bytes | None:
    """Return the row of a datum of what a job runs; None when it is skipped, or not one of the job.

    Args:
        trees: reads datum trees.
        job: the job.
        key: id of the datum.
    """
    values = (trees.get(TreeId(tree), key) for tree in (job.early, job.todo) if tree is not None)
    return next((value for value in values if value is not None), None)


def scan(trees: Trees, job: JobRow, low: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
    """Yield the rows of what a job runs, by id.

    Args:
        trees: reads datum trees.
        job: the job.
        low: the first id.
    """
    return heapq.merge(*(trees.scan(TreeId(tree), low) for tree in (job.early, job.todo) if tree is not None))


def has_all(trees: Trees, early: TreeId, planned: Iterable[tuple[bytes, bytes]]) -> bool:
    """Return whether a plan has every datum of an early part, with its hash.

    Args:
        trees: reads datum trees.
        early: the early part.
        planned: the rows of the datums to run, by id.
    """
    remaining = iter(planned)
    for key, value in trees.scan(early):
        row = next((row for row in remaining if row[0] >= key), None)
        if row is None or row[0] != key or row[1][HASH] != value[HASH]:
            return False
    return True


def without(
    trees: Trees, early: TreeId, planned: Iterable[tuple[bytes, bytes]]
) -> Iterator[tuple[bytes, bytes]]:
    """Yield the rows of a plan that are not in an early part.

    Args:
        trees: reads datum trees.
        early: the early part.
        planned: the rows of the datums to run, by id.
    """
    keys = (key for key, _ in trees.scan(early))
    key = next(keys, None)
    for row in planned:
        while key is not None and key < row[0]:
            key = next(keys, None)
        if key != row[0]:
            yield row
