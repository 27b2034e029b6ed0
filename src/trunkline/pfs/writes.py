"""What one write is: a single SQL transaction with one fresh commit-set id.

It collects which branches moved and which commits were made or finished. Who runs it is ``versions``; what
follows from it is ``propagation`` and the layer above.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    import sqlalchemy as sa

    from trunkline.meta.commits import CommitRow
    from trunkline.meta.database import Tx
    from trunkline.meta.repos import RepoRow
    from trunkline.model.caller import Caller
    from trunkline.model.trace import TraceContext


class WriteHooks(Protocol):
    """The layer above, told about writes inside their transaction. It may write more, or raise to refuse."""

    def ending(self, write: WriteTransaction) -> None:
        """Everything of the write is done but its commit; its moves are propagated."""

    def removing_commits(self, write: WriteTransaction, numbers: Sequence[int]) -> None:
        """These commits are about to be removed."""

    def removing_repo(self, write: WriteTransaction, repo: RepoRow) -> None:
        """A user asks to remove this repo."""


@dataclass(slots=True)
class WriteTransaction:
    """One write in progress; lives as long as its transaction."""

    tx: Tx
    now: float
    #: Id of every commit this write makes.
    set_id: str
    #: For whom it is made.
    caller: Caller
    #: Branches whose head or provenance changed, in order of the change.
    moved: dict[int, None] = field(default_factory=dict)
    created: list[CommitRow] = field(default_factory=list)
    finished: list[CommitRow] = field(default_factory=list)
    hooks: WriteHooks | None = None
    #: The trace that jobs made by it belong to; None without one.
    trace: TraceContext | None = None

    @property
    def conn(self) -> sa.Connection:
        """The connection of the transaction."""
        return self.tx.conn

    def wake_commit(self, row: CommitRow) -> None:
        """Announce that a commit was made, finished, changed or removed."""
        self.tx.wake(f"repo:{row.repo_id}", f"commit:{row.id}")
