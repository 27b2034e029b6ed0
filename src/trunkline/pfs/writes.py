"""A write: a single SQL transaction with one new commit-set id.

It collects which branches moved and which commits were created or finished. ``repository`` runs it; ``propagation``
and the hooks of the layer above act on it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from msgspec import Struct, field

from trunkline import errors

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import sqlalchemy as sa

    from trunkline.meta.commits import CommitRow
    from trunkline.meta.group_commit import Tx
    from trunkline.meta.repos import RepoRow
    from trunkline.model.caller import Caller
    from trunkline.model.trace import TraceContext


class WriteHooks(Protocol):
    """Hooks that run inside every write transaction. They may write more rows, or raise to reject the write."""

    def ending(self, write: WriteTransaction) -> None:
        """Run before the transaction commits, after its moves are propagated."""

    def removing_commits(self, write: WriteTransaction, numbers: Sequence[int]) -> None:
        """Run before these commits are removed."""

    def removing_repo(self, write: WriteTransaction, repo: RepoRow) -> None:
        """Run when a user asks to remove this repo."""


class WriteTransaction(Struct):
    """One write in progress; lives as long as its transaction."""

    tx: Tx
    now: float
    #: Id of every commit that this write creates.
    set_id: str
    #: The caller that it is made for.
    caller: Caller
    #: Branches whose head or provenance changed, in order of the change.
    moved: dict[int, None] = field(default_factory=dict)
    created: list[CommitRow] = field(default_factory=list)
    finished: list[CommitRow] = field(default_factory=list)
    removed: list[CommitRow] = field(default_factory=list)
    #: Project, name and type of repos by their number, remembered between transactions; see ``commit_events``.
    repo_names: dict[int, tuple[str, str, str]] = field(default_factory=dict)
    hooks: WriteHooks | None = None
    #: The trace that jobs created by it belong to; None without one.
    trace: TraceContext | None = None

    @property
    def conn(self) -> sa.Connection:
        """The connection of the transaction."""
        return self.tx.conn

    def check_first_commit(self, repo: RepoRow) -> None:
        """Check that the write has made no commit in a repo, before it makes one.

        Raises:
            FailedPrecondition: it has, since it does several requests.
        """
        if any(row.repo_id == repo.id for row in self.created):
            raise errors.FailedPrecondition(
                f"inconsistent dependencies: {repo} already has a commit in this transaction; change the order of the"
                " requests, so that commits are started before pipelines and branches follow them, or use a second"
                " transaction"
            )

    def forget(self, numbers: Iterable[int]) -> None:
        """Forget commits of this write that it has removed again."""
        removed = set(numbers)
        self.created = [row for row in self.created if row.id not in removed]
        self.finished = [row for row in self.finished if row.id not in removed]

    def wake_commit(self, row: CommitRow) -> None:
        """Announce that a commit was made, finished, changed or removed."""
        self.tx.wake(f"repo:{row.repo_id}", f"commit:{row.id}")
