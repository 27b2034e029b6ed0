"""Workers and servers that are killed again and again under load change nothing that people can see of any job."""

from __future__ import annotations

import contextlib
import os
import random
import time
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
}


def make(client: Client) -> dict[str, pfs.Branch]:
    """Make two repos and a pipeline of each kind of input over them."""
    branches = {name: make_repo(client, name) for name in "ab"}
    for name, branch in branches.items():
        put(client, branch, {"/first": name.encode()})
    for name, input in INPUTS.items():
        client.pps.create_pipeline(
            pipeline=pps.Pipeline(name=name),
            input=input,
            transform=shell(SCRIPT),
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
def test_kills_under_load_lose_nothing_and_make_nothing_twice(server: Server, tmp_path: Path) -> None:
    expected = undisturbed(tmp_path)
    source, kills = random.Random(SEED), random.Random(SEED + 1)
    client = server.client()
    branches = make(client)
    cron = pps.Pipeline(name="ticks")
    input = pps.Input(cron=pps.CronInput(name="tick", spec="@every 1s"))
    client.pps.create_pipeline(
        pipeline=cron, input=input, transform=shell("cp /pfs/tick/* /pfs/out/"), autoscaling=True
    )

    for number in range(KILLS):
        for _ in range((number + 1) * COMMITS // KILLS - number * COMMITS // KILLS):
            change(source, server.client(), branches)
        kill_something(kills, server)
        time.sleep(kills.uniform(0.0, 0.3))  # the times of kills are what is drawn, not a wait for a state
    client = server.client()
    seen = all_ended(client)
    client.pps.stop_pipeline(pipeline=cron)

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
