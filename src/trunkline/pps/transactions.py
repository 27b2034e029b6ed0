"""Transactions: requests that are done together or not at all (docs/design/transactions.md).

An open transaction is a list of requests and nothing else. Adding one runs them all in a write that is undone; the
finish runs them in one that stays. What a request does is an ``Operation``, which the network interface makes of it;
this module does not know their encoding.
"""

from __future__ import annotations

import uuid
from functools import partial
from typing import TYPE_CHECKING, Protocol, TypeVar

from msgspec import Struct, field

from trunkline import errors
from trunkline.meta import transactions as rows
from trunkline.meta.transactions import TransactionRow
from trunkline.model import limits
from trunkline.pfs import commits
from trunkline.runtime import failpoints

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import sqlalchemy as sa

    from trunkline.model.names import CommitName
    from trunkline.pfs.commits import Unapplied
    from trunkline.pfs.files import AppliedLayers
    from trunkline.pfs.reads import ReadTransaction
    from trunkline.pfs.repository import VersionedStore
    from trunkline.pfs.writes import WriteTransaction

T = TypeVar("T")

__all__ = ["Operation", "Run", "Step", "TransactionRow"]

#: Seconds without a new request after which a transaction is removed.
IDLE = 86_400.0
#: Transactions removed in one write.
_SLICE = 100


class Step(Protocol):
    """A request that is ready to be done in a write."""

    def __call__(self, run: Run) -> object:
        """Do it; return what it answers."""


class Operation(Struct, frozen=True):
    """What a request of a transaction does."""

    #: Its name in messages, such as ``create_repo``.
    kind: str
    #: Does what must not be done in a write. Blocks.
    prepare: Callable[[VersionedStore], Step]


class Run(Struct, eq=False):
    """One run of the requests of a transaction."""

    write: WriteTransaction
    #: The files of open commits that were applied for it.
    applied: Mapping[Unapplied, AppliedLayers]
    #: Those that were not; the run must be undone if there are any.
    missing: list[Unapplied] = field(default_factory=list)


def changing(kind: str, change: Callable[[WriteTransaction], object]) -> Operation:
    """Return an operation that needs nothing before the write.

    Args:
        kind: its name in messages.
        change: does it.
    """
    return Operation(kind, lambda _versions: lambda run: change(run.write))


def finishing(name: CommitName, *, error: str, description: str, force: bool) -> Operation:
    """Return the operation that finishes a commit; arguments as ``commits.finish_commit``.

    Args:
        name: the commit.
        error: why its files are not good; empty when they are.
        description: replaces the commit's when it is not empty.
        force: also a commit that belongs to a pipeline.
    """

    def finish(run: Run) -> None:
        layers = commits.finish_within(
            run.write, name, run.applied, error=error, description=description, force=force
        )
        if layers is not None:
            run.missing.append(layers)

    return Operation("finish_commit", lambda _versions: finish)


def start(write: WriteTransaction) -> TransactionRow:
    """Start a transaction.

    Raises:
        ResourceExhausted: too many are open.
    """
    if rows.count(write.conn) >= limits.OPEN_TRANSACTIONS:
        raise errors.ResourceExhausted(
            f"{limits.OPEN_TRANSACTIONS:,} transactions are open, which is the limit; finish or delete some"
        )
    transaction_id = uuid.uuid4().hex
    rows.start(write.conn, transaction_id, write.now)
    return find(write.conn, transaction_id)


def find(conn: sa.Connection, transaction_id: str) -> TransactionRow:
    """Return an open transaction, or raise NotFound."""
    row = rows.find(conn, transaction_id)
    if row is None:
        raise errors.NotFound(
            f'transaction "{transaction_id}" not found; it was finished, deleted, or had no request for a day:'
            " start another one"
        )
    return row


def open_transaction(read: ReadTransaction, transaction_id: str) -> TransactionRow:
    """Return an open transaction, or raise NotFound."""
    return find(read.conn, transaction_id)


def open_transactions(read: ReadTransaction) -> list[TransactionRow]:
    """Return all open transactions, oldest first."""
    return rows.list_all(read.conn)


def delete(write: WriteTransaction, transaction_id: str) -> None:
    """Remove a transaction without doing its requests; raise NotFound when there is none."""
    rows.remove(write.conn, [find(write.conn, transaction_id).id])


def delete_all(write: WriteTransaction) -> None:
    """Remove all transactions."""
    rows.remove(write.conn, [row.id for row in rows.list_all(write.conn)])


def remove_idle(write: WriteTransaction) -> int:
    """Remove some transactions without a new request for ``IDLE`` seconds; return how many."""
    idle = rows.unchanged_since(write.conn, write.now - IDLE, _SLICE)
    rows.remove(write.conn, idle)
    return len(idle)


def add(
    versions: VersionedStore,
    transaction_id: str,
    body: bytes,
    read: Callable[[bytes], Operation],
) -> object:
    """Add a request to a transaction and return what it answers. Blocks.

    Args:
        versions: the store.
        transaction_id: of the transaction.
        body: the request.
        read: makes the operation of a request.

    Raises:
        NotFound: there is no such transaction.
        InvalidArgument: the transaction has too many requests.
        ResourceExhausted: the requests of all transactions have too many bytes.
        TrunklineError: the request cannot be done after those before it.
    """

    def record(write: WriteTransaction, row: TransactionRow, steps: Sequence[_Named]) -> object:
        current = find(write.conn, transaction_id)
        if current.version != row.version:
            return _CHANGED
        size = rows.total_bytes(write.conn) + len(body)
        if size > limits.TRANSACTION_BYTES:
            raise errors.ResourceExhausted(
                f"the requests of all open transactions have {size:,} bytes, the limit is"
                f" {limits.TRANSACTION_BYTES:,}; finish or delete some"
            )
        answers = versions.rehearse(
            write.tx, transaction_id, lambda inner: _run(inner, steps, {}, adding=True).answers
        )
        rows.add_request(write.conn, current, body, write.now)
        return answers[-1]

    while True:
        row = versions.read(find, transaction_id)
        limits.check_count(
            row.version + 1,
            limits.TRANSACTION_REQUESTS,
            f"transaction {transaction_id}",
            "finish it and start another one, or send the requests as a batch",
        )
        operations = [read(request) for request in (*row.requests, body)]
        answer = versions.write(record, row, _prepare(versions, operations, adding=True))
        if answer is not _CHANGED:
            return answer


def finish(
    versions: VersionedStore, transaction_id: str, read: Callable[[bytes], Operation]
) -> TransactionRow:
    """Do the requests of a transaction and remove it; return it as it was. Blocks.

    Args:
        versions: the store.
        transaction_id: of the transaction.
        read: makes the operation of a request.

    Raises:
        NotFound: there is no such transaction.
        TrunklineError: a request cannot be done; nothing is done, and the transaction stays open.
    """
    applied: dict[Unapplied, AppliedLayers] = {}

    def record(write: WriteTransaction, row: TransactionRow, steps: Sequence[_Named]) -> bool:
        if find(write.conn, transaction_id).version != row.version:
            return False
        _complete(write, steps, applied)
        rows.remove(write.conn, [transaction_id])
        failpoints.reach("transaction.done")
        return True

    while True:
        row = versions.read(find, transaction_id)
        steps = _prepare(versions, [read(request) for request in row.requests])
        try:
            if versions.write_in_set(transaction_id, record, row, steps):
                failpoints.reach("transaction.finished")
                return row
        except _Incomplete as incomplete:
            _apply(versions, incomplete.missing, applied)


def batch(versions: VersionedStore, operations: Sequence[Operation]) -> tuple[str, list[object]]:
    """Do several requests together. Blocks.

    Args:
        versions: the store.
        operations: the requests, in their order.

    Returns:
        The id of the commits, and what each request answers.

    Raises:
        InvalidArgument: there are too many.
        TrunklineError: a request cannot be done; nothing is done.
    """
    limits.check_count(len(operations), limits.TRANSACTION_REQUESTS, "the batch", "send several batches")
    transaction_id = uuid.uuid4().hex
    applied: dict[Unapplied, AppliedLayers] = {}
    while True:
        steps = _prepare(versions, operations)
        try:
            return transaction_id, versions.write_in_set(transaction_id, _complete, steps, applied)
        except _Incomplete as incomplete:
            _apply(versions, incomplete.missing, applied)


#: What ``add`` gets when another request was added meanwhile.
_CHANGED = object()


class _Named(Struct, frozen=True):
    """A step and the kind of its request."""

    kind: str
    step: Step


class _Result(Struct, frozen=True):
    answers: list[object]
    missing: list[Unapplied]


class _Incomplete(Exception):
    """A run needs files of open commits that are not applied; it is undone."""

    def __init__(self, missing: Sequence[Unapplied]) -> None:
        super().__init__("layers of open commits are not applied")
        self.missing = missing


def _prepare(
    versions: VersionedStore, operations: Sequence[Operation], *, adding: bool = False
) -> list[_Named]:
    last = len(operations) if adding else None
    return [
        _Named(operation.kind, _naming(number, operation.kind, last, partial(operation.prepare, versions)))
        for number, operation in enumerate(operations, 1)
    ]


def _run(
    write: WriteTransaction,
    steps: Sequence[_Named],
    applied: Mapping[Unapplied, AppliedLayers],
    *,
    adding: bool = False,
) -> _Result:
    run = Run(write, applied)
    last = len(steps) if adding else None
    answers = [
        _naming(number, named.kind, last, partial(named.step, run)) for number, named in enumerate(steps, 1)
    ]
    return _Result(answers, run.missing)


def _complete(
    write: WriteTransaction, steps: Sequence[_Named], applied: Mapping[Unapplied, AppliedLayers]
) -> list[object]:
    """Run the steps of a write that stays; return their answers."""
    result = _run(write, steps, applied)
    if result.missing:
        raise _Incomplete(result.missing)
    return result.answers


def _apply(
    versions: VersionedStore, missing: Sequence[Unapplied], applied: dict[Unapplied, AppliedLayers]
) -> None:
    applied.update((layers, layers.apply(versions)) for layers in missing)


def _naming(number: int, kind: str, last: int | None, act: Callable[[], T]) -> T:
    """Do something for a request; an error names it, unless its caller has just sent it.

    Args:
        number: place of the request, from 1.
        kind: its name in messages.
        last: place of the request that the caller has sent; None for none.
        act: what to do.
    """
    try:
        return act()
    except errors.TrunklineError as error:
        if number == last:
            raise
        raise type(error)(f"request {number} of the transaction ({kind}): {error.message}") from error
