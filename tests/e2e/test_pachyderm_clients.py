"""What Pachyderm's clients rely on beyond the letter of the API, on a whole server with the published SDK."""

from __future__ import annotations

import datetime
import io
import json
import tarfile

import grpc
import pytest
from pachyderm_sdk.api import pfs, pps
from servers import Server, ended, job_of, make_pipeline, make_repo, put, until

from trunkline.client.channel import Channel
from trunkline.rpc.gen import pps_pb2


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    running = Server(tmp_path_factory.mktemp("clients") / "data")
    running.start()
    yield running
    running.terminate()
    running.close()


@pytest.fixture
def client(server):
    return server.client()


def test_a_pipeline_without_input_is_accepted_and_has_no_jobs(client):
    pipeline = pps.Pipeline(name="idle")
    client.pps.create_pipeline(pipeline=pipeline, transform=pps.Transform(cmd=["true"]))

    info = client.pps.inspect_pipeline(pipeline=pipeline, details=True)

    assert info.version == 1
    assert list(client.pps.list_job(pipeline=pipeline)) == []


def test_an_update_may_remove_the_input(client):
    branch = make_repo(client, "removable")
    pipeline = make_pipeline(client, "loses-input", "true", "removable")
    client.pps.create_pipeline(pipeline=pipeline, transform=pps.Transform(cmd=["true"]), update=True)

    before = len(list(client.pps.list_job(pipeline=pipeline)))
    put(client, branch, {"/a": b"1"})

    assert len(list(client.pps.list_job(pipeline=pipeline))) == before
    assert client.pps.inspect_pipeline(pipeline=pipeline).version == 2


def test_a_job_must_be_named(client):
    with pytest.raises(grpc.RpcError) as caught:
        client.pps.inspect_job()

    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "must specify a job" in caught.value.details()


def test_listed_pipelines_have_details_whatever_was_asked(client):
    make_repo(client, "detailed-in")
    make_pipeline(client, "detailed", "true", "detailed-in")

    listed = {info.pipeline.name: info for info in client.pps.list_pipeline(details=False)}

    assert listed["detailed"].details.input.pfs.repo == "detailed-in"


def test_logs_without_a_span_are_those_of_a_day_and_a_job_alone_names_them(client):
    branch = make_repo(client, "log-in")
    pipeline = make_pipeline(client, "log", "echo hello", "log-in")
    job = job_of(pipeline, put(client, branch, {"/a": b"1"}))
    ended(client, pipeline, job.id)

    def messages(**request):
        return [line.message for line in client.pps.get_logs(**request)]

    of_pipeline = messages(pipeline=pipeline, since=datetime.timedelta(0))

    assert any("hello" in message for message in of_pipeline)
    assert any("hello" in message for message in messages(job=job))


def test_kube_events_hold_an_event_each(server, client):
    branch = make_repo(client, "kube-events-in")
    pipeline = make_pipeline(client, "kube-events", "true", branch.repo.name)
    ended(client, pipeline, job_of(pipeline, put(client, branch, {"/a": b"1"})).id)  # by a worker

    with Channel(server.address) as channel:
        request = pps_pb2.LokiRequest().SerializeToString()
        with channel.server_stream("/pps_v2.API/GetKubeEvents", request) as frames:
            lines = [pps_pb2.LokiLogMessage.FromString(bytes(frame)).message for frame in frames]

    assert lines
    assert all(json.loads(json.loads(line)["log"])["message"] for line in lines)


@pytest.mark.parametrize("how", ["stop", "update"])
def test_stopping_and_updating_kill_running_and_waiting_jobs_at_once(client, how):
    branch = make_repo(client, f"killed-{how}-in")
    pipeline = make_pipeline(client, f"killed-{how}", "sleep 600", branch.repo.name)
    ids = [put(client, branch, {f"/{name}": b"1"}) for name in "ab"]
    running = job_of(pipeline, ids[0])
    until(
        lambda: client.pps.inspect_job(job=running).state == pps.JobState.JOB_RUNNING, "the first job to run"
    )

    if how == "stop":
        client.pps.stop_pipeline(pipeline=pipeline)
    else:
        make_pipeline(client, pipeline.name, "true", branch.repo.name, update=True)
    infos = [client.pps.inspect_job(job=job_of(pipeline, id)) for id in ids]

    assert [info.state for info in infos] == [pps.JobState.JOB_KILLED] * 2
    assert all(info.reason for info in infos)


def test_jobs_are_listed_newest_first_over_versions(client):
    branch = make_repo(client, "ordered-in")
    pipeline = make_pipeline(client, "ordered", "true", "ordered-in")
    put(client, branch, {"/a": b"1"})
    make_pipeline(client, "ordered", "true; true", "ordered-in", update=True)
    put(client, branch, {"/b": b"1"})

    listed = list(client.pps.list_job(pipeline=pipeline, history=-1))

    assert [info.pipeline_version for info in listed] == sorted(
        (info.pipeline_version for info in listed), reverse=True
    )
    assert [info.created for info in listed] == sorted((info.created for info in listed), reverse=True)
    assert listed[0].output_commit.branch.name == "master"


def test_a_job_that_runs_lists_the_datums_that_are_done(client):
    branch = make_repo(client, "partial-in")
    script = "test ! -e /pfs/partial-in/slow || sleep 600"
    pipeline = make_pipeline(
        client, "partial", script, "partial-in", parallelism_spec=pps.ParallelismSpec(constant=2)
    )
    job = job_of(pipeline, put(client, branch, {"/quick": b"1", "/slow": b"1"}))

    [done] = until(lambda: list(client.pps.list_datum(job=job)), "the quick datum to be done")

    assert done.state == pps.DatumState.SUCCESS
    client.pps.stop_job(job=job)


def test_services_that_are_not_built_have_nothing_to_delete(server):
    with Channel(server.address) as channel:
        for method in (
            "license_v2.API/DeleteAll",
            "identity_v2.API/DeleteAll",
            "transaction_v2.API/DeleteAll",
        ):
            channel.unary(f"/{method}", b"")


def meta_repo(name):
    return pfs.Repo(name=name, type="meta", project=pfs.Project(name="default"))


def types_of(client, name):
    return sorted(info.repo.type for info in client.pfs.list_repo(type="") if info.repo.name == name)


def test_a_commit_set_has_a_spec_an_output_and_a_meta_commit_for_each_pipeline(client):
    branch = make_repo(client, "counted-in")
    first = make_pipeline(client, "counted-1", "cp /pfs/counted-in/* /pfs/out/", "counted-in")
    alone = list(client.pfs.wait_commit_set(pfs.CommitSet(id=put(client, branch, {"/a": b"1"}))))
    second = make_pipeline(client, "counted-2", "cp /pfs/counted-1/* /pfs/out/", "counted-1")
    id = put(client, branch, {"/b": b"1"})

    chain = list(client.pfs.wait_commit_set(pfs.CommitSet(id=id)))

    assert len(alone) == 4
    assert len(chain) == 7
    assert all(info.finished for info in chain)
    kinds = [(info.commit.repo.name, info.commit.repo.type) for info in chain]
    assert {(pipeline.name, "meta") for pipeline in (first, second)} <= set(kinds)
    assert [info.repo.name for info in client.pfs.list_repo(type="meta")].count("counted-1") == 1


def test_meta_commits_are_inspected_listed_awaited_and_followed(client):
    branch = make_repo(client, "followed-in")
    pipeline = make_pipeline(client, "followed", "true", "followed-in")
    id = put(client, branch, {"/a": b"1"})
    repo = meta_repo(pipeline.name)

    by_branch = client.pfs.wait_commit(pfs.Commit(branch=pfs.Branch(repo=repo, name="master")))
    by_id = client.pfs.inspect_commit(commit=pfs.Commit(repo=repo, id=id), wait=pfs.CommitState.FINISHED)
    followed = client.pfs.subscribe_commit(repo=repo, branch="master", state=pfs.CommitState.FINISHED)

    assert by_branch.commit.id == by_id.commit.id == id
    assert by_id.origin.kind == pfs.OriginKind.AUTO
    assert id in [info.commit.id for info in client.pfs.list_commit(repo=repo, all=True)]
    assert next(info for info in followed if info.commit.id == id).finished


def test_the_files_of_a_meta_commit_are_read_in_every_way(client):
    branch = make_repo(client, "laid-out-in")
    pipeline = make_pipeline(client, "laid-out", "cp /pfs/laid-out-in/* /pfs/out/", "laid-out-in")
    ids = [put(client, branch, {f"/{name}": name.encode()}) for name in "ab"]
    for id in ids:
        ended(client, pipeline, id)
    commit = pfs.Commit(repo=meta_repo(pipeline.name), id=ids[1])
    job = job_of(pipeline, ids[1])
    datums = {info.data[0].file.path: info.datum.id for info in client.pps.list_datum(job=job)}

    def file(path, of=commit):
        return pfs.File(commit=of, path=path)

    def read(path):
        return client.pfs.pfs_file(file(path)).read()

    top = [info.file.path for info in client.pfs.list_file(file=file("/"))]
    walked = [info.file.path for info in client.pfs.walk_file(file=file(f"/pfs/{datums['/a']}"))]
    globbed = [info.file.path for info in client.pfs.glob_file(commit=commit, pattern="/pfs/*/out/*")]
    meta = json.loads(read(f"/meta/{datums['/a']}/meta"))
    tar = b"".join(reply.value for reply in client.pfs.get_file_tar(file=file(f"/pfs/{datums['/b']}/")))
    before = pfs.Commit(repo=commit.repo, id=ids[0])
    differing = [
        reply.new_file.file.path
        for reply in client.pfs.diff_file(new_file=file("/"), old_file=file("/", before))
    ]

    assert top == ["/meta/", "/pfs/"]
    assert [path for path in walked if not path.endswith("/")] == [
        f"/pfs/{datums['/a']}/laid-out-in/a", f"/pfs/{datums['/a']}/out/a",
    ]  # fmt: skip
    assert sorted(globbed) == sorted(f"/pfs/{id}/out{path}" for path, id in datums.items())
    assert read(f"/pfs/{datums['/b']}/out/b") == read(f"/pfs/{datums['/b']}/laid-out-in/b") == b"b"
    assert meta["job"]["id"] == ids[0]
    with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
        assert f"/pfs/{datums['/b']}/out/b".lstrip("/") in [name.lstrip("/") for name in archive.getnames()]
    assert f"/pfs/{datums['/b']}/out/b" in differing
    assert not [path for path in differing if datums["/a"] in path]


def test_output_and_meta_commits_of_a_pipeline_are_finished_by_force_alone(client):
    branch = make_repo(client, "guarded-in")
    pipeline = make_pipeline(client, "guarded", "sleep 600", "guarded-in")
    id = put(client, branch, {"/a": b"1"})
    until(
        lambda: client.pps.inspect_job(job=job_of(pipeline, id)).state == pps.JobState.JOB_RUNNING,
        "the job to run",
    )
    commit = pfs.Commit(repo=meta_repo(pipeline.name), id=id)

    with pytest.raises(grpc.RpcError) as caught:
        client.pfs.finish_commit(commit=commit)
    client.pps.stop_job(job=job_of(pipeline, id), reason="enough")
    info = client.pfs.wait_commit(commit)

    assert caught.value.code() == grpc.StatusCode.FAILED_PRECONDITION
    assert info.error == "enough"


def test_meta_branches_follow_as_long_as_the_pipeline_does_and_go_with_it(client):
    branch = make_repo(client, "going-in")
    pipeline = make_pipeline(client, "going", "true", "going-in")
    of_meta = pfs.Branch(repo=meta_repo(pipeline.name), name="master")
    of_output = pfs.Branch(
        repo=pfs.Repo(name=pipeline.name, type="user", project=of_meta.repo.project), name="master"
    )

    def followed(of):
        info = client.pfs.inspect_branch(branch=of)
        return sorted((up.repo.name, up.repo.type, up.name) for up in info.direct_provenance)

    running = followed(of_meta), followed(of_output)
    client.pps.stop_pipeline(pipeline=pipeline)
    stopped = followed(of_meta)
    client.pps.start_pipeline(pipeline=pipeline)
    again = followed(of_meta)
    before = types_of(client, pipeline.name)
    client.pps.delete_pipeline(pipeline=pipeline, keep_repo=True)

    assert (
        running[0]
        == running[1]
        == again
        == [("going", "spec", "master"), (branch.repo.name, "user", "master")]
    )
    assert stopped == []
    assert before == ["meta", "spec", "user"]
    assert types_of(client, pipeline.name) == ["user"]


def test_squashing_and_dropping_a_commit_set_takes_its_meta_commits(client):
    branch = make_repo(client, "squashed-in")
    pipeline = make_pipeline(client, "squashed", "true", "squashed-in")
    ids = [put(client, branch, {f"/{name}": b"1"}) for name in "abc"]
    for id in ids:
        ended(client, pipeline, id)
    client.pfs.squash_commit_set(commit_set=pfs.CommitSet(id=ids[0]))
    client.pfs.drop_commit_set(commit_set=pfs.CommitSet(id=ids[2]))

    listed = [info.commit.id for info in client.pfs.list_commit(repo=meta_repo(pipeline.name), all=True)]

    assert ids[1] in listed
    assert not {ids[0], ids[2]} & set(listed)


def test_files_of_meta_commits_are_copied_and_put_into_file_sets(client):
    branch = make_repo(client, "copied-in")
    pipeline = make_pipeline(client, "copied", "true", "copied-in")
    id = put(client, branch, {"/a": b"1"})
    ended(client, pipeline, id)
    meta = pfs.Commit(repo=meta_repo(pipeline.name), id=id)
    file_set = client.pfs.get_file_set(commit=meta)
    [source] = [info.file for info in client.pfs.glob_file(commit=meta, pattern="/meta/*/meta")]
    expected = client.pfs.pfs_file(source).read()
    make_repo(client, "copies")

    with client.pfs.commit(branch=pfs.Branch.from_uri("copies@master")) as commit:
        commit.copy_file(src=source, dst="/copy")
        client.pfs.add_file_set(commit=commit, file_set_id=file_set.file_set_id)

    for path in ("/copy", source.path):
        assert client.pfs.pfs_file(pfs.File(commit=commit, path=path)).read() == expected
