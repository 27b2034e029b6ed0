"""Large files go between workers and a real S3 server past ours; when they cannot, they go through it."""

from __future__ import annotations

import os
import random
import sys
import uuid
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest
from pachyderm_sdk.api import pps
from s3_server import BadWay, Relay
from servers import Server, ended, files_of, job_of, make_pipeline, make_repo, put, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pachyderm_sdk import Client
    from s3_server import S3Server

pytestmark = pytest.mark.slow  # named in .ci/run

#: Bytes of what is large here, twice a batch of the worker's.
LARGE = 33 << 20
#: A tenth of it: what "almost nothing" is, calls and claims included.
LITTLE = LARGE // 10
#: What the URLs of workers have, and the server's own requests do not.
BY_URL = "X-Amz-Signature="


class Setting:
    """A server on a bucket, with a counted line from its workers and a way to the store that can go bad."""

    def __init__(self, s3: S3Server, data: Path) -> None:
        self.way = BadWay(s3.address)
        self.line = Relay()
        environment = s3.environment(address=self.way.address)
        store = f"s3://ready/{uuid.uuid4().hex}"
        options = ["--store", store, "--advertise", self.line.address]
        self.server = Server(data, environment=environment, options=options).start()
        self.line.target = self.server.address

    def close(self) -> None:
        self.server.close()
        self.line.close()
        self.way.close()

    def asked_by_url(self, method: str) -> int:
        return sum(1 for line in self.way.requests if line.startswith(method) and BY_URL in line)


@pytest.fixture
def setting(s3: S3Server, tmp_path: Path) -> Iterator[Setting]:
    setting = Setting(s3, tmp_path / "data")
    yield setting
    setting.close()


def summing(client: Client) -> pps.Pipeline:
    """A pipeline whose output says what its input was, in a few bytes."""
    return make_pipeline(client, "sums", "cd /pfs/big; sha256sum * > /pfs/out/sums", "big", glob="/")


def sums(files: dict[str, bytes]) -> bytes:
    lines = [f"{sha256(data).hexdigest()}  {path[1:]}\n" for path, data in sorted(files.items())]
    return "".join(lines).encode()


def test_a_large_input_does_not_pass_through_the_server(setting: Setting) -> None:
    client = setting.server.client()
    big = make_repo(client, "big")
    pipeline = summing(client)
    files = {"/one": os.urandom(LARGE), "/text": b"the same again " * 200_000, "/small": b"small"}

    commit = put(client, big, files)

    assert ended(client, pipeline, commit).state == pps.JobState.JOB_SUCCESS
    assert files_of(client, "sums@master") == {"/sums": sums(files)}
    assert setting.line.bytes < LITTLE
    assert setting.asked_by_url("GET") > 0


def test_an_input_comes_through_the_server_when_the_store_is_out_of_reach(setting: Setting) -> None:
    client = setting.server.client()
    big = make_repo(client, "big")
    pipeline = summing(client)
    files = {"/one": os.urandom(LARGE)}
    setting.way.go_wrong("403", "GET", times=1000, path=BY_URL)

    commit = put(client, big, files)

    assert ended(client, pipeline, commit).state == pps.JobState.JOB_SUCCESS
    assert files_of(client, "sums@master") == {"/sums": sums(files)}
    assert setting.line.bytes > LARGE
    assert setting.asked_by_url("GET") == 1  # once is enough to know


def test_a_read_that_is_cut_short_goes_on_where_it_was(setting: Setting) -> None:
    client = setting.server.client()
    big = make_repo(client, "big")
    pipeline = summing(client)
    files = {"/one": os.urandom(LARGE)}
    for how in ("cut answer", "503", "refuse"):
        setting.way.go_wrong(how, "GET", path=BY_URL)

    commit = put(client, big, files)

    assert ended(client, pipeline, commit).state == pps.JobState.JOB_SUCCESS
    assert files_of(client, "sums@master") == {"/sums": sums(files)}
    assert setting.line.bytes < LITTLE


def making(client: Client) -> pps.Pipeline:
    """A pipeline whose output is as large as its input says, and is what a test can work out again."""
    script = (
        f"{sys.executable} -c 'import random, sys; n = int(open(sys.argv[1]).read());"
        ' open("/pfs/out/made-" + sys.argv[2], "wb").write(random.Random(n).randbytes(n))\''
        " /pfs/seeds/* $(basename /pfs/seeds/*)"
    )
    return make_pipeline(client, "makes", script, "seeds")


def output_of(size: int) -> bytes:
    return random.Random(size).randbytes(size)


def test_a_large_output_does_not_pass_through_the_server(setting: Setting) -> None:
    client = setting.server.client()
    seeds = make_repo(client, "seeds")
    pipeline = making(client)

    commit = put(client, seeds, {"/one": str(LARGE).encode(), "/small": b"1000"})

    assert ended(client, pipeline, commit).state == pps.JobState.JOB_SUCCESS
    assert files_of(client, "makes@master") == {
        "/made-one": output_of(LARGE),
        "/made-small": output_of(1000),
    }
    assert setting.line.bytes < LITTLE
    assert setting.asked_by_url("PUT") == 1


def test_an_output_that_the_store_has_already_is_not_put_again(setting: Setting) -> None:
    client = setting.server.client()
    seeds = make_repo(client, "seeds")
    pipeline = making(client)
    first = put(client, seeds, {"/one": str(LARGE).encode()})
    assert ended(client, pipeline, first).state == pps.JobState.JOB_SUCCESS
    puts, line = setting.asked_by_url("PUT"), setting.line.bytes

    second = put(client, seeds, {"/two": str(LARGE).encode()})

    assert ended(client, pipeline, second).state == pps.JobState.JOB_SUCCESS
    assert files_of(client, "makes@master") == {
        "/made-one": output_of(LARGE),
        "/made-two": output_of(LARGE),
    }
    assert setting.asked_by_url("PUT") == puts
    assert setting.line.bytes - line < LITTLE


def test_an_output_goes_through_the_server_when_the_store_is_out_of_reach(setting: Setting) -> None:
    client = setting.server.client()
    seeds = make_repo(client, "seeds")
    pipeline = making(client)
    setting.way.go_wrong("403", "PUT", times=1000, path=BY_URL)

    commit = put(client, seeds, {"/one": str(LARGE).encode(), "/two": str(LARGE - 1).encode()})

    assert ended(client, pipeline, commit).state == pps.JobState.JOB_SUCCESS
    assert files_of(client, "makes@master") == {
        "/made-one": output_of(LARGE),
        "/made-two": output_of(LARGE - 1),
    }
    assert setting.line.bytes > 2 * LARGE
    logs = [message.message for message in client.pps.get_logs(job=job_of(pipeline, commit))]
    assert any("the object store cannot be used from here" in line for line in logs)


def test_a_pack_whose_way_is_bad_is_put_again(setting: Setting) -> None:
    client = setting.server.client()
    seeds = make_repo(client, "seeds")
    pipeline = making(client)
    for how in ("503", "lose answer"):
        setting.way.go_wrong(how, "PUT", path=BY_URL)

    commit = put(client, seeds, {"/one": str(LARGE).encode()})

    assert ended(client, pipeline, commit).state == pps.JobState.JOB_SUCCESS
    assert files_of(client, "makes@master") == {"/made-one": output_of(LARGE)}
    assert setting.line.bytes < LITTLE
    assert setting.asked_by_url("PUT") == 3


def test_an_output_is_handed_in_to_the_next_server_when_the_first_was_killed(setting: Setting) -> None:
    """The pack is on its way when the server goes; its workers go too, and the datum is run again."""
    client = setting.server.client()
    seeds = make_repo(client, "seeds")
    pipeline = making(client)
    setting.way.go_wrong("stall", "PUT", path=BY_URL)
    commit = put(client, seeds, {"/one": str(LARGE).encode()})
    until(lambda: not setting.way.pending, "the pack to be on its way")

    setting.server.kill()
    setting.server.start()

    client = setting.server.client()
    assert ended(client, pipeline, commit).state == pps.JobState.JOB_SUCCESS
    assert files_of(client, "makes@master") == {"/made-one": output_of(LARGE)}
