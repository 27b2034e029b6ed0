"""Files that are not stored because they can be computed from what is stored.

The layer above computes them: it gives the versioned store a ``DerivedFiles`` for the commits of meta repos
(docs/design/decisions/0032-meta-repos-are-views.md).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from trunkline.meta.commits import CommitRow
    from trunkline.pfs.compositions import FileTree
    from trunkline.storage.sums import TreeId


class DerivedFiles(Protocol):
    """Computes the files of commits whose row names no tree of their own."""

    def files_of(self, row: CommitRow) -> FileTree | None:
        """Return the files of a commit; None when its row and layers name them. Blocks; records nothing."""

    def store(self, row: CommitRow) -> TreeId | None:
        """Store the files of a commit, record them as its tree, and return it; None as above. Blocks."""
