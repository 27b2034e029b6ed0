"""Transactions: commands that are done together or not at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trunkline.cli import config, deletion, output
from trunkline.cli.commands.pipelines import pipeline_name
from trunkline.cli.commands.repos import repo_name
from trunkline.cli.exit_codes import UsageError
from trunkline.cli.parsing import CHANGING, SHOWING, Command, argument
from trunkline.rpc.gen import transaction_pb2

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trunkline.cli.invocation import Invocation

TRANSACTION = argument(
    "transaction", metavar="ID", nargs="?", default="", help="without it, the active transaction"
)
COLUMNS = ("TRANSACTION", "STARTED", ">REQUESTS")


def start(invocation: Invocation) -> None:
    """Start a transaction and make it the active one; print its id."""
    address = invocation.target.address
    active = config.active_transaction(address)
    if active:
        raise UsageError(
            f'transaction {active} is active; end it first: "trunkline finish transaction", "trunkline delete'
            ' transaction", or "trunkline stop transaction" to leave it open'
        )
    id = invocation.transactions.StartTransaction(transaction_pb2.StartTransactionRequest()).id
    config.set_active_transaction(address, id)
    print(id)


def finish(invocation: Invocation) -> None:
    """Do the requests of a transaction together, or none of them."""
    transaction = _chosen(invocation)
    request = transaction_pb2.FinishTransactionRequest(transaction=transaction)
    info = invocation.transactions.FinishTransaction(request)
    _leave(invocation, transaction.id)
    count = len(info.requests)
    note = f" with {output.counted(count, 'request')}"
    invocation.report("finished", "transaction", transaction.id, note, requests=count)


def resume(invocation: Invocation) -> None:
    """Make an open transaction the active one."""
    transaction = transaction_pb2.Transaction(id=invocation.options.transaction)
    invocation.transactions.InspectTransaction(
        transaction_pb2.InspectTransactionRequest(transaction=transaction)
    )
    config.set_active_transaction(invocation.target.address, transaction.id)
    invocation.report("resumed", "transaction", transaction.id)


def stop(invocation: Invocation) -> None:
    """Make no transaction the active one; the one that was stays open."""
    transaction = _chosen(invocation)
    config.set_active_transaction(invocation.target.address, "")
    invocation.note(
        f'transaction {transaction.id} stays open; continue it with "trunkline resume transaction"'
    )


def inspect(invocation: Invocation) -> None:
    """Show the requests of a transaction."""
    request = transaction_pb2.InspectTransactionRequest(transaction=_chosen(invocation))
    info = invocation.transactions.InspectTransaction(request)
    whole = invocation.options.full_timestamps

    def fields(info: transaction_pb2.TransactionInfo) -> Sequence[tuple[str, str]]:
        return [
            ("Transaction", info.transaction.id),
            ("Started", output.when(info.started, whole=whole)),
            *((str(number), _described(part)) for number, part in enumerate(info.requests, 1)),
        ]

    output.show_one(invocation, info, fields, info.transaction.id)


def _described(request: transaction_pb2.TransactionRequest) -> str:
    """Return a request as one line: its name and what it is about."""
    ((descriptor, message),) = request.ListFields()
    match descriptor.name:
        case "create_repo" | "delete_repo":
            about = repo_name(message.repo)
        case "create_branch" | "delete_branch" | "start_commit":
            about = f"{repo_name(message.branch.repo)}@{message.branch.name}"
        case "finish_commit":
            about = f"{repo_name(message.commit.repo)}@{message.commit.id or message.commit.branch.name}"
        case "squash_commit_set":
            about = message.commit_set.id
        case "create_pipeline_v2":
            about = pipeline_name(message.create_pipeline_request.pipeline)
        case _:
            about = f"{pipeline_name(message.job.pipeline)}@{message.job.id}"
    return f"{descriptor.name.removesuffix('_v2').replace('_', ' ')} {about}"


def list_(invocation: Invocation) -> None:
    """List open transactions."""
    infos = invocation.transactions.ListTransaction(transaction_pb2.ListTransactionRequest()).transaction_info
    whole = invocation.options.full_timestamps

    def row(info: transaction_pb2.TransactionInfo) -> Sequence[str]:
        return info.transaction.id, output.when(info.started, whole=whole), str(len(info.requests))

    output.show_many(invocation, infos, COLUMNS, row, lambda info: info.transaction.id)


def delete(invocation: Invocation) -> None:
    """Delete a transaction, or all of them, without doing the requests."""
    if invocation.options.all:
        if invocation.options.transaction:
            raise UsageError("name a transaction or use --all, not both")
        if not deletion.is_wanted(invocation, lambda: _open(invocation), sweeping=True):
            return
        invocation.transactions.DeleteAll(transaction_pb2.DeleteAllRequest())
        config.set_active_transaction(invocation.target.address, "")
        invocation.note("deleted all transactions; their requests were not done")
        return
    transaction = _chosen(invocation)
    if not deletion.is_wanted(invocation, lambda: _open(invocation, transaction.id)):
        return
    invocation.transactions.DeleteTransaction(
        transaction_pb2.DeleteTransactionRequest(transaction=transaction)
    )
    _leave(invocation, transaction.id)
    invocation.report("deleted", "transaction", transaction.id, "; its requests were not done")


def _open(invocation: Invocation, id: str = "") -> list[deletion.Loss]:
    """Return the open transactions with their numbers of requests; only one if its id is given."""
    answer = invocation.transactions.ListTransaction(transaction_pb2.ListTransactionRequest())
    return [
        deletion.Loss(
            "transaction",
            info.transaction.id,
            output.counted(len(info.requests), "request") if info.requests else "",
        )
        for info in answer.transaction_info
        if not id or info.transaction.id == id
    ]


def _chosen(invocation: Invocation) -> transaction_pb2.Transaction:
    """Return the transaction that the options name, or the active one."""
    id = getattr(invocation.options, "transaction", "") or config.active_transaction(
        invocation.target.address
    )
    if not id:
        raise UsageError(
            'no transaction is active; name one, as "trunkline list transaction" shows it, or start one'
        )
    return transaction_pb2.Transaction(id=id)


def _leave(invocation: Invocation, id: str) -> None:
    """Make no transaction the active one if this one is."""
    address = invocation.target.address
    if config.active_transaction(address) == id:
        config.set_active_transaction(address, "")


COMMANDS = {
    "start transaction": Command(
        start,
        (),
        examples=(("trunkline start transaction", "add the next commands instead of running them"),),
    ),
    "finish transaction": Command(
        finish,
        (TRANSACTION, *CHANGING),
        examples=(("trunkline finish transaction", "run the commands that were added, together"),),
    ),
    "resume transaction": Command(
        resume,
        (argument("transaction", metavar="ID", help="id of the transaction"), *CHANGING),
        examples=(
            (
                "trunkline resume transaction 0b9c2f60b4cf4b1e9d3c63f0a4b8f5d1",
                "add the next commands to an open transaction",
            ),
        ),
    ),
    "stop transaction": Command(
        stop,
        (),
        examples=(
            ("trunkline stop transaction", "leave the transaction open and run the next commands at once"),
        ),
    ),
    "inspect transaction": Command(
        inspect,
        (TRANSACTION, *SHOWING),
        examples=(("trunkline inspect transaction", "show the commands that were added"),),
    ),
    "list transaction": Command(
        list_,
        SHOWING,
        examples=(("trunkline list transaction", "show the open transactions"),),
    ),
    "delete transaction": Command(
        delete,
        (
            TRANSACTION,
            argument("--all", action="store_true", help="delete all transactions"),
            deletion.YES,
            deletion.DRY_RUN,
            *CHANGING,
        ),
        examples=(
            ("trunkline delete transaction", "discard the active transaction"),
            ("trunkline delete transaction --all --yes", "discard all of them, without a question"),
        ),
    ),
}
