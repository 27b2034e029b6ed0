"""Dumps and profiles of a real server, by the published SDK and the command line."""

from __future__ import annotations

import gzip
import io
import json
import os
import subprocess
import sys
import tarfile
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING

import grpc
import pytest
from pachyderm_sdk.api import debug, pps
from servers import Server, make_repo, pfs_input, put, refusal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from pachyderm_sdk import Client

#: Is planted wherever a client can put a secret.
SECRET = "hunter2-planted"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose settings, specs, logs and metadata hold the secret."""
    data = tmp_path_factory.mktemp("debug") / "data"
    server = Server(data, options=["--allow-origin", "https://user.example.org"]).start()
    client = server.client()
    branch = make_repo(client, "texts")
    client.pps.create_pipeline(
        pipeline=pps.Pipeline(name="leaky"),
        input=pfs_input("texts"),
        transform=pps.Transform(
            cmd=["sh", "-c", f"echo {SECRET}; echo token={SECRET} >&2; exit 3", SECRET],
            env={"PASSWORD": SECRET},
        ),
        description=SECRET,
        autoscaling=True,
    )
    commit = put(client, branch, {"/a": SECRET.encode()})
    client.pps.inspect_job(job=pps.Job(pipeline=pps.Pipeline(name="leaky"), id=commit), wait=True)
    yield server
    server.close()


@pytest.fixture(scope="module")
def client(server: Server) -> Client:
    return server.client()


def unpack(data: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(data))) as archive:
        return {
            member.name: content.read()
            for member in archive
            if (content := archive.extractfile(member)) is not None
        }


def whole(pieces: Iterable[object]) -> dict[str, bytes]:
    return unpack(b"".join(piece.value for piece in pieces))  # type: ignore[attr-defined]


def first_dump(client: Client, **request: object) -> Iterator[object]:
    """Call Dump; the SDK's own method of this name calls DumpV2."""
    return debug.DebugStub.dump(client.debug, **request)


def test_a_dump_describes_the_server_and_holds_no_secret(client: Client) -> None:
    files = whole(first_dump(client))

    jobs = [json.loads(line) for line in files["pipelines/default/leaky/jobs.0.jsonl"].splitlines()]
    assert jobs[0]["state"] == "FAILURE"
    assert json.loads(files["database/rows.json"])["pipeline"] == 1
    assert "listen" in json.loads(files["server/settings.json"])
    assert json.loads(files["pipelines/default/leaky/specs/1.json"])["pipeline"]["name"] == "leaky"
    assert b"leaky" in files["server/log.0.txt"]
    assert "workers/workers.0.jsonl" in files
    assert [name for name, content in files.items() if SECRET.encode() in content] == []


def test_a_dump_of_a_pipeline_and_one_of_the_database_hold_only_that(client: Client) -> None:
    pipeline = whole(first_dump(client, filter=debug.Filter(pipeline=pps.Pipeline(name="leaky"))))
    database = whole(first_dump(client, filter=debug.Filter(database=True)))

    assert {name.split("/")[0] for name in pipeline} == {"pipelines"}
    assert {name.split("/")[0] for name in database} == {"database"}


def test_the_second_dump_sends_progress_first_and_what_its_template_names(client: Client) -> None:
    template = client.debug.get_dump_v2_template().request
    template.system.profiles = []

    chunks = list(
        client.debug.dump_v2(system=template.system, pipelines=template.pipelines, defaults=template.defaults)
    )

    content = b"".join(chunk.content.content for chunk in chunks if chunk.content)
    progress = [chunk.progress for chunk in chunks if chunk.progress]
    files = unpack(content)
    tasks = {step.task for step in progress}
    assert chunks[0].progress.progress == 0
    assert {step.task for step in progress if step.progress == step.total} == tasks
    assert {"server", "database", "workers", "logs", "packages", "pipeline default/leaky"} == tasks
    assert not any(SECRET.encode() in data for data in files.values())


def test_profiles_are_taken_of_the_server(client: Client) -> None:
    second = timedelta(seconds=0.3)

    cpu = whole(client.debug.profile(profile=debug.Profile(name="cpu", duration=second)))
    heap = whole(client.debug.profile(profile=debug.Profile(name="heap", duration=second)))
    threads = whole(client.debug.profile(profile=debug.Profile(name="goroutine")))

    assert b"MainThread;" in cpu["pachd/server/cpu.txt"]
    assert b" builtins.dict\n" in heap["pachd/server/heap.txt"]
    assert b"MainThread;" in threads["pachd/server/threads.txt"]


@pytest.mark.slow
def test_profiles_of_all_kinds_at_once_leave_the_server_running(server: Server) -> None:
    end = time.monotonic() + 15

    def profile(name: str) -> int:
        client, count = server.client(), 0
        while time.monotonic() < end:
            chosen = debug.Profile(name=name, duration=timedelta(seconds=0.05))
            count += bool(whole(client.debug.profile(profile=chosen)))
        return count

    with ThreadPoolExecutor(8) as pool:
        counts = list(pool.map(profile, ["cpu", "heap", "threads", "cpu"] * 2))

    assert all(counts)


@pytest.mark.parametrize(
    "profiles",
    [
        [debug.Profile(name="cpu", duration=timedelta(seconds=200))] * 2,
        [debug.Profile(name="goroutine"), debug.Profile(name="block")],
    ],
    ids=["longer than one profile may take", "one of an unknown name"],
)
def test_a_dump_refuses_its_profiles_before_it_sends_anything(
    client: Client, profiles: list[debug.Profile]
) -> None:
    apps = [debug.App(name="pachd", profile_args=debug.ProfileArgs(profiles=profiles))]

    error = refusal(lambda: next(iter(client.debug.dump_v2(system=debug.System(profiles=apps)))))

    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_the_binary_is_the_list_of_installed_packages(client: Client) -> None:
    packages = whole(client.debug.binary())["pachd/server/packages.txt"].decode()

    assert packages.startswith("trunkline ")
    assert "\nprotobuf==" in packages


def test_what_has_no_meaning_here_is_refused(client: Client) -> None:
    script = debug.Starlark(builtin="dump")
    codes = [
        refusal(lambda: list(client.debug.dump_v2(starlark_scripts=[script]))).code(),
        refusal(lambda: list(client.debug.trace(duration=timedelta(seconds=1)))).code(),
        refusal(lambda: list(client.debug.profile(profile=debug.Profile(name="block")))).code(),
        refusal(
            lambda: list(client.debug.profile(profile=debug.Profile(name="cpu", duration=timedelta(hours=1))))
        ).code(),
        refusal(
            lambda: list(first_dump(client, filter=debug.Filter(pipeline=pps.Pipeline(name="no"))))
        ).code(),
    ]

    assert codes == [
        grpc.StatusCode.UNIMPLEMENTED,
        grpc.StatusCode.UNIMPLEMENTED,
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.NOT_FOUND,
    ]


def test_the_command_line_writes_dumps_and_packages(server: Server, tmp_path: Path) -> None:
    def run(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "trunkline.cli", *words, "--address", server.address]
        return subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ)

    run("debug", "dump", str(tmp_path / "dump.tgz"))
    run("debug", "dump", str(tmp_path / "one.tgz"), "-p", "leaky")
    run("debug", "binary", str(tmp_path / "binary.tgz"))
    template = run("debug", "template").stdout

    assert "database/rows.json" in unpack((tmp_path / "dump.tgz").read_bytes())
    assert {name.split("/")[0] for name in unpack((tmp_path / "one.tgz").read_bytes())} == {"pipelines"}
    assert "pachd/server/packages.txt" in unpack((tmp_path / "binary.tgz").read_bytes())
    assert "leaky" in template
