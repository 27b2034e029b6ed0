"""Statements of Pachyderm's reference that no other test holds, with the published SDK on one server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc
from pachyderm_sdk.api import pfs, pps
from servers import ended, files_of, job_of, make_pipeline, make_repo, pfs_input, put, refusal

if TYPE_CHECKING:
    from pachyderm_sdk import Client

COPY = "cp /pfs/*/* /pfs/out/ || true"


def names(pipelines: object) -> list[str]:
    return [info.pipeline.name for info in pipelines]  # type: ignore[attr-defined]


def test_a_job_is_there_before_its_input_is_finished_and_runs_when_it_is(client: Client) -> None:
    images = make_repo(client, "images")
    edges = make_pipeline(client, "edges", COPY, "images", update=True)
    first = next(client.pps.list_job(pipeline=edges))

    of_nothing = ended(client, edges, first.job.id)
    commit = client.pfs.start_commit(branch=images)
    created = next(client.pps.list_job(pipeline=edges))
    client.pfs.finish_commit(commit=commit)
    ran = ended(client, edges, commit.id)

    spec_commit = client.pps.inspect_pipeline(pipeline=edges).spec_commit

    assert client.pps.inspect_pipeline(pipeline=edges).version == 1
    assert list(client.pfs.walk_file(file=pfs.File(commit=spec_commit, path="/"))) == []
    assert (of_nothing.state, of_nothing.data_total) == (pps.JobState.JOB_SUCCESS, 0)
    assert (created.job.id, created.state) == (commit.id, pps.JobState.JOB_CREATED)
    assert created.output_commit.id == commit.id
    assert created.created < ran.started <= ran.finished


def test_jobs_are_listed_by_the_commits_that_their_set_reads(client: Client) -> None:
    images, colors = make_repo(client, "images"), make_repo(client, "colors")
    cross = pps.Input(
        cross=[pps.Input(pfs=pps.PfsInput(repo=name, glob="/")) for name in ("images", "colors")]
    )
    edges = make_pipeline(client, "edges", COPY, "images")
    client.pps.create_pipeline(
        pipeline=pps.Pipeline(name="painted"), input=cross, transform=pps.Transform(cmd=["true"])
    )
    montage = make_pipeline(client, "montage", COPY, "edges")
    first, red = put(client, images, {"/1": b"1"}), put(client, colors, {"/red": b"r"})
    inputs = [pfs.Commit(repo=images.repo, id=first), pfs.Commit(repo=colors.repo, id=red)]

    def listed(**criteria: object) -> set[tuple[str, str]]:
        return {(info.job.pipeline.name, info.job.id) for info in client.pps.list_job(**criteria)}  # type: ignore[arg-type]

    assert listed(input_commit=inputs[:1]) == {
        ("edges", first),
        ("montage", first),
        ("painted", first),
        ("painted", red),
    }
    assert listed(input_commit=inputs) == {("painted", red)}
    assert listed(input_commit=inputs[:1], pipeline=edges) == {("edges", first)}
    assert listed(input_commit=inputs[:1], pipeline=montage) == {("montage", first)}
    assert sorted(names(client.pps.list_pipeline(commit_set=pfs.CommitSet(id=first)))) == [
        "edges", "montage", "painted",
    ]  # fmt: skip


def test_a_job_names_the_commits_that_it_reads_and_a_datum_its_files(client: Client) -> None:
    images = make_repo(client, "images")
    edges = make_pipeline(client, "edges", COPY, "images")
    old = put(client, images, {"/a": b"1"})
    ended(client, edges, old)
    new = put(client, images, {"/b": b"2"})
    ended(client, edges, new)

    job = client.pps.inspect_job(job=job_of(edges, old), details=True)
    leaf = job.details.input.pfs
    [datum] = client.pps.list_datum(job=job.job)
    state = client.pps.inspect_datum(datum=datum.datum).pfs_state

    assert files_of(client, f"{leaf.repo}@{leaf.commit}") == {"/a": b"1"}
    assert (state.commit.repo.type, state.commit.id) == ("meta", old)
    assert [info.file.path for info in client.pfs.list_file(file=state)] == [
        f"/pfs/{datum.datum.id}/images/",
        f"/pfs/{datum.datum.id}/out/",
    ]


def test_pipelines_are_counted_by_state_and_deleted_by_project(client: Client) -> None:
    project = pfs.Project(name="museum")
    client.pfs.create_project(project=project)
    make_repo(client, "images")
    make_repo(client, "museum/images")
    make_pipeline(client, "edges", COPY, "images")
    for name in ("active", "paused"):
        client.pps.create_pipeline(
            pipeline=pps.Pipeline(project=project, name=name),
            input=pps.Input(pfs=pps.PfsInput(repo="images", glob="/*")),
            transform=pps.Transform(cmd=["true"]),
        )
    client.pps.stop_pipeline(pipeline=pps.Pipeline(project=project, name="paused"))

    [summary] = [
        each for each in client.pps.pipelines_summary().summaries if each.project.name == project.name
    ]
    deleted = client.pps.delete_pipelines(projects=[project]).pipelines
    others = names(client.pps.list_pipeline())
    client.pfs.delete_repos(projects=[project])
    client.pfs.delete_project(project=project)

    assert (summary.active_pipelines, summary.paused_pipelines, summary.failed_pipelines) == (1, 1, 0)
    assert sorted(pipeline.name for pipeline in deleted) == ["active", "paused"]
    assert others == ["edges"]


def test_a_pipeline_that_does_not_exist_is_deleted_unless_it_must_exist(client: Client) -> None:
    nobody = pps.Pipeline(name="nobody")

    client.pps.delete_pipeline(pipeline=nobody)
    error = refusal(lambda: client.pps.delete_pipeline(pipeline=nobody, must_exist=True))

    assert error.code() is grpc.StatusCode.NOT_FOUND


def test_a_pipeline_that_is_rerun_skips_what_it_has_done_unless_it_reprocesses(client: Client) -> None:
    images = make_repo(client, "images")
    edges = make_pipeline(client, "edges", COPY, "images")
    ended(client, edges, put(client, images, {"/a": b"1", "/b": b"2"}))

    counts = []
    for reprocess in (False, True):
        client.pps.rerun_pipeline(pipeline=edges, reprocess=reprocess)
        job = ended(client, edges, next(client.pps.list_job(pipeline=edges)).job.id)
        counts.append((job.data_processed, job.data_skipped, job.data_total))

    assert counts == [(0, 2, 2), (2, 0, 2)]


def test_job_sets_are_listed_by_page_with_all_their_jobs(client: Client) -> None:
    images = make_repo(client, "images")
    make_pipeline(client, "edges", COPY, "images")
    montage = make_pipeline(client, "montage", COPY, "edges")
    ids = [put(client, images, {f"/{name}": b"1"}) for name in "abc"]
    ended(client, montage, ids[-1])

    first = list(client.pps.list_job_set(number=2))
    [next_set] = client.pps.list_job_set(number=1, pagination_marker=first[-1].jobs[0].created)
    [oldest] = client.pps.list_job_set(number=1, reverse=True)

    assert [each.job_set.id for each in first] == ids[:0:-1]
    assert {info.job.pipeline.name for info in first[0].jobs} == {"edges", "montage"}
    assert next_set.job_set.id == ids[0]
    assert [info.job.pipeline.name for info in oldest.jobs] == ["edges"]


def test_datums_of_an_input_have_no_state_and_come_by_id(client: Client) -> None:
    put(client, make_repo(client, "images"), {f"/{name}": b"1" for name in "abc"})

    listed = list(client.pps.list_datum(input=pfs_input("images")))

    assert [info.state for info in listed] == [pps.DatumState.UNKNOWN] * 3
    assert [info.datum.id for info in listed] == sorted(info.datum.id for info in listed)
