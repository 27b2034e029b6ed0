"""What pages show in tests: a project with two pipelines, files of several kinds, a datum that fails, and its log."""

from __future__ import annotations

import json
import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

from pachyderm_sdk.api import pfs, pps
from servers import ENDS, Server

if TYPE_CHECKING:
    from pachyderm_sdk import Client

PROJECT = "default"
#: Copies a picture in a moment; fails on one whose name says so.
COMMAND = """
for file in /pfs/images/*; do
  echo "reading $file"
  case "$file" in *broken*) echo "not a picture: $file" >&2; exit 3;; esac
  cp "$file" /pfs/out/
done
"""
FILES = {
    "/table.csv": b"city,people\n" + b"".join(b"town %d,%d\n" % (n, n * n) for n in range(300)),
    "/notes.md": b"# Notes\n\nSome *text* with a [link](https://example.org/) and <script>alert(1)</script>.\n",
    "/values.json": json.dumps(
        {"name": "values", "list": list(range(50)), "nested": {"deep": [1, 2, 3]}}
    ).encode(),
    "/code.py": b"def answer():\n    return 42\n" * 40,
    "/in/a/deep/folder/file.txt": b"text\n",
}


def png(red: int, green: int, blue: int, size: int = 32) -> bytes:
    """Return a square picture of one colour."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", size, size, 8, 2, 0, 0, 0)
    rows = zlib.compress((b"\0" + bytes((red, green, blue)) * size) * size)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@dataclass(frozen=True)
class Story:
    """Ids of what was made."""

    commits: list[str]
    #: The job whose datum failed, the one before it, and the failed datum.
    failed_job: str
    good_job: str
    failed_datum: str

    def pages(self) -> dict[str, str]:
        """Return the address of every page, by the name of its route."""
        project = f"/ui/p/{PROJECT}"
        first, last = self.commits[0], self.commits[-1]
        job = f"{project}/jobs/edges/{self.failed_job}"
        return {
            "home": "/ui/",
            "dag": project,
            "repos": f"{project}/repos",
            "repo": f"{project}/repos/images",
            "commits": f"{project}/repos/images/commits?branch=master",
            "tree": f"{project}/repos/images/tree/master/",
            "compare": f"{project}/repos/images/compare/{first}...{last}/",
            "pipelines": f"{project}/pipelines",
            "pipeline": f"{project}/pipelines/edges",
            "create": f"{project}/new",
            "edit": f"{project}/pipelines/edges/edit",
            "projectJobs": f"{project}/jobs",
            "jobCompare": f"{project}/jobs/compare/edges/{self.good_job}...{self.failed_job}",
            "job": job,
            "datum": f"{job}/datums/{self.failed_datum}",
            "jobs": "/ui/jobs",
            "runs": "/ui/runs",
            "run": f"/ui/runs/{self.failed_job}",
            "logs": f"/ui/logs?project={PROJECT}&pipeline=edges&job={self.failed_job}",
            "machines": "/ui/machines",
            "settings": "/ui/settings",
            "settingsPart": "/ui/settings/about",
        }

    def file(self, path: str) -> str:
        """Return the address of a file of the repo ``texts``."""
        return f"/ui/p/{PROJECT}/repos/texts/tree/master{quote(path)}"


def tell(server: Server) -> Story:
    """Make it all and wait for the end of its jobs."""
    client = server.client()
    for name in ("images", "texts"):
        client.pfs.create_repo(repo=pfs.Repo(name=name), description=f"{name} of the tests")
    branch = pfs.Branch.from_uri("texts@master")
    with client.pfs.commit(branch=branch) as commit:
        for path, data in FILES.items():
            commit.put_file_from_bytes(path, data)
    commits = [_put(client, {f"/picture-{n}.png": png(40 * n, 80, 200 - 30 * n) for n in range(5)})]
    for name, source, command in (
        ("edges", "images", COMMAND),
        ("montage", "edges", "ls /pfs/edges > /pfs/out/list"),
    ):
        client.pps.create_pipeline(
            pipeline=pps.Pipeline(name=name),
            description=f"{name} of the tests",
            transform=pps.Transform(cmd=["bash"], stdin=command.splitlines()),
            input=pps.Input(pfs=pps.PfsInput(repo=source, glob="/*" if name == "edges" else "/")),
            parallelism_spec=pps.ParallelismSpec(constant=2),
            autoscaling=True,
            datum_tries=2,
        )
    good = _ended(client, "edges")
    _ended(client, "montage")
    commits.append(_put(client, {"/broken.png": b"not a picture", "/picture-9.png": png(200, 200, 0)}))
    failed = _ended(client, "edges", after=good)
    datums = client.pps.list_datum(job=pps.Job(pipeline=pps.Pipeline(name="edges"), id=failed))
    [datum] = [info.datum.id for info in datums if info.state == pps.DatumState.FAILED]
    return Story(commits, failed, good, datum)


def _put(client: Client, files: dict[str, bytes]) -> str:
    with client.pfs.commit(branch=pfs.Branch.from_uri("images@master")) as commit:
        for path, data in files.items():
            commit.put_file_from_bytes(path, data)
    return commit.id


def _ended(client: Client, pipeline: str, after: str = "") -> str:
    """Wait until the newest job of a pipeline has ended, and return its id.

    Args:
        client: of the SDK.
        pipeline: its name.
        after: id of a job that is not the one.
    """
    while True:
        jobs = list(client.pps.list_job(pipeline=pps.Pipeline(name=pipeline), number=1))
        if jobs and jobs[0].job.id != after:
            info = client.pps.inspect_job(job=jobs[0].job, wait=True)
            if info.state in ENDS:
                return jobs[0].job.id
