"""Egress of a commit's files to where a pipeline or a client wants them: the one function for jobs and for the RPC."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trunkline import errors
from trunkline.model import outbound
from trunkline.pfs import egress
from trunkline.pfs.egress import Written

if TYPE_CHECKING:
    from collections.abc import Callable

    from trunkline.model.names import CommitName
    from trunkline.model.spec import Egress, SqlDatabaseEgress
    from trunkline.pfs.files import Snapshot
    from trunkline.pfs.repository import VersionedStore
    from trunkline.ports import Outbound
    from trunkline.pps.secrets import SecretStore

__all__ = ["Egresses", "Written"]


class Egresses:
    """Checks and runs egresses. Blocks; may be used from any thread.

    Args:
        outbound: connects to object stores and databases.
        secrets: with the passwords of databases.
    """

    def __init__(self, outbound: Outbound, secrets: SecretStore) -> None:
        self._outbound = outbound
        self._secrets = secrets

    def check(self, target: Egress) -> None:
        """Check an egress before anything runs, without connecting to its target.

        Raises:
            InvalidArgument: the URL or the format is not valid.
            PermissionDenied: the server may not connect to the URL.
            NotFound: there is no such secret.
        """
        if target.sql_database is not None:
            egress.checked_format(target.sql_database)
            outbound.database(target.sql_database.url)
            self._outbound.check(target.sql_database.url)
            self._password(target.sql_database)
            return
        outbound.destination(_url(target))
        self._outbound.check(_url(target))

    def run(self, versions: VersionedStore, commit: CommitName, target: Egress) -> Written:
        """Send the files of a commit. When it is repeated, the result is the same as of one run.

        Args:
            versions: the store.
            commit: finished.
            target: where to.

        Raises:
            NotFound: there is no such commit.
            FailedPrecondition: the commit is not finished.
            TrunklineError: as of ``send``.
        """
        return self.send(lambda: egress.finished(versions, commit), target)

    def send(self, files: Callable[[], Snapshot], target: Egress) -> Written:
        """Send files. When it is repeated, the result is the same as of one run.

        Args:
            files: returns them; called when the target may be reached.
            target: where to.

        Raises:
            TrunklineError: it failed; whether a repetition can help is ``errors.is_retryable``. A database is
                unchanged then, an object store may have some of the files.
        """
        if target.sql_database is not None:
            password = self._password(target.sql_database)
            return egress.to_database(files, self._outbound, target.sql_database, password)
        return egress.to_objects(files, self._outbound, _url(target))

    def _password(self, target: SqlDatabaseEgress) -> str:
        if target.secret is None or not target.secret.name:
            return ""
        return (
            self._secrets.value(target.secret.name, target.secret.key).decode(errors="replace").rstrip("\n")
        )


def _url(target: Egress) -> str:
    url = target.object_storage.url if target.object_storage is not None else target.url
    if not url:
        raise errors.InvalidArgument("the egress names no target; set object_storage.url or sql_database")
    return url
