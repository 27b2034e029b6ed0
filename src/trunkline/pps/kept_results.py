"""Take over the successes of a job that failed: what the next job has to run with the same hash is done already.

Results are recorded completion by completion, each a tree of datum rows with trees of what these datums wrote. A
completion of which everything counts is taken as it is. Of another one, the rows that count and what their datums wrote
become new trees. Takes bounded memory, whatever the number of datums.
"""

from __future__ import annotations

import struct
from itertools import groupby
from typing import TYPE_CHECKING

from trunkline.meta import jobs
from trunkline.pps import datum_rows
from trunkline.pps.sorted_rows import SortedRows
from trunkline.storage.deltas import DELTA, tag_of
from trunkline.storage.sums import EMPTY, TreeId

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trunkline.meta.jobs import JobRow
    from trunkline.pfs.repository import VersionedStore
    from trunkline.storage.packing import ChunkWriter
    from trunkline.storage.trees import Trees

#: Number of a completion, before the id or the value of a datum.
_NUMBER = struct.Struct(">I")


def take_over(
    versions: VersionedStore,
    writer: ChunkWriter,
    failed: JobRow,
    planned: Iterable[tuple[bytes, bytes]],
    remaining: SortedRows,
) -> tuple[list[tuple[TreeId, TreeId]], int]:
    """Return the results of a failed job that count for a plan, and of how many datums they are. Blocks.

    Args:
        versions: the store.
        writer: takes the new trees.
        failed: the job that failed or was killed.
        planned: the rows of the datums to run, by id.
        remaining: gets those without a result that counts.
    """
    completions = _completions(versions.read(jobs.handins, failed.id))
    trees = datum_rows.trees(versions)
    count = 0
    with SortedRows() as done, SortedRows() as reused:
        for number, (_, tree) in enumerate(completions):
            for key, value in trees.scan(tree):
                if datum_rows.is_success(value):
                    done.add(key, _NUMBER.pack(number) + value)
        results = iter(done)
        result = next(results, None)
        for key, value in planned:
            while result is not None and result[0] < key:
                result = next(results, None)
            same = result is not None and result[0] == key
            if (
                same
                and result is not None
                and datum_rows.same_work(result[1][_NUMBER.size :], value[datum_rows.HASH])
            ):
                reused.add(result[1][: _NUMBER.size] + key, result[1][_NUMBER.size :])
                count += 1
            else:
                remaining.add(key, value)
        parts: list[tuple[TreeId, TreeId]] = []
        for number_bytes, rows in groupby(reused, lambda row: row[0][: _NUMBER.size]):
            deltas, tree = completions[_NUMBER.unpack(number_bytes)[0]]
            counted = [(key[_NUMBER.size :], value) for key, value in rows]
            if len(counted) < trees.summary(tree).rows:
                tree = trees.build(writer, counted)
                tags = {key.hex() for key, _ in counted}
                deltas = [_filtered(versions.trees.of(DELTA), writer, delta, tags) for delta in deltas]
            parts += zip(deltas, [tree, *[EMPTY] * (len(deltas) - 1)], strict=True)
        return parts, count


def _completions(handins: Iterable[tuple[bytes, bytes]]) -> list[tuple[list[TreeId], TreeId]]:
    """Return the deltas and the rows of each completion; further deltas of one have rows of their own, empty ones."""
    completions: list[tuple[list[TreeId], TreeId]] = []
    for delta, rows in handins:
        if rows == EMPTY and completions:
            completions[-1][0].append(TreeId(delta))
        else:
            completions.append(([TreeId(delta)], TreeId(rows)))
    return completions


def _filtered(trees: Trees, writer: ChunkWriter, delta: TreeId, counted: set[str]) -> TreeId:
    """Return what the counted datums wrote of a delta.

    Args:
        trees: reads and writes deltas.
        writer: takes the new one.
        delta: what the datums of a completion wrote.
        counted: ids of datums, in hex.
    """
    rows = ((key, value) for key, value in trees.scan(delta) if tag_of(key) in counted)
    return trees.build(writer, rows)
