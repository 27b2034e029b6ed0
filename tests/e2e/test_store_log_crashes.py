"""A real server that dies while it writes the store's log: nothing is lost, in the database or in the store."""

from __future__ import annotations

import contextlib
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pachyderm_sdk.api import pfs
from servers import BROKEN, Server, files_of, make_repo, put, until

sys.path.append(str(Path(__file__).parents[1] / "storage"))
from reader import Reader

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pachyderm_sdk import Client

POINTS = ("store_log.copied", "store_log.named", "store_log.recorded")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server that writes the log twice a second, and dies at a point when the file of that name exists."""
    points = ";".join(f"{point}=kill@{tmp_path / point}" for point in POINTS)
    server = Server(
        tmp_path / "data", environment={"TRUNKLINE_FAILPOINTS": points}, options=("--store-lag", "1")
    )
    yield server.start()
    server.close()


def stored(server: Server, repo: str) -> dict[str, dict[str, bytes]]:
    """Return what the object store alone holds of a repo: the files of each finished commit, by the commit's id."""
    reader = Reader(server.data / "objects")
    records: dict[str, Any] = reader.records()
    commits = {}
    for key, record in records.items():
        if key.startswith("commit/") and record["tree"]:
            of = records[f"repo/{record['repo']:016x}"]
            if (of["name"], of["type"]) == (repo, "user"):
                commits[record["set"]] = reader.files(bytes.fromhex(record["tree"]))
    return commits


def put_in_one_call(client: Client, branch: pfs.Branch, files: dict[str, bytes]) -> None:
    """Commit files; a server that dies meanwhile leaves no open commit."""
    newest = pfs.Commit(repo=branch.repo, branch=branch)
    added = [pfs.ModifyFileRequest(add_file=pfs.AddFile(path=path, raw=data)) for path, data in files.items()]
    client.pfs.modify_file(iter([pfs.ModifyFileRequest(set_commit=newest), *added]))


def test_a_server_killed_while_it_writes_the_log_loses_nothing_that_was_acknowledged(
    server: Server, tmp_path: Path
) -> None:
    branch = make_repo(server.client(), "images")
    files: dict[str, bytes] = {}
    commits: dict[str, dict[str, bytes]] = {}
    for number, point in enumerate(POINTS):
        added = {f"/{number}/small": b"%d" % number, f"/{number}/large": b"%d" % number * 100_000}
        (tmp_path / point).touch()
        acknowledged = False
        with contextlib.suppress(*BROKEN):  # it may die before it has answered
            put_in_one_call(server.client(), branch, added)
            acknowledged = True
        killed = server.wait()
        (tmp_path / point).unlink()

        client = server.start().client()
        present = files_of(client, "images@master") if client.pfs.branch_exists(branch) else {}

        assert killed == -signal.SIGKILL
        assert present in ([files | added] if acknowledged else [files | added, files])
        files = present
        if acknowledged:
            commits[client.pfs.inspect_branch(branch=branch).head.id] = files
    last = put(server.client(), branch, {"/last": b"last"})
    commits[last] = files | {"/last": b"last"}

    code = server.terminate()

    assert code == 0
    assert len(commits) > 1
    assert {id: tree for id, tree in stored(server, "images").items() if id in commits} == commits


def test_a_running_server_brings_each_commit_to_the_store_in_the_order_of_the_commits(server: Server) -> None:
    client = server.client()
    branch = make_repo(client, "images")
    ids: list[str] = []
    snapshots: list[list[str]] = []

    def look() -> bool:
        with contextlib.suppress(FileNotFoundError, LookupError):  # changed while it was read
            commits = stored(server, "images")
            snapshots.append([id for id in ids if id in commits])
        return bool(snapshots) and snapshots[-1] == ids

    for number in range(8):
        ids.append(put(client, branch, {f"/{number}": b"%d" % number}))
        if number % 4 == 3:
            until(look, "the store to hold all commits")

    assert len(snapshots) > 1
    assert all(present == ids[: len(present)] for present in snapshots), (
        "never a commit without those before it"
    )
    newest = stored(server, "images")[ids[-1]]
    assert newest == files_of(client, "images@master")
