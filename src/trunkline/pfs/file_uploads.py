"""Puts one file into a commit, from pieces of its content as they arrive (``feed``)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trunkline.model import paths
from trunkline.pfs.write_streams import CommitStream

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trunkline.model.names import CommitName
    from trunkline.pfs.repository import VersionedStore


class FileUpload:
    """Writes a file instead of the one that has its path, as a commit of its own or into an open commit.

    An ``Applier`` of ``feed``: blocks, and is used by one thread at a time.
    """

    def __init__(self, versions: VersionedStore, target: CommitName, path: str) -> None:
        """Begin.

        Args:
            versions: the store.
            target: a branch, or an open commit.
            path: of the file, as the client writes it.

        Raises:
            InvalidArgument: no file may have the path.
        """
        self._versions = versions
        self._target = target
        self._path = paths.clean(path)
        paths.validate(self._path)
        self._stream: CommitStream | None = None
        self._size = 0

    def apply(self, batch: Sequence[bytes]) -> None:
        """Append pieces to the file.

        Raises:
            TrunklineError: the target cannot be written to, as ``CommitStream`` says.
        """
        stream = self._stream
        if stream is None:
            stream = self._stream = CommitStream(self._versions, self._target)
            stream.delete(self._path, "")
        for piece in batch:
            stream.add(self._path, "", piece)
            self._size += len(piece)

    def drain(self) -> None:
        """Hold as little as possible until the next piece."""
        if self._stream is not None:
            self._stream.drain()

    def abort(self) -> None:
        """Drop what was applied, unless it is finished."""
        if self._stream is not None:
            self._stream.abort()

    def finish(self) -> tuple[str, int]:
        """Make the file part of the commit; return the commit's id and the file's bytes.

        Raises:
            TrunklineError: as ``CommitStream.finish``.
        """
        self.apply([b""])  # a file without content is one too
        assert self._stream is not None
        self._stream.finish()
        return self._stream.commit_id, self._size
