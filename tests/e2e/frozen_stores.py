"""What a server says of everything it holds, to compare a frozen store before and after its conversion."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pachyderm_sdk.api import pfs

if TYPE_CHECKING:
    from pachyderm_sdk import Client

REPOS = ("images", "edges", "again", "held")
#: Files and folders: size and hash by path.
Files = dict[str, list[int | str]]


def files(client: Client) -> dict[str, Files]:
    """Return every file and folder of every finished commit."""
    return {
        f"{root.commit.repo.name}@{root.commit.id}": {
            info.file.path: [info.size_bytes, info.hash.hex()] for info in client.pfs.walk_file(file=root)
        }
        for root in _roots(client)
    }


def changes(client: Client) -> dict[str, list[list[str]]]:
    """Return the paths in which every finished commit differs from its parent: the new one and the old one."""
    return {
        f"{root.commit.repo.name}@{root.commit.id}": [
            [side.file.path if side.file else "" for side in (diff.new_file, diff.old_file)]
            for diff in client.pfs.diff_file(new_file=root)
        ]
        for root in _roots(client)
        if next(client.pfs.walk_file(file=root), None)
    }


def _roots(client: Client) -> list[pfs.File]:
    return [
        pfs.File(commit=info.commit, path="/")
        for repo in REPOS
        for info in client.pfs.list_commit(repo=pfs.Repo.from_uri(repo))
        if info.finished and info.finished.timestamp() > 0
    ]
