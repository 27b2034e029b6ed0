"""Transactions (``transaction_v2.API``), and the calls that are added to one (docs/design/transactions.md).

A call belongs to a transaction when its metadata have the key ``pach-transaction``. ``joined`` sees to that for all
methods, so that servicers do not know of transactions.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from trunkline import errors
from trunkline.pfs import repos
from trunkline.pps import pipelines, spec_defaults, transactions
from trunkline.rpc import changes, convert, pps_convert
from trunkline.rpc.gen import pfs_pb2, pps_pb2, transaction_pb2
from trunkline.rpc.servicer import EMPTY_REPLY, ServicerBase

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from concurrent.futures import Executor

    from google.protobuf.empty_pb2 import Empty

    from trunkline.pfs.repository import VersionedStore
    from trunkline.pps.admission import Admission
    from trunkline.pps.transactions import Operation, Run, Step
    from trunkline.rpc.call import Call
    from trunkline.rpc.methods import Method

#: The metadata of calls that belong to a transaction.
KEY = "pach-transaction"

#: Fields of ``TransactionRequest`` by the RPC whose request they hold.
FIELDS = {
    "pfs_v2.API/CreateRepo": "create_repo",
    "pfs_v2.API/DeleteRepo": "delete_repo",
    "pfs_v2.API/StartCommit": "start_commit",
    "pfs_v2.API/FinishCommit": "finish_commit",
    "pfs_v2.API/SquashCommitSet": "squash_commit_set",
    "pfs_v2.API/CreateBranch": "create_branch",
    "pfs_v2.API/DeleteBranch": "delete_branch",
    "pps_v2.API/StopJob": "stop_job",
    "pps_v2.API/UpdateJobState": "update_job_state",
    "pps_v2.API/CreatePipeline": "create_pipeline_v2",
    "pps_v2.API/CreatePipelineV2": "create_pipeline_v2",
}
#: RPCs that change something and cannot be part of a transaction. Those on projects are done at once, as in Pachyderm,
#: whose own tests create a project between the requests of a transaction.
REFUSED = {
    "pfs_v2.API": (
        "ActivateAuth AddFileSet ClearCache ClearCommit DeleteAll DeleteRepos DropCommit"
        " DropCommitSet Egress ForgetCommit ModifyFile PutCache SquashCommit"
    ),
    "pps_v2.API": (
        "ActivateAuth CreateSecret DeleteAll DeleteJob DeletePipeline DeletePipelines DeleteSecret RerunPipeline"
        " RestartDatum RunCron RunLoadTest RunLoadTestDefault RunPipeline SetClusterDefaults SetProjectDefaults"
        " StartPipeline StopPipeline"
    ),
    "metadata.API": "EditMetadata",
    "transaction_v2.API": "BatchTransaction",
}
_REFUSED = {f"{service}/{name}" for service, names in REFUSED.items() for name in names.split()}


class TransactionServicer(ServicerBase):
    """Answers ``transaction_v2.API``.

    Args:
        versions: the store.
        executor: runs blocking work.
        admission: checks specifications.
    """

    def __init__(self, versions: VersionedStore, executor: Executor, admission: Admission) -> None:
        super().__init__(versions, executor)
        self._admission = admission

    async def StartTransaction(
        self, _request: transaction_pb2.StartTransactionRequest, call: Call
    ) -> transaction_pb2.Transaction:
        row = await self._store(call).write_soon(transactions.start)
        return transaction_pb2.Transaction(id=row.id)

    async def InspectTransaction(
        self, request: transaction_pb2.InspectTransactionRequest, call: Call
    ) -> transaction_pb2.TransactionInfo:
        id = _id(request.transaction, call)
        return _info(await self._store(call).query_soon(transactions.open_transaction, id))

    async def ListTransaction(
        self, _request: transaction_pb2.ListTransactionRequest, call: Call
    ) -> transaction_pb2.TransactionInfos:
        rows = await self._store(call).query_soon(transactions.open_transactions)
        return transaction_pb2.TransactionInfos(transaction_info=map(_info, rows))

    async def DeleteTransaction(self, request: transaction_pb2.DeleteTransactionRequest, call: Call) -> Empty:
        await self._store(call).write_soon(transactions.delete, _id(request.transaction, call))
        return EMPTY_REPLY

    async def DeleteAll(self, _request: transaction_pb2.DeleteAllRequest, call: Call) -> Empty:
        await self._store(call).write_soon(transactions.delete_all)
        return EMPTY_REPLY

    async def FinishTransaction(
        self, request: transaction_pb2.FinishTransactionRequest, call: Call
    ) -> transaction_pb2.TransactionInfo:
        id = _id(request.transaction, call)
        return _info(await self._blocking(transactions.finish, self._store(call), id, self._read))

    async def BatchTransaction(
        self, request: transaction_pb2.BatchTransactionRequest, call: Call
    ) -> transaction_pb2.TransactionInfo:
        store = self._store(call)
        operations = [self._operation(part) for part in request.requests]
        id, _ = await self._blocking(transactions.batch, store, operations)
        return transaction_pb2.TransactionInfo(
            transaction=transaction_pb2.Transaction(id=id),
            requests=request.requests,
            responses=_responses(request.requests, id),
        )

    # --- calls that belong to a transaction -------------------------------------------------------------

    def joined(self, methods: Mapping[str, Method]) -> dict[str, Method]:
        """Return methods whose calls are added to a transaction, or refused, when they belong to one."""
        return {path: replace(method, answer=self._joining(method)) for path, method in methods.items()}

    def _joining(self, method: Method) -> Callable[[Any, Call], Any]:
        rpc, alone = method.rpc, method.answer
        if not method.is_built or (rpc not in FIELDS and rpc not in _REFUSED):
            return alone

        async def answer(request: Any, call: Call) -> Any:
            id = _metadata_id(call)
            if not id or getattr(request, "dry_run", False):
                return await alone(request, call)
            if rpc in _REFUSED:
                raise errors.FailedPrecondition(
                    f"{rpc} cannot be part of a transaction; finish transaction {id} first, or call it without the"
                    f" metadata {KEY}"
                )
            return await self._add(id, rpc, request, call)

        return answer

    async def _add(self, id: str, rpc: str, request: Any, call: Call) -> Any:
        """Add a call to a transaction and return its reply."""
        store = self._store(call)
        if isinstance(request, pps_pb2.CreatePipelineRequest):
            request = pps_pb2.CreatePipelineTransaction(create_pipeline_request=request)
        elif isinstance(request, pps_pb2.CreatePipelineV2Request):
            request = await self._blocking(self._pipeline_request, store, request)
        body = transaction_pb2.TransactionRequest(**{FIELDS[rpc]: request}).SerializeToString()
        answer: Any = await self._blocking(transactions.add, store, id, body, self._read)
        match rpc:
            case "pfs_v2.API/StartCommit":
                return _commit(request, id)
            case "pfs_v2.API/DeleteRepo":
                return pfs_pb2.DeleteRepoResponse(deleted=answer)
            case "pps_v2.API/CreatePipelineV2":
                return pps_pb2.CreatePipelineV2Response(effective_create_pipeline_request_json=answer)
            case _:
                return EMPTY_REPLY

    def _pipeline_request(
        self, store: VersionedStore, request: pps_pb2.CreatePipelineV2Request
    ) -> pps_pb2.CreatePipelineTransaction:
        """Return the request of CreatePipelineV2 in the form that transactions have."""
        text = request.create_pipeline_request_json
        user = pps_convert.user_json(text)
        admitted = self._admission.admit(user, store.read(spec_defaults.for_spec, user))
        message = pps_convert.spec_message(admitted.effective_json)
        message.update, message.reprocess = request.update, request.reprocess
        return pps_pb2.CreatePipelineTransaction(
            create_pipeline_request=message, user_json=text, effective_json=admitted.effective_json
        )

    def _read(self, body: bytes) -> Operation:
        return self._operation(transaction_pb2.TransactionRequest.FromString(body))

    def _operation(self, request: transaction_pb2.TransactionRequest) -> Operation:
        """Return what a request of a transaction does.

        Raises:
            InvalidArgument: it is not exactly one request.
        """
        fields = request.ListFields()
        if len(fields) != 1:
            raise errors.InvalidArgument(
                f"a request of a transaction has {len(fields)} of its fields; set exactly one"
            )
        kind, message = fields[0][0].name, fields[0][1]
        match kind:
            case "delete_repo":
                name = convert.repo_name(message.repo)
                return transactions.changing(
                    kind, partial(repos.delete_small_repo, name=name, force=message.force)
                )
            case "finish_commit":
                return transactions.finishing(
                    convert.commit_name(message.commit),
                    error=message.error,
                    description=message.description,
                    force=message.force,
                )
            case "create_pipeline_v2":
                named = message.create_pipeline_request.pipeline.name
                kind = f'{kind} "{named}"' if named else kind
                return transactions.Operation(kind, partial(self._creating, message))
            case _:
                return transactions.changing(kind, _CHANGES[kind](message))

    def _creating(self, request: pps_pb2.CreatePipelineTransaction, versions: VersionedStore) -> Step:
        message = request.create_pipeline_request
        text = request.user_json or request.effective_json
        user = pps_convert.user_json(text) if text else pps_convert.spec_json(message)
        admitted = self._admission.admit(user, versions.read(spec_defaults.for_spec, user))

        def create(run: Run) -> str:
            pipelines.create(run.write, admitted, update=message.update, reprocess=message.reprocess)
            return admitted.effective_json

        return create


#: The requests that are a change and nothing else, by the field of ``TransactionRequest``.
_CHANGES: dict[str, Callable[[Any], Callable[..., object]]] = {
    "create_repo": changes.create_repo,
    "start_commit": changes.start_commit,
    "squash_commit_set": changes.squash_commit_set,
    "create_branch": changes.create_branch,
    "delete_branch": changes.delete_branch,
    "stop_job": changes.stop_job,
    "update_job_state": changes.update_job_state,
}


def _metadata_id(call: Call) -> str:
    """Return the id of the transaction that a call belongs to; empty for none."""
    value = call.metadata.get(KEY, "")
    return value if isinstance(value, str) else ""


def _id(message: transaction_pb2.Transaction, call: Call) -> str:
    """Return the id of the transaction that a request names, or that its call belongs to."""
    id = message.id or _metadata_id(call)
    if not id:
        raise errors.InvalidArgument("the request names no transaction; set transaction.id")
    return id


def _commit(request: pfs_pb2.StartCommitRequest, id: str) -> pfs_pb2.Commit:
    return convert.commit_message(convert.repo_name(request.branch.repo), id)


def _responses(
    requests: Iterable[transaction_pb2.TransactionRequest], id: str
) -> list[transaction_pb2.TransactionResponse]:
    """Return what the requests of a transaction answer: all commits have its id."""
    return [
        transaction_pb2.TransactionResponse(
            commit=_commit(request.start_commit, id) if request.HasField("start_commit") else None
        )
        for request in requests
    ]


def _info(row: transactions.TransactionRow) -> transaction_pb2.TransactionInfo:
    requests = [transaction_pb2.TransactionRequest.FromString(body) for body in row.requests]
    info = transaction_pb2.TransactionInfo(
        transaction=transaction_pb2.Transaction(id=row.id),
        requests=requests,
        responses=_responses(requests, row.id),
        version=row.version,
    )
    convert.set_time(info.started, row.started)
    return info
