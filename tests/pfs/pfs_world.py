"""A store without a server, on a new database."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from postgres_server import database_url

from trunkline.app import composition
from trunkline.app.clock import SystemClock
from trunkline.drivers.objects.memory import MemoryObjects
from trunkline.meta import install
from trunkline.meta.database import Database
from trunkline.pfs import repos

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from trunkline.model.names import RepoName
    from trunkline.pfs.repository import VersionedStore


@contextlib.contextmanager
def new_store(kind: str, folder: Path, *new_repos: RepoName) -> Iterator[VersionedStore]:
    """Open a store with some repos, and close it.

    Args:
        kind: of the database, sqlite or postgresql.
        folder: for the database.
        new_repos: are created.
    """
    with database_url(kind, folder, installed=True) as url:
        db = Database(url, lambda _: None)
        install.install(db, 0.0)
        versions = composition.core(db, MemoryObjects(), None, SystemClock()).versions  # type: ignore[arg-type]
        for repo in new_repos:
            versions.write(repos.create_repo, repo, "", update=False)
        yield versions
        versions.chunks.close()
        db.close()
