"""Every kind of input, with the published SDK, real workers and one server."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

import grpc
import pytest
from pachyderm_sdk.api import pfs, pps
from servers import Server, ended, files_of, make_repo, put, refusal, shell, until

if TYPE_CHECKING:
    from pachyderm_sdk import Client


def run(client: Client, name: str, script: str, input: pps.Input) -> pps.JobInfo:
    """Create a pipeline and wait for its first job."""
    pipeline = pps.Pipeline(name=name)
    client.pps.create_pipeline(pipeline=pipeline, input=input, transform=shell(script), autoscaling=True)
    job = next(iter(client.pps.list_job(pipeline=pipeline)))
    info = ended(client, pipeline, job.job.id)
    assert info.state == pps.JobState.JOB_SUCCESS, info.reason
    return info


def keyed(repo: str, glob: str, **fields: object) -> pps.Input:
    return pps.Input(pps.PfsInput(repo=repo, glob=glob, **fields))  # type: ignore[arg-type]


def test_the_command_of_a_join_sees_the_pair_and_its_key(client: Client) -> None:
    put(client, make_repo(client, "stores"), {"/1.txt": b"one", "/2.txt": b"two"})
    put(client, make_repo(client, "sales"), {"/a-1": b"10", "/b-1": b"20", "/c-3": b"30"})
    sides = [
        keyed("stores", "/(*).txt", join_on="$1", outer_join=True),
        keyed("sales", "/*-(*)", join_on="$1"),
    ]
    name = "$PACH_DATUM_stores_JOIN_ON-$PACH_DATUM_sales_JOIN_ON-$(ls /pfs/sales)"
    script = f'cat /pfs/stores/* $sales >"/pfs/out/{name}"'

    job = run(client, "pairs", script, pps.Input(join=sides))

    assert job.data_total == 3
    assert files_of(client, "pairs@master") == {"/1-1-a-1": b"one10", "/1-1-b-1": b"one20", "/2--": b"two"}


def test_the_command_of_a_group_sees_all_files_of_a_key(client: Client) -> None:
    put(client, make_repo(client, "words"), {"/x/a-1": b"a", "/y/a-2": b"b", "/x/b-1": b"c"})
    input = pps.Input(group=[keyed("words", "/*/(*)-*", group_by="$1")])

    run(client, "counts", 'cat /pfs/words/*/* >"/pfs/out/$PACH_DATUM_words_GROUP_BY"', input)

    listed = list(client.pps.list_datum(input=input))
    assert sorted(len(datum.data) for datum in listed) == [1, 2]
    assert files_of(client, "counts@master") == {"/a": b"ab", "/b": b"c"}


def test_a_folder_and_a_file_in_it_can_be_in_one_group(client: Client) -> None:
    put(client, make_repo(client, "nested"), {"/a/b": b"1", "/a/c": b"2"})
    input = pps.Input(group=[keyed("nested", "/**", group_by="all")])

    run(client, "everything", "cat /pfs/nested/a/b /pfs/nested/a/c >/pfs/out/both", input)

    assert files_of(client, "everything@master") == {"/both": b"12"}


def test_a_cron_input_ticks_by_itself_and_when_it_is_asked_to(client: Client) -> None:
    pipeline = pps.Pipeline(name="clock")
    input = pps.Input(cron=pps.CronInput(name="tick", spec="@every 1s", overwrite=True))
    script = 'ls /pfs/tick >/pfs/out/time; test -f "$tick"'
    client.pps.create_pipeline(pipeline=pipeline, input=input, transform=shell(script))

    until(lambda: files_of(client, "clock@master").get("/time"), "the output of a tick")
    client.pps.delete_pipeline(pipeline=pipeline)
    slow = pps.Input(cron=pps.CronInput(name="tick", spec="@yearly"))
    client.pps.create_pipeline(pipeline=pipeline, input=slow, transform=shell(script))
    client.pps.run_cron(pipeline=pipeline)

    assert until(lambda: files_of(client, "clock@master").get("/time"), "the output of a tick")
    assert refusal(lambda: client.pps.list_datum(input=slow)).code() is grpc.StatusCode.INVALID_ARGUMENT


def test_a_branch_shows_its_trigger_and_moves_by_it(client: Client) -> None:
    master = make_repo(client, "frames")
    stable = pfs.Branch(repo=master.repo, name="stable")
    trigger = pfs.Trigger(branch="master", commits=2, size="1GB")
    client.pfs.create_branch(branch=stable, trigger=trigger)

    put(client, master, {"/a": b"1"})
    newest = put(client, master, {"/b": b"2"})

    until(lambda: client.pfs.inspect_branch(branch=stable).head.id == newest, "the branch to move")
    assert client.pfs.inspect_branch(branch=stable).trigger == trigger


def test_files_without_content_are_linked_into_the_output_without_moving_bytes(client: Client) -> None:
    put(client, make_repo(client, "videos"), {"/a": b"many bytes", "/b/c": b"more", "/b/d": b""})
    input = keyed("videos", "/", empty_files=True)
    script = (
        "test ! -s /pfs/videos/b/c; ln -s /pfs/videos/b /pfs/out/folder; ln -s /pfs/videos/a /pfs/out/file"
    )

    job = run(client, "shuffle", script, input)

    assert files_of(client, "shuffle@master") == {
        "/file": b"many bytes",
        "/folder/c": b"more",
        "/folder/d": b"",
    }
    assert (job.stats.download_bytes, job.stats.upload_bytes) == (0, 0)


def test_datums_are_created_in_batches_as_they_are_asked_for(client: Client) -> None:
    put(client, make_repo(client, "frames"), {f"/{number}": b"x" for number in range(5)})
    start = pps.CreateDatumRequest(start=pps.StartCreateDatumRequest(input=keyed("frames", "/*"), number=2))
    further = pps.CreateDatumRequest(continue_=pps.ContinueCreateDatumRequest(number=2))

    datums = list(client.pps.create_datum(iter([start, further, further])))
    wrong = refusal(lambda: client.pps.create_datum(iter([further])))

    assert sorted(datum.data[0].file.path for datum in datums) == [f"/{number}" for number in range(5)]
    assert wrong.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_lazy_files_are_fetched_when_they_are_opened(client: Client) -> None:
    big = b"0123456789abcde\n" * 20_000
    put(client, make_repo(client, "videos"), {"/a": big, "/b": big, "/c": b"never opened", "/d": b"short"})
    put(client, make_repo(client, "numbers"), {"/1": b"", "/2": b""})
    script = """
        test -p /pfs/videos/c
        paste -d '' /pfs/videos/a /pfs/videos/b | wc -c >/pfs/out/sum-$(ls /pfs/numbers)
        head -c 2 /pfs/videos/d >/pfs/out/head-$(ls /pfs/numbers)
        ln -s /pfs/videos/c /pfs/out/link-$(ls /pfs/numbers)
    """
    input = pps.Input(cross=[keyed("videos", "/", lazy=True), keyed("numbers", "/*")])

    job = run(client, "lazy", script, input)

    outputs = files_of(client, "lazy@master")
    assert outputs["/sum-1"].strip() == outputs["/sum-2"].strip() == b"%d" % (2 * len(big) - 20_000)
    assert (outputs["/head-1"], outputs["/link-2"]) == (b"sh", b"never opened")
    assert job.stats.download_bytes == 2 * (2 * len(big) + len(b"short"))


@pytest.mark.slow
def test_a_killed_server_loses_no_tick_and_makes_none_twice(server: Server) -> None:
    client = server.client()
    input = pps.Input(cron=pps.CronInput(name="tick", spec="@every 1s"))
    client.pps.create_pipeline(pipeline=pps.Pipeline(name="clock"), input=input, transform=shell("true"))
    for _ in range(5):
        until_two_more_ticks(client)
        server.kill()
        server.start()
        client = server.client()

    until(lambda: job_states(client) == {pps.JobState.JOB_SUCCESS}, "the jobs of all ticks to end")
    moments = [datetime.fromisoformat(path[1:]) for path in ticks(client)]
    assert len(moments) >= 10
    assert {later - earlier for earlier, later in pairwise(moments)} == {timedelta(seconds=1)}


def until_two_more_ticks(client: Client) -> None:
    count = len(ticks(client))
    until(lambda: len(ticks(client)) > count + 1, "two more ticks")


def ticks(client: Client) -> list[str]:
    return sorted(files_of(client, "clock_tick@master"))


def job_states(client: Client) -> set[pps.JobState]:
    return {job.state for job in client.pps.list_job(pipeline=pps.Pipeline(name="clock"))}
