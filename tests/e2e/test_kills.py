"""Workers and servers that are killed again and again under load change nothing that people can see of any job."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import random
import sys
import time
import urllib.request
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

import psutil
import pytest
from pachyderm_sdk.api import pfs, pps
from servers import ENDS, Server, files_of, make_repo, put, shell, until

if TYPE_CHECKING:
    from pathlib import Path

    from pachyderm_sdk import Client

#: One in so many kills is that of the server with all its workers.
KILLS = int(os.environ.get("TRUNKLINE_TEST_KILLS", "200"))
SERVER_KILL = 10
COMMITS = 24
SEED = int(os.environ.get("TRUNKLINE_TEST_SEED", "1"))
#: Appends the files of the datum to one of their names: a datum that counted twice would show twice.
SCRIPT = """
cd /pfs
files=$(ls -d */* | grep -v '^out/')
sleep 0.03
cat $files >>"out/$(echo $files | tr ' /' '__')"
"""


class Seen(NamedTuple):
    """What people see of a job."""

    state: str
    total: int
    processed: int
    skipped: int
    files: dict[str, bytes]


def leaf(repo: str, **more: object) -> pps.Input:
    return pps.Input(pfs=pps.PfsInput(repo=repo, glob="/(*)", **more))  # type: ignore[arg-type]


INPUTS = {
    "glob": leaf("a"),
    "cross": pps.Input(cross=[leaf("a"), pps.Input(pfs=pps.PfsInput(repo="b", glob="/"))]),
    "union": pps.Input(union=[leaf("a"), leaf("b")]),
    "join": pps.Input(join=[leaf("a", join_on="$1"), leaf("b", join_on="$1")]),
    "group": pps.Input(group=[leaf("a", group_by="$1"), leaf("b", group_by="$1")]),
    "batch": leaf("a"),
}
#: The same as the script, by a program that processes many datums.
BATCH = """
import os, time
from pathlib import Path
from pachyderm_sdk import batch_all_datums

@batch_all_datums
def copy():
    source = Path(os.environ["a"])
    time.sleep(0.03)
    with open(f"/pfs/out/a_{source.name}", "ab") as out:
        out.write(source.read_bytes())

copy()
"""
#: Commits files with consecutive numbers, each in one call.
SPOUT = """
import time
from pachyderm_sdk import Client
from pachyderm_sdk.api import pfs
client = Client.new_in_cluster()
repo = pfs.Repo(name="spout", type="user", project=pfs.Project(name="default"))
newest = pfs.Commit(repo=repo, branch=pfs.Branch(repo=repo, name="master"))
while True:
    number = len(list(client.pfs.list_file(file=pfs.File(commit=newest, path="/"))))
    added = pfs.AddFile(path=f"/{number:06}", raw=b"x")
    client.pfs.modify_file(iter([pfs.ModifyFileRequest(set_commit=newest), pfs.ModifyFileRequest(add_file=added)]))
    time.sleep(0.2)
"""
#: Seconds until a program runs again that was killed often: its pause, and its start.
AGAIN = 180.0


def python(program: str, **more: bool) -> pps.Transform:
    return pps.Transform(cmd=[sys.executable, "-c", program], **more)


def make_standing(client: Client, port: int) -> None:
    """Make a spout, and a service that shows a repo."""
    spout = {"pipeline": {"name": "spout"}, "transform": {"cmd": [sys.executable, "-c", SPOUT]}, "spout": {}}
    client.pps.create_pipeline_v2(create_pipeline_request_json=json.dumps(spout))
    client.pps.create_pipeline(
        pipeline=pps.Pipeline(name="service"),
        input=pps.Input(pfs=pps.PfsInput(repo="a", glob="/")),
        transform=pps.Transform(
            cmd=[sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1", "--directory", "/pfs"]
        ),
        service=pps.Service(internal_port=port, external_port=port),
    )


def page(port: int, path: str) -> bytes:
    """Return what the service shows; nothing while it does not answer."""
    with (
        contextlib.suppress(OSError, http.client.HTTPException),
        urllib.request.urlopen(f"http://127.0.0.1:{port}/a{path}", timeout=5) as answer,
    ):
        return bytes(answer.read())
    return b""


def make(client: Client) -> dict[str, pfs.Branch]:
    """Make two repos and a pipeline of each kind of input over them."""
    branches = {name: make_repo(client, name) for name in "ab"}
    for name, branch in branches.items():
        put(client, branch, {"/first": name.encode()})
    for name, input in INPUTS.items():
        client.pps.create_pipeline(
            pipeline=pps.Pipeline(name=name),
            input=input,
            transform=shell(SCRIPT) if name != "batch" else python(BATCH, datum_batching=True),
            parallelism_spec=pps.ParallelismSpec(constant=2),
            datum_set_spec=pps.DatumSetSpec(number=2),
            datum_tries=100,  # so many workers may be killed while they run the same datum
        )
    return branches


def change(source: random.Random, client: Client, branches: dict[str, pfs.Branch]) -> None:
    """Make a commit that adds and overwrites some files of a repo, and deletes one."""
    names = [f"/f{number}" for number in range(10)]
    files = {name: b"%d\n" % source.randrange(3) for name in source.sample(names, 4)}
    deleted = source.choice(names)
    put(
        client,
        branches[source.choice("ab")],
        {key: data for key, data in files.items() if key != deleted},
        [deleted],
    )


def all_ended(client: Client) -> dict[str, list[Seen]]:
    """Wait until every job has ended; return them by pipeline, oldest first."""

    def look() -> list[pps.JobInfo] | None:
        infos = [info for name in INPUTS for info in client.pps.list_job(pipeline=pps.Pipeline(name=name))]
        return infos if all(info.state in ENDS for info in infos) else None

    seen: dict[str, list[Seen]] = {}
    for info in reversed(until(look, "every job to end", 300.0)):
        name = info.job.pipeline.name
        counts = info.data_total, info.data_processed, info.data_skipped
        state = pps.JobState(info.state).name + info.reason
        seen.setdefault(name, []).append(Seen(state, *counts, files_of(client, f"{name}@{info.job.id}")))
    return seen


def undisturbed(folder: Path) -> dict[str, list[Seen]]:
    server = Server(folder / "undisturbed").start()
    try:
        source, client = random.Random(SEED), server.client()
        branches = make(client)
        for _ in range(COMMITS):
            change(source, client, branches)
        return all_ended(client)
    finally:
        server.close()


def kill_something(source: random.Random, server: Server) -> None:
    """Kill a worker, or now and then the server, which is started again."""
    if source.randrange(SERVER_KILL) == 0:
        server.kill()
        server.start()
        return
    workers = until(server.worker_processes, "a worker")
    with contextlib.suppress(psutil.NoSuchProcess):  # it ended meanwhile
        source.choice(workers).kill()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_kills_under_load_lose_nothing_and_make_nothing_twice(
    server: Server, tmp_path: Path, port: int
) -> None:
    expected = undisturbed(tmp_path)
    source, kills = random.Random(SEED), random.Random(SEED + 1)
    client = server.client()
    branches = make(client)
    cron = pps.Pipeline(name="ticks")
    input = pps.Input(cron=pps.CronInput(name="tick", spec="@every 1s"))
    client.pps.create_pipeline(
        pipeline=cron, input=input, transform=shell("cp /pfs/tick/* /pfs/out/"), autoscaling=True
    )

    make_standing(client, port)

    for number in range(KILLS):
        for _ in range((number + 1) * COMMITS // KILLS - number * COMMITS // KILLS):
            change(source, server.client(), branches)
        kill_something(kills, server)
        time.sleep(kills.uniform(0.0, 0.3))  # the times of kills are what is drawn, not a wait for a state
    client = server.client()
    seen = all_ended(client)
    client.pps.stop_pipeline(pipeline=cron)
    before = len(files_of(client, "spout@master"))
    put(client, branches["a"], {"/newest": b"at last"})
    until(lambda: page(port, "/newest") == b"at last", "the service to show the newest commit", AGAIN)
    until(lambda: len(files_of(client, "spout@master")) > before, "the spout to go on", AGAIN)

    written = files_of(client, "spout@master")
    assert sorted(written) == [f"/{number:06}" for number in range(len(written))]
    assert set(written.values()) == {b"x"}
    states = [info.state for info in client.pps.list_job(pipeline=pps.Pipeline(name="service"))]
    assert states[0] == pps.JobState.JOB_RUNNING
    assert set(states[1:]) == {pps.JobState.JOB_SUCCESS}
    for name, jobs in expected.items():
        assert sum(job.processed for job in jobs) > COMMITS, name
        assert seen[name] == jobs, name
    ticks = sorted(
        info.file.path for info in client.pfs.walk_file(file=pfs.File.from_uri("ticks_tick@master:/"))
    )[1:]
    times = [
        datetime.fromisoformat(path[1:].replace("Z", "+00:00")).astimezone(UTC).timestamp() for path in ticks
    ]
    assert times == [times[0] + number for number in range(len(times))]
    commits = list(client.pfs.list_commit(repo=pfs.Repo(name="ticks_tick", type="user")))
    assert len(commits) - len(ticks) in (0, 1)  # the first one may be empty
