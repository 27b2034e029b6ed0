"""Checks whether the commits of the store can be read: their rows, and the roots of their trees. Blocks.

It finds lost and damaged packs that hold a root, and rows that were changed; the content of files is checked whenever
it is read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trunkline import errors
from trunkline.meta import commits, records
from trunkline.pfs import resolve
from trunkline.runtime import cancellation
from trunkline.storage.sums import EMPTY, TreeId

if TYPE_CHECKING:
    from collections.abc import Generator

    import sqlalchemy as sa

    from trunkline.meta.commits import CommitRow
    from trunkline.pfs.repository import VersionedStore

#: Commits that are looked up together.
_PAGE = 200


def problems(versions: VersionedStore) -> Generator[str]:
    """Yield a sentence for each commit that cannot be read, in the order of their creation."""
    after = 0
    while numbers := versions.read(records.ids, "commit", after, _PAGE):
        after = numbers[-1]
        for number in numbers:
            cancellation.check()
            row, text = None, ""
            try:
                row, text = versions.read(_look, number)
                if row is not None and row.tree is not None and TreeId(row.tree) != EMPTY:
                    versions.trees.summary(TreeId(row.tree))
            except errors.DataLoss as error:
                yield error.message if row is None else f"commit {text}: {error.message}"


def _look(conn: sa.Connection, number: int) -> tuple[CommitRow | None, str]:
    row = commits.find_by_id(conn, number)
    return row, "" if row is None else resolve.text(conn, row)
