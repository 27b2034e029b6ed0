"""Files that are stored nowhere because they follow from what is stored.

The layer above knows how: it gives the versioned store a ``DerivedFiles`` for the commits of meta repos
(docs/design/decisions/0032-meta-repos-are-views.md).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from trunkline.model import names
from trunkline.storage.segments import EMPTY, TreeId

if TYPE_CHECKING:
    from trunkline.meta.commits import CommitRow
    from trunkline.pfs.compositions import FileTree
    from trunkline.pfs.repository import VersionedStore


class DerivedFiles(Protocol):
    """Computes the files of commits whose row names no tree of their own."""

    def files_of(self, versions: VersionedStore, row: CommitRow) -> FileTree | None:
        """Return the files of a commit; None when its row and layers say them. Blocks; records nothing."""

    def store(self, versions: VersionedStore, row: CommitRow) -> TreeId | None:
        """Store the files of a commit, record them as its tree, and return it; None as above. Blocks."""


def files_of(versions: VersionedStore, row: CommitRow, repo_type: str) -> FileTree | None:
    """Return the files of a commit if they are derived; None when the commit's row and layers say them. Blocks."""
    if versions.derived is None or not _is_derived(row, repo_type):
        return None
    return versions.derived.files_of(versions, row)


def stored_tree(versions: VersionedStore, row: CommitRow, repo_type: str) -> TreeId:
    """Return the tree of a finished commit, storing it first if it was derived until now. Blocks."""
    stored = None
    if versions.derived is not None and _is_derived(row, repo_type):
        stored = versions.derived.store(versions, row)
    return stored or TreeId(row.tree or EMPTY)


def _is_derived(row: CommitRow, repo_type: str) -> bool:
    # An empty tree that was stored is derived again, which costs nothing.
    return repo_type == names.META and row.origin == "AUTO" and TreeId(row.tree or EMPTY) == EMPTY
