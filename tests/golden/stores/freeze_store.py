"""Freezes the data folder of a server of an earlier release: ``python freeze_store.py NAME PYTHON``.

PYTHON is the interpreter in which that release is installed. Beside this script it makes ``NAME.tar.xz``, the database
and the object store after the server was killed in the middle of a job, and ``NAME.json.xz``, what that server said of
every file of every commit. ``tests/e2e/test_format_conversion.py`` starts today's server on it.
"""

from __future__ import annotations

import json
import lzma
import sqlite3
import sys
import tarfile
import tempfile
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parents[1]), str(HERE.parents[1] / "e2e")]

import frozen_stores  # noqa: E402
from pachyderm_sdk.api import pfs, pps  # noqa: E402
from servers import Server, ended, make_pipeline, make_repo, put, until  # noqa: E402

if TYPE_CHECKING:
    from pachyderm_sdk import Client

#: While this file exists, the command of the pipeline "held" does not end.
HOLD = Path("/tmp/trunkline-freeze-hold")
COPY = "cp -r /pfs/images/* /pfs/out/"
HELD = f"""
if [ -e {HOLD} ] && [ -e /pfs/images/late ]; then sleep 1000; fi
{COPY}
"""


def fill(client: Client) -> None:
    """Make commits of every sort, pipelines over files and folders, and a job that is not done."""
    random = Random(11)
    images = make_repo(client, "images")
    many = {
        f"/many/{number:03}/{name}": b"%d %s" % (number, name.encode())
        for number in range(25)
        for name in "abc"
    }
    put(client, images, {"/first": b"1", "/few/a": b"2", "/few/b": b"3", "/empty": b"", **many})
    # Each is a pack of its own; the last is one of 32 chunks, the same ones twice.
    for number in range(3):
        put(client, images, {f"/packs/{number}": random.randbytes(33_000)})
    put(client, images, {"/large/zeros": bytes(64 << 20), "/large/small": random.randbytes(33_000)})
    pipelines = [
        make_pipeline(client, "edges", COPY, "images"),
        make_pipeline(client, "again", COPY.replace("images", "edges"), "edges"),
        make_pipeline(client, "held", HELD, "images"),
    ]
    head = put(client, images, {"/few/c": b"4", "/many/007/b": b"5"}, ["/first", "/many/024/"])
    for pipeline in pipelines:
        ended(client, pipeline, head)
    put(client, images, {"/late": b"6", "/few/a": b"7"})
    with client.pfs.commit(branch=images) as commit:
        commit.put_file_from_bytes("/few/a", b" and more", append=True)
        commit.copy_file(src=pfs.File.from_uri("images@master:/large/zeros"), dst="/large/twice", append=True)
    open_commit = client.pfs.start_commit(branch=images)
    client.pfs.put_file_from_bytes(commit=open_commit, path="/open", data=random.randbytes(33_000))
    client.pfs.delete_file(commit=open_commit, path="/few/b")


def main() -> None:
    """Fill a server's data folder, kill the server, and pack the folder."""
    name, python = sys.argv[1:]
    HOLD.touch()
    with tempfile.TemporaryDirectory() as folder:
        server = Server(Path(folder) / "data", python=(python,)).start()
        try:
            fill(server.client())
            until(lambda: _is_running(server.client()), "the job of held to run")
            client = server.client()
            described = {"files": frozen_stores.files(client), "changes": frozen_stores.changes(client)}
        finally:
            server.close()
            HOLD.unlink()
        data = server.data
        connection = sqlite3.connect(data / "trunkline.db")
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute("VACUUM")
        connection.close()
        with tarfile.open(HERE / f"{name}.tar.xz", "w:xz") as tar:
            for part in ("trunkline.db", "objects"):
                tar.add(data / part, part)
    (HERE / f"{name}.json.xz").write_bytes(lzma.compress(json.dumps(described, sort_keys=True).encode()))


def _is_running(client: Client) -> bool:
    return any(
        job.state == pps.JobState.JOB_RUNNING and job.data_total
        for job in client.pps.list_job(pipeline=pps.Pipeline(name="held"))
    )


if __name__ == "__main__":
    main()
