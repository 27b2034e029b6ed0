"""Merges the datum sums of long jobs, so that summaries of a job cost about the same whatever it ran.

A job has a sum for each completion, hundreds of thousands when it runs for long on many workers. Beyond ``MOST``, those
of a worker that follow each other are merged where together they span no more than a slice of the job; so details stay
as fine everywhere as the number of sums admits. It runs in the thread of a completion in 256, chosen by its claim.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from trunkline.meta import datum_sums as rows
from trunkline.pps import datum_sums

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trunkline.meta.datum_sums import NewSum, SumRow
    from trunkline.pfs.repository import VersionedStore
    from trunkline.pfs.writes import WriteTransaction

#: Sums of a job above which they are merged, and about how many remain.
MOST, REMAINING = 8_192, 4_096
#: A completion in so many looks at the number of sums.
_EVERY = 256
#: Merged sums recorded in one transaction.
_TOGETHER = 64


def is_due(claim_id: str, position: int) -> bool:
    """Return whether a completion looks at the number of its job's sums.

    Args:
        claim_id: its claim.
        position: its first position. With the claim it chooses as if at random, but always the same.
    """
    return zlib.crc32(f"{claim_id}{position}".encode()) % _EVERY == 0


def merge(versions: VersionedStore, job_id: int) -> None:
    """Merge the sums of a job if they are too many. Blocks; other transactions may run in between.

    Args:
        versions: the store.
        job_id: row number of the job.
    """
    if versions.read(rows.count, job_id) <= MOST:
        return
    groups = grouped(versions.read(rows.of_job, job_id))
    for start in range(0, len(groups), _TOGETHER):
        some = groups[start : start + _TOGETHER]
        bodies = versions.read(rows.bodies, [row.id for group in some for row in group])
        remaining = iter(bodies)
        merged = []
        for group in some:
            data = [next(remaining) for _ in group]
            whole = [(row, body) for row, body in zip(group, data, strict=True) if body is not None]
            if len(whole) == len(group):
                merged.append((group, datum_sums.merged(whole)))
        versions.write(_record, job_id, merged)


def grouped(sums: Sequence[SumRow]) -> list[list[SumRow]]:
    """Return which sums to merge, each group those of a worker that follow each other. Pure."""
    by_worker: dict[str, list[SumRow]] = {}
    for row in sums:
        by_worker.setdefault(row.worker_id, []).append(row)
    slice_seconds = 2 * sum(map(_span, by_worker.values())) / REMAINING
    groups = []
    for own in by_worker.values():
        own.sort(key=lambda row: row.begin)
        group: list[SumRow] = []
        for row in own:
            if group and max(row.end, group[-1].end) - group[0].begin > slice_seconds:
                groups.append(group)
                group = []
            group.append(row)
        groups.append(group)
    return [group for group in groups if len(group) > 1]


def _span(own: Sequence[SumRow]) -> float:
    """Return the seconds that sums of a worker span together; at least those of each, which clocks may let overlap."""
    whole = max(row.end for row in own) - min(row.begin for row in own)
    return max(whole, sum(row.end - row.begin for row in own))


def _record(write: WriteTransaction, job_id: int, merged: Sequence[tuple[list[SumRow], NewSum]]) -> None:
    for group, new in merged:
        rows.replace(write.conn, job_id, group, new)
