"""Whole servers whose bytes are in a real S3 bucket, on good days and bad ones."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import uuid
from typing import TYPE_CHECKING

import psutil
import pytest
from pachyderm_sdk.api import pps
from s3_server import SECRET_OF_USERS, BadWay
from servers import BROKEN, Server, ended, files_of, make_pipeline, make_repo, put, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from s3_server import S3Server

    Serve = Callable[..., Server]


@pytest.fixture
def way(s3: S3Server) -> Iterator[BadWay]:
    way = BadWay(s3.address)
    yield way
    way.close()


@pytest.fixture
def serve(s3: S3Server, tmp_path: Path) -> Iterator[Serve]:
    """Start a server on a prefix of its own, perhaps by another way."""
    started: list[Server] = []

    def start(way: str = "") -> Server:
        environment = s3.environment(address=way)
        url = f"s3://ready/{uuid.uuid4().hex}"
        server = Server(tmp_path / "data", environment=environment, options=["--store", url])
        started.append(server)
        return server.start()

    yield start
    for server in started:
        server.close()


COPY = "cp /pfs/images/* /pfs/out/"


def test_the_story_runs_on_a_bucket_and_outlives_a_kill(serve: Serve) -> None:
    server = serve()
    client = server.client()
    images = make_repo(client, "images")
    pipeline = make_pipeline(client, "copies", COPY, "images")
    pictures = {f"/{number}": os.urandom(300_000) for number in range(4)}
    first = put(client, images, pictures)
    assert ended(client, pipeline, first).state == pps.JobState.JOB_SUCCESS

    server.kill()
    server.start()
    client = server.client()

    assert not (server.data / "objects").exists()
    assert files_of(client, "images@master") == pictures
    assert files_of(client, "copies@master") == pictures
    more = {"/9": os.urandom(3 << 20)}
    second = put(client, images, more)
    assert ended(client, pipeline, second).state == pps.JobState.JOB_SUCCESS
    assert files_of(client, "copies@master") == pictures | more


def test_a_store_that_is_busy_and_hangs_up_delays_the_story_and_loses_nothing(
    serve: Serve, way: BadWay
) -> None:
    server = serve(way.address)
    client = server.client()
    images = make_repo(client, "images")
    pipeline = make_pipeline(client, "copies", COPY, "images")
    for how in ("503", "refuse", "cut request", "lose answer"):
        way.go_wrong(how, "PUT")
    for how in ("503", "cut answer"):
        way.go_wrong(how, "GET", times=2)
    pictures = {f"/{number}": os.urandom(700_000) for number in range(6)}

    commit = put(client, images, pictures)

    assert ended(client, pipeline, commit).state == pps.JobState.JOB_SUCCESS
    assert files_of(client, "copies@master") == pictures
    assert files_of(client, "images@master") == pictures


def test_a_server_killed_while_its_pack_is_on_the_way_keeps_what_was_finished(
    serve: Serve, way: BadWay
) -> None:
    server = serve(way.address)
    client = server.client()
    images = make_repo(client, "images")
    before = {"/before": os.urandom(400_000)}
    put(client, images, before)
    commit = client.pfs.start_commit(branch=images)
    way.go_wrong("stall", "PUT")

    def write() -> None:
        with pytest.raises(BROKEN):
            client.pfs.put_file_from_bytes(commit=commit, path="/lost", data=os.urandom(400_000))

    writer = threading.Thread(target=write)
    writer.start()
    until(lambda: not way.pending, "the pack to be on its way")
    server.kill()
    writer.join()
    server.start()

    client = server.client()
    client.pfs.put_file_from_bytes(commit=commit, path="/after", data=b"after")
    client.pfs.finish_commit(commit=commit)
    assert files_of(client, "images@master") == before | {"/after": b"after"}


@pytest.mark.parametrize(
    ("url", "key", "message"),
    [
        ("s3://nowhere-at-all/x", "", "there is no such bucket; create it or name another with --store"),
        ("s3://ready/x", "reader", "allow s3:PutObject and s3:DeleteObject on arn:aws:s3:::ready/x/*"),
        ("ftp://ready/x", "", "use s3://bucket/prefix"),
    ],
)
def test_a_server_that_cannot_use_its_store_says_why_and_does_not_start(
    s3: S3Server, tmp_path: Path, url: str, key: str, message: str
) -> None:
    environment = s3.environment(key=key, secret=SECRET_OF_USERS) if key else s3.environment()
    command = [sys.executable, "-m", "trunkline.cli", "serve", "--data", str(tmp_path), "--store", url]

    done = subprocess.run(
        [*command, "--listen", "127.0.0.1:0"],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode != 0
    assert done.stdout == ""
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


FLOOD = """
import json, os, sys, threading, time
from pachyderm_sdk import Client
from pachyderm_sdk.api import pfs
client = Client.new_in_cluster()
repo = pfs.Repo(name="flood", type="user", project=pfs.Project(name="default"))
commit = pfs.Commit(repo=repo, branch=pfs.Branch(repo=repo, name="master"))
STREAMS, PARTS, sent = 4, 128, [0]

def stream(number):
    yield pfs.ModifyFileRequest(set_commit=commit)
    for part in range(PARTS):
        yield pfs.ModifyFileRequest(add_file=pfs.AddFile(path=f"/{number}", raw=os.urandom(1 << 20)))
        sent[0] += 1

def report():
    while True:
        print(sent[0], flush=True)
        time.sleep(0.2)

threading.Thread(target=report).start()
for number in range(STREAMS):
    threading.Thread(target=client.pfs.modify_file, args=(stream(number),)).start()
"""


@pytest.mark.slow
def test_a_spout_that_writes_faster_than_the_store_takes_waits_and_the_servers_memory_stays_bounded(
    serve: Serve, way: BadWay
) -> None:
    server = serve(way.address)
    client = server.client()
    memory = psutil.Process(server.pid)
    way.go_wrong("503", "PUT", times=1_000_000)
    before = memory.memory_info().rss
    spec = {
        "pipeline": {"name": "flood"}, "transform": {"cmd": [sys.executable, "-c", FLOOD]}, "spout": {},
    }  # fmt: skip
    client.pps.create_pipeline_v2(create_pipeline_request_json=json.dumps(spec))

    def sent() -> list[int]:
        """What the program has handed over so far, in MiB, by its reports."""
        lines = client.pps.get_logs(pipeline=pps.Pipeline(name="flood"))
        return [int(line.message) for line in lines if line.user and line.message.strip().isdigit()]

    # Two seconds of reports without another byte.
    until(lambda: len(reports := sent()) > 10 and 0 < reports[-10] == reports[-1], "the program to wait")
    waiting, held = sent()[-1], memory.memory_info().rss - before
    way.well()
    until(
        lambda: [len(data) for data in files_of(client, "flood@master").values()] == [128 << 20] * 4,
        "the rest",
    )

    assert waiting < 340, "256 MiB of all transfers, and what each stream holds beyond them"
    assert held < 480 << 20
