"""Tokens with which commands of a pipeline call the server, and what they may call (docs/design/work.md).

A token names a worker and proves, by the installation's secret, that the server gave it out. It is valid while that
worker exists, answers, and runs the current version of its pipeline. The rights of its caller are here and in
``pfs.rights``.
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING

from trunkline import errors
from trunkline.meta import pipelines, workers
from trunkline.model import caller as callers
from trunkline.model.states import WorkerState
from trunkline.pps.installation_secrets import InstallationSecret

if TYPE_CHECKING:
    import sqlalchemy as sa

    from trunkline.model.caller import Caller
    from trunkline.pfs.repository import VersionedStore

_PREFIX = "pipeline."
_SECRET = "pipeline_token_secret"

#: Begins of the names of RPCs that only read.
_READS = ("Inspect", "List", "Get", "Walk", "Glob", "Diff", "Subscribe", "Find", "Missing", "ReadFileset")
#: A service whose answers show more than the data of pipelines.
_UNREADABLE = "debug_v2.Debug/"
#: RPCs that write files; ``pfs.rights`` checks to which repo.
_WRITES = frozenset(
    {
        *(f"pfs_v2.API/{name}" for name in ("StartCommit", "FinishCommit", "ClearCommit", "ModifyFile")),
        *(f"pfs_v2.API/{name}FileSet" for name in ("Create", "Add", "Renew", "Compose", "Shard")),
        *(f"storage.Fileset/{name}Fileset" for name in ("Create", "Renew", "Compose", "Shard")),
        "trunkline.store.v1.Store/PutFiles",
    }
)


class PipelineTokens:
    """Issues and verifies tokens. Belongs to the event loop's thread."""

    def __init__(self, versions: VersionedStore) -> None:
        self._versions = versions
        self._secret = InstallationSecret(versions, _SECRET)

    async def issue(self, worker_id: str) -> str:
        """Return the token for commands of a worker."""
        if not self._secret.is_loaded:
            await self._versions.write_soon(self._secret.make)
        return self._token(worker_id)

    async def verify(self, token: str) -> Caller | None:
        """Return the pipeline that a token is for; None for a token of another kind.

        Raises:
            Unauthenticated: the token is forged, or its worker has ended or runs a former version.
        """
        if not token.startswith(_PREFIX):
            return None
        worker_id = token.removeprefix(_PREFIX).partition(".")[0]
        caller = await self._versions.db.read(self._caller, worker_id)
        if caller is None or not hmac.compare_digest(token.encode(), self._token(worker_id).encode()):
            raise errors.Unauthenticated(
                "the token of this command is not valid: its worker has ended, or its pipeline was updated; use the"
                " token in PACH_TOKEN of a running worker, or none"
            )
        return caller

    def _token(self, worker_id: str) -> str:
        return f"{_PREFIX}{worker_id}.{self._secret.mac(worker_id).hex()}"

    def _caller(self, conn: sa.Connection, worker_id: str) -> Caller | None:
        """Return the pipeline whose current version a worker runs, and load the secret."""
        worker = workers.by_id(conn, worker_id)
        pipeline = pipelines.by_id(conn, worker.pipeline_id) if worker is not None else None
        if worker is None or pipeline is None or worker.version != pipeline.version:
            return None
        if worker.state is WorkerState.LOST:  # another one takes its place
            return None
        return callers.pipeline(pipeline.full_name) if self._secret.load(conn) else None


def check_call(caller: Caller, rpc: str) -> None:
    """Check that a pipeline may make a call.

    Args:
        caller: the pipeline.
        rpc: ``package.Service/Method``.

    Raises:
        PermissionDenied: the call neither reads nor writes files.
    """
    method = rpc.partition("/")[2]
    if rpc in _WRITES or (method.startswith(_READS) and not rpc.startswith(_UNREADABLE)):
        return
    raise errors.PermissionDenied(
        f"{rpc} is not allowed with the token of a pipeline ({caller.name}), which reads data and writes to its own"
        " output repo; make this call with another login"
    )
