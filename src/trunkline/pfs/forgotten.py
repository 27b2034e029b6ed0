"""Commits whose files are forgotten: they stay in the history, and their files cannot be read any more (decision 89).

The mark is a key of the commit's metadata that edits cannot change, so that it is in the store's log too. The files
stay in the store until it collects what nothing names: later commits may share them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trunkline import errors
from trunkline.meta import metadata
from trunkline.model.schedules import text_of
from trunkline.pfs import resolve, rights

if TYPE_CHECKING:
    from collections.abc import Mapping

    import sqlalchemy as sa

    from trunkline.meta.commits import CommitRow
    from trunkline.model.names import CommitName
    from trunkline.pfs.writes import WriteTransaction

#: The key; its value is the time.
KEY = "trunkline.dev/forgotten"


def forget(write: WriteTransaction, name: CommitName) -> None:
    """Forget the files of a finished commit; what is forgotten already stays so.

    Args:
        write: transaction that the change belongs to.
        name: the commit.

    Raises:
        NotFound: there is no such commit.
        FailedPrecondition: it is not finished.
        PermissionDenied: the caller may not write to the repo.
    """
    rights.check_write(write.caller, name.repo)
    row = resolve.commit(write.conn, name)
    if row.finished is None:
        raise errors.FailedPrecondition(
            f"commit {resolve.text(write.conn, row)} is not finished; finish it, or discard its files with ClearCommit"
        )
    if KEY not in row.metadata:
        metadata.replace(write.conn, "commit", row.id, {**row.metadata, KEY: text_of(write.now)})


def check_readable(conn: sa.Connection, row: CommitRow) -> None:
    """Refuse to read the files of a commit that are forgotten.

    Raises:
        FailedPrecondition: they are.
    """
    if KEY in row.metadata:
        raise errors.FailedPrecondition(
            f"the files of commit {resolve.text(conn, row)} were forgotten at {row.metadata[KEY]}; read another commit"
        )


def with_mark(before: Mapping[str, str], after: Mapping[str, str]) -> Mapping[str, str]:
    """Return edited metadata with the mark as it was before."""
    changed = {key: value for key, value in after.items() if key != KEY}
    return {**changed, KEY: before[KEY]} if KEY in before else changed
