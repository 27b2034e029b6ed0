"""The versioned store as a whole: what every operation of this layer needs, and what one write is.

A **write** is one SQL transaction with one fresh commit-set id. It collects which branches moved and which
commits were made or finished; at its end, still inside the transaction, the moves are propagated to the
branches downstream and the layer above is told (``Above``), so that a job exists as soon as its commit
does. Nothing here waits, and nothing here knows pipelines.

Functions of this layer are plain and blocking: callers on the event loop run them in a thread.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Concatenate, ParamSpec, Protocol, TypeVar

from trunkline.pfs import propagation

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import sqlalchemy as sa

    from trunkline.meta.commits import CommitRow
    from trunkline.meta.database import Database, Tx
    from trunkline.meta.events import Wakeups
    from trunkline.meta.repos import RepoRow
    from trunkline.ports import Clock
    from trunkline.storage.store import ChunkStore
    from trunkline.storage.trees import Trees

P = ParamSpec("P")
T = TypeVar("T")


class Above(Protocol):
    """The layer above, told about writes inside their transaction. It may write more, or raise to refuse."""

    def ending(self, write: Write) -> None:
        """Everything of the write is done but its commit; its moves are propagated."""

    def removing_commits(self, write: Write, numbers: Sequence[int]) -> None:
        """These commits are about to be removed."""

    def removing_repo(self, write: Write, repo: RepoRow) -> None:
        """A user asks to remove this repo."""


@dataclass(slots=True)
class Write:
    """One write in progress; lives as long as its transaction."""

    tx: Tx
    now: float
    #: Id of every commit this write makes.
    set_id: str
    #: Branches whose head or provenance changed, in order of the change.
    moved: dict[int, None] = field(default_factory=dict)
    created: list[CommitRow] = field(default_factory=list)
    finished: list[CommitRow] = field(default_factory=list)
    above: Above | None = None

    @property
    def conn(self) -> sa.Connection:
        """The connection of the transaction."""
        return self.tx.conn

    def wake_repo(self, repo_id: int) -> None:
        """Announce that commits or branches of a repo changed."""
        self.tx.wake(f"repo:{repo_id}", "commits")


@dataclass(slots=True, eq=False)
class Versions:
    """The versioned store: database, chunks, trees, and who is told about writes."""

    db: Database
    chunks: ChunkStore
    trees: Trees
    wakeups: Wakeups
    clock: Clock
    above: Above | None = None

    def write(self, fn: Callable[Concatenate[Write, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run ``fn(write, …)`` as one write and return its value once it is durable. Blocks."""
        return self.db.run_blocking(self._write, fn, *args, **kwargs)

    async def write_soon(
        self, fn: Callable[Concatenate[Write, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Like ``write``, for the event loop."""
        return await self.db.run(self._write, fn, *args, **kwargs)

    def read(self, fn: Callable[Concatenate[sa.Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run ``fn(connection, …)`` in a snapshot. Blocks."""
        return self.db.read_blocking(fn, *args, **kwargs)

    def _write(
        self, tx: Tx, fn: Callable[Concatenate[Write, P], T], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        # Whole microseconds, as the wire tells them: what a client hands back equals what is stored.
        write = Write(tx=tx, now=round(self.clock.now(), 6), set_id=uuid.uuid4().hex, above=self.above)
        value = fn(write, *args, **kwargs)
        propagation.propagate(write)
        if self.above is not None:
            self.above.ending(write)
        for row in (*write.created, *write.finished):
            write.wake_repo(row.repo_id)
        return value
