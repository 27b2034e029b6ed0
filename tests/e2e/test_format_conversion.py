"""Servers of earlier releases left these data folders; today's server converts them and goes on where they were."""

from __future__ import annotations

import json
import lzma
import sqlite3
import sys
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import frozen_stores
import pytest
from blake3 import blake3
from pachyderm_sdk.api import pfs, pps
from servers import Server, ended, put, until

from trunkline.drivers.objects.local import LocalObjects
from trunkline.storage.chunks import PackRecord
from trunkline.storage.rebuild import pack_records

sys.path.append(str(Path(__file__).parents[1] / "storage"))
from reader import Reader

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.slow  # named in .ci/run

FROZEN = Path(__file__).parents[1] / "golden" / "stores"
NAMES = sorted(path.name.removesuffix(".tar.xz") for path in FROZEN.glob("*.tar.xz"))
#: Where a server is killed; tests/pps/test_conversion_interrupted.py interrupts it everywhere.
KILLS = ("conversion.pack_stored", "conversion.trees_recorded", "conversion.switched")


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    """The name of a frozen store."""
    return str(request.param)


@pytest.fixture
def data(name: str, tmp_path: Path) -> Path:
    """The data folder."""
    return unpacked(name, tmp_path)


def unpacked(name: str, folder: Path) -> Path:
    with tarfile.open(FROZEN / f"{name}.tar.xz") as tar:
        tar.extractall(folder / "data", filter="data")
    return folder / "data"


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder that a server has converted, and whose store's log it has written at its end."""
    server = Server(unpacked(NAMES[0], tmp_path_factory.mktemp("converted")))
    try:
        server.start().terminate()
    finally:
        server.close()
    return server.data


@pytest.fixture
def server(data: Path) -> Iterator[Server]:
    server = Server(data)
    yield server
    server.close()


def described(name: str) -> dict[str, dict[str, Any]]:
    """Return what the server that left the folder said of its files."""
    return json.loads(lzma.decompress((FROZEN / f"{name}.json.xz").read_bytes()))  # type: ignore[no-any-return]


def comparable(files: dict[str, frozen_stores.Files]) -> dict[str, frozen_stores.Files]:
    """Leave out the hashes that a conversion changes: of folders with files of more than 28 chunks."""
    return {
        commit: {
            path: [size, "" if path in ("/", "/large/") and "/large/" in rows else digest]
            for path, (size, digest) in rows.items()
        }
        for commit, rows in files.items()
    }


def commits_of(rows: dict[str, Any], at_least: dict[str, Any]) -> dict[str, Any]:
    """Return the entries of the commits that both have: a job that was running is finished meanwhile."""
    return {commit: rows[commit] for commit in at_least}


def test_every_file_of_a_converted_store_is_what_it_was_and_jobs_go_on(server: Server, name: str) -> None:
    before = described(name)

    client = server.start().client()

    after = frozen_stores.files(client)
    assert commits_of(comparable(after), before["files"]) == comparable(before["files"])
    assert commits_of(frozen_stores.changes(client), before["changes"]) == before["changes"]
    twice = pfs.File.from_uri("images@master^:/large/twice")
    with client.pfs.pfs_file(twice) as file:
        assert file.read() == bytes(64 << 20)

    # The job that was running, and the open commit.
    held = pps.Pipeline(name="held")
    running = until(lambda: jobs(client, "held")[-2:], "the jobs of held")
    for job in running:
        assert ended(client, held, job.job.id).state == pps.JobState.JOB_SUCCESS
    images = pfs.Branch(repo=pfs.Repo.from_uri("images"), name="master")
    client.pfs.finish_commit(commit=pfs.Commit(branch=images, repo=images.repo))
    head = client.pfs.inspect_commit(commit=pfs.Commit(branch=images, repo=images.repo)).commit
    paths = set(frozen_stores.files(client)[f"images@{head.id}"])
    assert "/open" in paths
    assert "/few/b" not in paths


def jobs(client: Any, pipeline: str) -> list[pps.JobInfo]:
    """Return the jobs of a pipeline, newest first."""
    return list(client.pps.list_job(pipeline=pps.Pipeline(name=pipeline)))


@pytest.mark.parametrize("name", NAMES[:1], indirect=True)
def test_the_first_job_after_a_conversion_skips_every_datum_that_is_as_it_was(server: Server) -> None:
    client = server.start().client()
    images = pfs.Branch(repo=pfs.Repo.from_uri("images"), name="master")
    client.pfs.finish_commit(commit=pfs.Commit(branch=images, repo=images.repo))

    commit = put(client, images, {"/new": b"8"})

    info = ended(client, pps.Pipeline(name="edges"), commit)
    assert info.state == pps.JobState.JOB_SUCCESS
    assert (info.data_processed, info.data_skipped) == (1, info.data_total - 1)


@pytest.mark.parametrize("name", NAMES[:1], indirect=True)
def test_a_killed_conversion_goes_on(server: Server, name: str, data: Path) -> None:
    before = described(name)["files"]
    for point in KILLS:
        killed = Server(data, environment={"TRUNKLINE_FAILPOINTS": f"{point}=kill"})
        with pytest.raises(AssertionError, match="did not get ready"):
            killed.start()
        assert killed.process is not None
        killed.process.wait()

    client = server.start().client()

    assert commits_of(comparable(frozen_stores.files(client)), before) == comparable(before)


def test_a_converted_store_alone_has_every_file(converted: Path) -> None:
    before = described(NAMES[0])["files"]

    reader = Reader(converted / "objects")
    records: dict[str, Any] = reader.records()

    commits = {
        f"images@{record['set']}": reader.files(bytes.fromhex(record["tree"]))
        for key, record in records.items()
        if key.startswith("commit/") and (of := records[f"repo/{record['repo']:016x}"])["name"] == "images"
        if of["type"] == "user"
    }
    expected = {commit: rows for commit, rows in before.items() if commit.startswith("images@")}
    assert expected.keys() == commits.keys()
    for commit, rows in expected.items():
        sizes = {path: size for path, (size, _) in rows.items() if not path.endswith("/")}
        assert {path: len(content) for path, content in commits[commit].items()} == sizes
        hashes = {
            path: digest for path, (size, digest) in rows.items() if path in sizes and int(size) < 500_000
        }
        assert {path: blake3(commits[commit][path]).hexdigest() for path in hashes} == hashes


def test_the_packs_of_a_converted_store_describe_themselves(converted: Path) -> None:
    connection = sqlite3.connect(converted / "trunkline.db")
    index = connection.execute("SELECT c.id, p.name FROM chunk c JOIN pack p ON p.id = c.pack_id").fetchall()
    assert connection.execute("SELECT count(*) FROM pack WHERE body IS NOT NULL").fetchone() == (0,)
    connection.close()
    records = list(pack_records(LocalObjects(converted / "objects")))
    assert all(isinstance(record, PackRecord) for record in records)
    rebuilt = {
        (id, record.pack) for record in records if isinstance(record, PackRecord) for id, *_ in record.entries
    }
    assert index
    assert set(index) <= rebuilt
