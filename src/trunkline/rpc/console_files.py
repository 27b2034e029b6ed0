"""The part of ``trunkline.console.v1.Console`` about folders and versions of files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trunkline.model import names
from trunkline.pfs import folders
from trunkline.pfs.write_streams import DEFAULT_TAG
from trunkline.rpc import convert
from trunkline.rpc.gen import console_pb2 as pb
from trunkline.rpc.servicer import ServicerBase

if TYPE_CHECKING:
    from trunkline.model.names import CommitName
    from trunkline.pfs.commit_lists import Searched
    from trunkline.pfs.folders import Change, Child, Comparison, Counts, FolderPage
    from trunkline.rpc.call import Call


class ConsoleFiles(ServicerBase):
    """Summaries of folders and versions of files."""

    async def ListFolder(self, request: pb.ListFolderRequest, call: Call) -> pb.FolderPage:
        def read() -> FolderPage:
            return folders.list_folder(
                self._store(call),
                _commit(request.tree),
                request.path,
                offset=request.offset,
                from_name=request.from_name,
                number=request.number,
                count=request.count,
            )

        page = await self._blocking(read)
        answer = pb.FolderPage(
            commit_id=page.snapshot.commit_name.id,
            entries=map(_entry, page.children),
            offset=page.offset,
            total=page.total,
        )
        if page.snapshot.finished is not None:
            convert.set_time(answer.finished, page.snapshot.finished)
        if page.folder is not None:
            answer.size_bytes = page.folder.entry.size
            answer.files = page.folder.files
            answer.hash = page.folder.entry.hash
        return answer

    async def CompareFolders(self, request: pb.CompareFoldersRequest, call: Call) -> pb.FolderComparison:
        def read() -> Comparison:
            return folders.compare_folders(
                self._store(call),
                _commit(request.old) if request.old.repo else None,
                _commit(request.new),
                request.path,
                after=request.page_token,
                number=request.number,
            )

        page = await self._blocking(read)
        answer = pb.FolderComparison(
            entries=map(_change, page.changes),
            next_page_token=page.next_name,
            old_commit_id="" if page.old is None else page.old.commit_name.id,
            new_commit_id=page.new.commit_name.id,
        )
        if page.counts is not None:
            _set_counts(answer, page.counts)
            answer.added_bytes, answer.removed_bytes = page.counts.added_bytes, page.counts.removed_bytes
        return answer

    async def ListFileVersion(self, request: pb.ListFileVersionRequest, call: Call) -> pb.FileVersionPage:
        def read() -> tuple[list[Searched], str]:
            return folders.file_versions(
                self._store(call),
                _commit(request.tree),
                request.path,
                after=request.page_token,
                number=request.number,
            )

        versions, token = await self._blocking(read)
        return pb.FileVersionPage(versions=map(_version, versions), next_page_token=token)


def _commit(tree: pb.Tree) -> CommitName:
    repo = names.parse_repo(f"{tree.project or names.DEFAULT_PROJECT}/{tree.repo}")
    return names.parse_revision(repo, tree.ref)


def _entry(child: Child) -> pb.FolderEntry:
    entry = child.entry
    return pb.FolderEntry(
        name=child.name,
        folder=entry.is_dir,
        size_bytes=entry.size,
        files=child.files if entry.is_dir else 0,
        hash=entry.hash,
        datum_id=_datum(entry.tag),
    )


def _change(change: Change) -> pb.ChangedEntry:
    old, new = change.old, change.new
    answer = pb.ChangedEntry(
        name=change.name,
        folder=change.is_folder,
        change="ADDED" if old is None else "REMOVED" if new is None else "CHANGED",
    )
    if old is not None:
        answer.old_size, answer.old_hash, answer.old_files = old.entry.size, old.entry.hash, old.files
    if new is not None:
        answer.new_size, answer.new_hash, answer.new_files = new.entry.size, new.entry.hash, new.files
    if change.counts is not None:
        _set_counts(answer, change.counts)
    return answer


def _set_counts(answer: pb.ChangedEntry | pb.FolderComparison, counts: Counts) -> None:
    answer.added, answer.removed, answer.changed = counts.added, counts.removed, counts.changed


def _version(step: Searched) -> pb.FileVersion:
    now = step.now
    answer = pb.FileVersion(
        commit_id=step.row.set_id,
        change="REMOVED" if now is None else "ADDED" if step.before is None else "CHANGED",
    )
    if step.row.finished is not None:
        convert.set_time(answer.finished, step.row.finished)
    if now is not None:
        answer.size_bytes, answer.hash, answer.datum_id = now.size, now.hash, _datum(now.tag)
    return answer


def _datum(tag: str) -> str:
    return "" if tag == DEFAULT_TAG else tag
