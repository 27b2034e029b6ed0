"""The versioned store as a whole: what every operation of this layer needs, and how a write runs.

At the end of a write, still inside its transaction, the moves of branches are propagated downstream and the
hooks of the layer above run (``writes.WriteHooks``), so that a job exists as soon as its commit does. This layer
neither waits nor depends on pipelines.

Functions of this layer are plain and blocking: callers on the event loop run them in a thread.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar, TypeVarTuple

from msgspec import Struct, field
from msgspec.structs import replace

from trunkline.meta.group_commit import Tx
from trunkline.meta.query import undone
from trunkline.model.caller import SYSTEM
from trunkline.model.leases import LeaseJudge
from trunkline.pfs import commit_events, propagation
from trunkline.pfs.ahead import AppliedAhead
from trunkline.pfs.compositions import Compositions
from trunkline.pfs.reads import ReadTransaction
from trunkline.pfs.recent_reads import RecentReads
from trunkline.pfs.writes import WriteTransaction

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import sqlalchemy as sa

    from trunkline.meta.database import Database
    from trunkline.meta.wakeups import Wakeups
    from trunkline.model.caller import Caller
    from trunkline.model.trace import TraceContext
    from trunkline.pfs.compositions import FileTree
    from trunkline.pfs.derived import DerivedFiles
    from trunkline.pfs.writes import WriteHooks
    from trunkline.ports import Clock
    from trunkline.storage.memory_budget import MemoryBudget
    from trunkline.storage.store import ChunkStore
    from trunkline.storage.sums import TreeId
    from trunkline.storage.trees import Trees

P = ParamSpec("P")
T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class VersionedStore(Struct, eq=False):
    """The versioned store: database, chunks, trees, and the hooks that run in writes."""

    db: Database
    chunks: ChunkStore
    trees: Trees
    wakeups: Wakeups
    clock: Clock
    hooks: WriteHooks | None = None
    #: Computes the files of commits that have none stored.
    derived: DerivedFiles | None = None
    #: The caller that reads and writes are made for.
    caller: Caller = SYSTEM
    #: The trace that writes belong to; None without one.
    trace: TraceContext | None = None
    #: Judges which file sets have not been renewed in time; copies of this store share it.
    fileset_leases: LeaseJudge = None  # type: ignore[assignment]  # set below when not given
    #: Folder of temporary files; None for the system's.
    scratch: str | None = None
    #: Open commits as they were read last.
    compositions: Compositions = field(default_factory=Compositions)
    #: See ``WriteTransaction``; used by the thread that writes.
    repo_names: dict[int, tuple[str, str, str]] = field(default_factory=dict)
    #: Small values that were read since the last write; used by the event loop.
    recent: RecentReads = field(default_factory=RecentReads)
    #: Layers of open commits that were applied while their stream ran.
    ahead: AppliedAhead = field(default_factory=AppliedAhead)

    def __post_init__(self) -> None:
        if self.fileset_leases is None:
            self.fileset_leases = LeaseJudge(self.clock.monotonic)

    @property
    def budget(self) -> MemoryBudget:
        """What all transfers hold in memory."""
        return self.chunks.budget

    def for_caller(self, caller: Caller, trace: TraceContext | None = None) -> VersionedStore:
        """Return the same store, whose reads and writes are made for ``caller`` and belong to ``trace``."""
        same = caller == self.caller and trace == self.trace
        return self if same else replace(self, caller=caller, trace=trace)

    def write(
        self, fn: Callable[Concatenate[WriteTransaction, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run ``fn(write, …)`` as one write and return its value once it is durable. Blocks.

        Args:
            fn: the function to run; gets the transaction first.
            *args: positional arguments of ``fn``.
            **kwargs: keyword arguments of ``fn``.
        """
        return self.db.run_blocking(self._write, uuid.uuid4().hex, fn, *args, **kwargs)

    def write_in_set(
        self,
        set_id: str,
        fn: Callable[Concatenate[WriteTransaction, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Like ``write``, with the id of the commits that it makes: operations of one request may share it.

        Args:
            set_id: id of the commit set of the commits that ``fn`` makes.
            fn: the function to run; gets the transaction first.
            *args: positional arguments of ``fn``.
            **kwargs: keyword arguments of ``fn``.
        """
        return self.db.run_blocking(self._write, set_id, fn, *args, **kwargs)

    def rehearse(
        self,
        tx: Tx,
        set_id: str,
        fn: Callable[Concatenate[WriteTransaction, P], T],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Run ``fn(write, …)`` inside a write as a write of its own that is undone; return its value.

        Args:
            tx: the transaction of the surrounding write.
            set_id: id of the commit set of the commits that ``fn`` makes.
            fn: the function to run; gets the transaction first.
            *args: positional arguments of ``fn``.
            **kwargs: keyword arguments of ``fn``.

        Raises:
            Exception: whatever ``fn`` and the end of a write raise.
        """
        with undone(tx.conn):
            # Row numbers of what is undone are used again, so names by number must not stay in memory.
            return replace(self, repo_names={})._write(Tx(tx.conn), set_id, fn, *args, **kwargs)

    async def write_soon(
        self, fn: Callable[Concatenate[WriteTransaction, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Like ``write``, for the event loop.

        Args:
            fn: the function to run; gets the transaction first.
            *args: positional arguments of ``fn``.
            **kwargs: keyword arguments of ``fn``.
        """
        return await self.db.run(self._write, uuid.uuid4().hex, fn, *args, **kwargs)

    def read(self, fn: Callable[Concatenate[sa.Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run ``fn(connection, …)`` in a snapshot. Blocks.

        Args:
            fn: the function to run; gets the connection first.
            *args: positional arguments of ``fn``.
            **kwargs: keyword arguments of ``fn``.
        """
        return self.db.read_blocking(fn, *args, **kwargs)

    def query(self, fn: Callable[Concatenate[ReadTransaction, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run ``fn(read, …)`` in a snapshot, for the caller. Blocks.

        Args:
            fn: the function to run; gets the transaction first.
            *args: positional arguments of ``fn``.
            **kwargs: keyword arguments of ``fn``.
        """
        return self.db.read_blocking(self._query, fn, *args, **kwargs)

    async def query_soon(
        self, fn: Callable[Concatenate[ReadTransaction, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Like ``query``, for the event loop.

        Args:
            fn: the function to run; gets the transaction first.
            *args: positional arguments of ``fn``.
            **kwargs: keyword arguments of ``fn``.
        """
        return await self.db.read(self._query, fn, *args, **kwargs)

    async def query_recent(self, fn: Callable[[ReadTransaction, *Ts], T], *args: *Ts) -> T:
        """Like ``query_soon``, for a small value: one that was read since the last write is given again.

        Args:
            fn: the function to run; its value depends on the database, the caller and its arguments alone.
            *args: arguments of ``fn``, hashable.
        """
        stamp, key = self.db.stamp, (fn, self.caller, args)
        if stamp is None:
            return await self.query_soon(fn, *args)
        value: T | None = self.recent.get(stamp, key)
        if value is None:
            value = await self.query_soon(fn, *args)
            self.recent.keep(stamp, key, value)
        return value

    def _query(
        self,
        conn: sa.Connection,
        fn: Callable[Concatenate[ReadTransaction, P], T],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        return fn(ReadTransaction(conn, self.caller, self.clock.now()), *args, **kwargs)

    def composed(self, base: TreeId, deltas: Sequence[TreeId]) -> FileTree:
        """Return a tree with deltas on top as one tree that can be read. Blocks; writes nothing.

        Raises:
            FailedPrecondition: the deltas contradict each other.
        """
        base, deltas = self.ahead.shorten(base, deltas)
        return self.compositions.get(self.trees, self.chunks, base, deltas, self.scratch)

    def _write(
        self,
        tx: Tx,
        set_id: str,
        fn: Callable[Concatenate[WriteTransaction, P], T],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        # Whole microseconds, as the API sends them: a time that a client sends back equals the stored one.
        write = WriteTransaction(
            tx=tx,
            now=round(self.clock.now(), 6),
            set_id=set_id,
            caller=self.caller,
            trace=self.trace,
            hooks=self.hooks,
            repo_names=self.repo_names,
        )
        value = fn(write, *args, **kwargs)
        propagation.propagate(write)
        if self.hooks is not None:
            self.hooks.ending(write)
        for row in (*write.created, *write.finished):
            write.wake_commit(row)
        commit_events.record_commits(write)
        return value
