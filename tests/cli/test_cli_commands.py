"""Commands against a scripted server: their requests and their output."""

from __future__ import annotations

import json
import re

import grpc
import pytest
import yaml
from cli_messages import Refusal, commit, pipeline, repo
from google.protobuf.timestamp_pb2 import Timestamp

from trunkline.build_info import build_commit
from trunkline.rpc.gen import control_pb2, pfs_pb2, pps_pb2, version_pb2

ID = "0123456789ab4def8123456789abcdef"
OTHER = "fedcba9876544def8123456789abcdef"
NOON = Timestamp(seconds=1_700_000_000)


def test_create_repo_asks_for_it_in_the_project_in_use(run, server):
    outcome = run("create", "repo", "images", "-d", "holiday", "--project", "art")

    assert outcome == (0, "", "created repo art/images\n")

    request = server.only("CreateRepo")
    assert (request.repo.name, request.repo.type, request.repo.project.name) == ("images", "user", "art")
    assert (request.description, request.update) == ("holiday", False)


def test_a_reference_may_name_its_project(run, server):
    run("inspect", "repo", "art/images.meta")

    asked = server.only("InspectRepo").repo
    assert (asked.project.name, asked.name, asked.type) == ("art", "images", "meta")


def test_list_repo_prints_an_aligned_table(run, server):
    details = pfs_pb2.RepoInfo.Details(size_bytes=1_500_000)
    server.answers["ListRepo"] = [
        pfs_pb2.RepoInfo(repo=repo("images"), details=details, created=NOON, description="one\ntwo"),
        pfs_pb2.RepoInfo(repo=repo("a-much-longer-name"), created=NOON),
    ]

    outcome = run("list", "repo", "--full-timestamps")

    assert outcome.out.splitlines() == [
        "NAME                CREATED                   SIZE (MASTER)  DESCRIPTION",
        "images              2023-11-14T22:13:20.000Z        1.4 MiB  one",
        "a-much-longer-name  2023-11-14T22:13:20.000Z            0 B",
    ]
    assert server.only("ListRepo").type == "user"
    assert [project.name for project in server.only("ListRepo").projects] == ["default"]


@pytest.mark.parametrize("plural", ["repo", "repos"])
def test_an_empty_list_still_has_its_headings(run, plural):
    assert run("list", plural).out == "NAME  CREATED  SIZE (MASTER)  DESCRIPTION\n"
    assert run("list", plural, "-A").out == "PROJECT  NAME  CREATED  SIZE (MASTER)  DESCRIPTION\n"


def test_list_of_every_project_names_none(run, server):
    run("list", "repo", "-A", "--all")

    assert not server.only("ListRepo").projects
    assert server.only("ListRepo").type == ""


def test_json_comes_as_one_document_after_the_other(run, server):
    server.answers["ListRepo"] = [pfs_pb2.RepoInfo(repo=repo("a")), pfs_pb2.RepoInfo(repo=repo("b"))]

    lines = run("list", "repo", "-o", "jsonl").out.splitlines()
    pretty = run("list", "repo", "--raw").out

    assert [json.loads(line)["repo"]["name"] for line in lines] == ["a", "b"]
    first, end = json.JSONDecoder().raw_decode(pretty)
    assert first["repo"] == {"name": "a", "type": "user", "project": {"name": "default"}}
    assert json.loads(pretty[end:])["repo"]["name"] == "b"


def test_yaml_comes_as_documents(run, server):
    server.answers["ListRepo"] = [pfs_pb2.RepoInfo(repo=repo("a")), pfs_pb2.RepoInfo(repo=repo("b"))]

    documents = list(yaml.safe_load_all(run("list", "repo", "-o", "yaml").out))

    assert [document["repo"]["name"] for document in documents] == ["a", "b"]


def test_o_name_prints_one_name_per_line(run, server):
    server.answers["ListRepo"] = [pfs_pb2.RepoInfo(repo=repo("a")), pfs_pb2.RepoInfo(repo=repo("b"))]

    assert run("list", "repo", "-o", "name").out == "default/a\ndefault/b\n"


def test_delete_of_a_missing_repo_is_not_found(run, server):
    server.answers["DeleteRepo"] = pfs_pb2.DeleteRepoResponse(deleted=False)

    assert run("delete", "repo", "x") == (
        3,
        "",
        'trunkline: repo "default/x" not found; "trunkline list repo -A" lists all repos\n',
    )


def test_create_branch_reads_a_bare_head_in_its_own_repo(run, server):
    run("create", "branch", "images@dev", "--head", "master^", "-p", "raw@master", "-p", "art/x@y")

    request = server.only("CreateBranch")
    assert (request.head.repo.name, request.head.branch.name) == ("images", "master^1")
    assert [(b.repo.project.name, b.repo.name, b.name) for b in request.provenance] == [
        ("default", "raw", "master"),
        ("art", "x", "y"),
    ]


def test_start_commit_prints_the_id_and_nothing_else(run, server):
    server.answers["StartCommit"] = commit("images", ID)

    assert run("start", "commit", "images@master", "-m", "first").out == f"{ID}\n"
    assert server.only("StartCommit").branch.name == "master"


def test_list_commit_shows_the_state_of_each(run, server):
    server.answers["ListCommit"] = [
        pfs_pb2.CommitInfo(commit=commit("images", ID), started=NOON, origin={"kind": "USER"}),
        pfs_pb2.CommitInfo(commit=commit("images", OTHER), started=NOON, finished=NOON, error="no room"),
    ]

    lines = run("list", "commit", "images@master", "-n", "5").out.splitlines()

    assert re.search(f"{ID[:12]}  .*  open +- +user", lines[1])
    assert re.search(f"{OTHER[:12]}  .*  failed ", lines[2])
    request = server.only("ListCommit")
    assert (request.repo.name, request.to.branch.name, request.number) == ("images", "master", 5)


def test_wait_commit_fails_when_the_commit_did(run, server):
    server.answers["InspectCommit"] = pfs_pb2.CommitInfo(
        commit=commit("out", ID), finished=NOON, error="no room"
    )

    outcome = run("wait", "commit", f"out@{ID}")

    assert outcome.code == 7
    assert outcome.err == f"trunkline: commit default/out@{ID} finished with an error: no room\n"
    assert server.only("InspectCommit").wait == pfs_pb2.CommitState.FINISHED


def test_subscribe_prints_each_commit(run, server):
    server.answers["SubscribeCommit"] = [pfs_pb2.CommitInfo(commit=commit("images", ID))]

    assert run("subscribe", "commit", "images@master", "--new").out == f"default/images@{ID}\n"
    request = server.only("SubscribeCommit")
    assert (request.branch, request.state) == ("master", pfs_pb2.CommitState.FINISHED)
    assert getattr(request, "from").branch.name == "master"


@pytest.mark.parametrize(
    ("words", "call", "field"),
    [
        (("squash", "commit", ID), "SquashCommitSet", "commit_set"),
        (("squash", "commit", f"images@{ID}"), "SquashCommit", "commit"),
        (("delete", "commit", ID), "DropCommitSet", "commit_set"),
        (("drop", "commit", f"images@{ID}", "--recursive"), "DropCommit", "commit"),
    ],
)
def test_a_bare_id_means_all_commits_of_that_id(run, server, words, call, field):
    assert run(*words).code == 0

    assert getattr(server.only(call), field).id == ID


def test_a_pipeline_spec_is_sent_as_it_is(run, server, tmp_path):
    spec = {"pipeline": {"name": "edges"}, "input": {"pfs": {"repo": "images", "glob": "/*"}}, "x": [1, None]}
    path = tmp_path / "edges.json"
    path.write_text(json.dumps(spec) + json.dumps({**spec, "autoscaling": True}))

    assert run("create", "pipeline", "-f", str(path)) == (0, "", "created pipeline default/edges\n" * 2)

    first, second = created_together(server)
    assert json.loads(first.user_json) == spec
    assert json.loads(second.user_json) == {**spec, "autoscaling": True}
    assert not first.create_pipeline_request.update


def created_together(server):
    """Return the pipelines of the only batch."""
    return [request.create_pipeline_v2 for request in server.only("BatchTransaction").requests]


def test_a_spec_goes_to_the_project_in_use_unless_it_names_one(run, server, tmp_path):
    path = tmp_path / "specs.yaml"
    path.write_text("pipeline: {name: a}\n---\npipeline: {name: b, project: {name: other}}\n")

    run("update", "pipeline", "-f", str(path), "--project", "art", "--reprocess")

    requests = created_together(server)
    flags = [request.create_pipeline_request for request in requests]
    sent = [json.loads(request.user_json)["pipeline"] for request in requests]
    assert sent == [{"name": "a", "project": {"name": "art"}}, {"name": "b", "project": {"name": "other"}}]
    assert [(flag.update, flag.reprocess) for flag in flags] == [(True, True)] * 2
    assert [flag.pipeline.name for flag in flags] == ["a", "b"]


def test_a_broken_spec_is_refused_with_line_and_column_before_anything_is_sent(run, server, tmp_path):
    path = tmp_path / "edges.json"
    path.write_text('{"pipeline": {"name": "good"}}\n{\n  "pipeline": {"name": "edges",}\n}')

    outcome = run("create", "pipeline", "-f", str(path))

    assert outcome.code == 2
    assert re.search(r"edges\.json.*line 3.*column", outcome.err)
    assert not server.asked


def test_several_specs_are_sent_together_and_a_refusal_changes_nothing(run, server, tmp_path):
    path = tmp_path / "two.json"
    path.write_text('{"pipeline": {"name": "good"}}{"pipeline": "bad"}')
    server.answers["BatchTransaction"] = Refusal(grpc.StatusCode.INVALID_ARGUMENT, "nothing to run")

    outcome = run("create", "pipeline", "-f", str(path))

    assert outcome.code == 2
    assert "two.json: nothing to run; nothing was changed" in outcome.err
    assert "CreatePipelineV2" not in server.asked


def test_the_invalid_spec_of_several_is_named(run, server, tmp_path):
    path = tmp_path / "two.json"
    path.write_text('{"pipeline": {"name": "good"}}{"pipeline": {"name": "bad"}}')
    refusals = iter(
        [pps_pb2.CreatePipelineV2Response(), Refusal(grpc.StatusCode.INVALID_ARGUMENT, "nothing to run")]
    )
    server.answers["CreatePipelineV2"] = lambda _: next(refusals)

    outcome = run("validate", "pipeline", "-f", str(path))

    assert outcome.code == 2
    assert 'two.json, spec 2 of 2 (pipeline "bad"): nothing to run' in outcome.err


def test_a_spec_that_is_not_text_is_refused_in_one_line(run, server, tmp_path):
    path = tmp_path / "spec.bin"
    path.write_bytes(bytes(range(256)))

    outcome = run("create", "pipeline", "-f", str(path))

    assert outcome.code == 2
    assert outcome.err.count("\n") == 1
    assert "spec.bin is not a spec" in outcome.err
    assert not server.asked


def test_a_missing_spec_ends_with_3(run, tmp_path):
    assert run("create", "pipeline", "-f", str(tmp_path / "none.json")).code == 3


def test_an_update_says_that_old_output_stays(run, server, tmp_path):
    path = tmp_path / "edges.json"
    path.write_text('{"pipeline": {"name": "edges"}}')
    versions = iter([1, 2])
    server.answers["InspectPipeline"] = lambda _: pps_pb2.PipelineInfo(version=next(versions))

    outcome = run("update", "pipeline", "-f", str(path))

    assert outcome.code == 0
    assert "--reprocess runs them again" in outcome.err


def test_an_input_branch_that_does_not_exist_is_named_on_creation(run, server, tmp_path):
    path = tmp_path / "total.json"
    inputs = [{"pfs": {"repo": "raw", "branch": branch, "glob": "/"}} for branch in ("nope", "master")]
    path.write_text(json.dumps({"pipeline": {"name": "total"}, "input": {"cross": inputs}}))
    server.answers["InspectBranch"] = Refusal(grpc.StatusCode.NOT_FOUND, "no such branch")

    outcome = run("create", "pipeline", "-f", str(path))

    assert outcome.code == 0
    assert "raw@nope" in outcome.err
    assert server.only("InspectBranch").branch.name == "nope"


def test_warnings_of_the_server_about_a_spec_go_to_standard_error(run, server, tmp_path):
    path = tmp_path / "edges.json"
    path.write_text('{"pipeline": {"name": "edges"}}')
    details = pps_pb2.PipelineInfo.Details(reason="resource_limits.gpu has no effect on this fleet")
    server.answers["InspectPipeline"] = pps_pb2.PipelineInfo(details=details)

    outcome = run("create", "pipeline", "-f", str(path))

    assert (outcome.code, outcome.out) == (0, "")
    assert "resource_limits.gpu has no effect on this fleet" in outcome.err


def test_a_jsonnet_template_is_refused_as_one(run, server):
    outcome = run("create", "pipeline", "-f", "edges.jsonnet")

    assert outcome.code == 2
    assert "template" in outcome.err
    assert not server.asked


def test_a_repo_is_refused_where_a_branch_is_needed(run, server):
    outcome = run("create", "branch", "raw")

    assert outcome.code == 2
    assert '"raw" is not a branch' in outcome.err
    assert not server.asked


def test_storage_that_is_larger_than_what_was_written_saves_nothing(run, server):
    server.answers["InspectStorage"] = control_pb2.StorageInfo(
        written_bytes=1000, chunk_bytes=2000, stored_bytes=3000
    )

    lines = run("inspect", "storage").out.splitlines()

    assert lines[-1].split() == ["Saved:", "0", "B"]


def test_the_repos_of_a_spec_are_those_of_its_project(run, server, tmp_path):
    path = tmp_path / "total.json"
    path.write_text(
        '{"pipeline": {"name": "total"}, "input": {"cross": [{"pfs": {"repo": "raw", "glob": "/"}}]}}'
    )

    run("list", "datum", "-f", str(path), "--project", "sales")

    assert server.asked["ListDatum"][0].input.cross[0].pfs.project == "sales"


def test_a_forced_delete_of_a_project_deletes_its_pipelines_and_repos_first(run, server):
    run("delete", "project", "art", "-f", "--yes")

    assert list(server.asked) == ["InspectProject", "DeletePipelines", "DeleteRepos", "DeleteProject"]


@pytest.mark.parametrize("noun", ["repo", "pipeline"])
def test_an_empty_list_of_an_unknown_project_ends_with_3(run, server, noun):
    server.answers["InspectProject"] = Refusal(grpc.StatusCode.NOT_FOUND, "project nope not found")

    assert run("list", noun, "--project", "nope").code == 3


def test_a_dry_run_prints_what_would_take_effect(run, server, tmp_path):
    path = tmp_path / "edges.json"
    path.write_text('{"pipeline": {"name": "edges"}}')
    server.answers["CreatePipelineV2"] = pps_pb2.CreatePipelineV2Response(
        effective_create_pipeline_request_json='{"datumTries": 3}'
    )

    assert json.loads(run("create", "pipeline", "-f", str(path), "--dry-run").out) == {"datumTries": 3}
    assert server.only("CreatePipelineV2").dry_run


def test_list_pipeline_shows_input_state_and_workers(run, server):
    details = pps_pb2.PipelineInfo.Details(
        workers_requested=5, workers_available=2, description="finds edges"
    )
    for name in ("images", "masks"):
        details.input.cross.add(pfs={"repo": name, "glob": "/*"})
    server.answers["ListPipeline"] = [
        pps_pb2.PipelineInfo(
            pipeline=pipeline("edges"),
            version=2,
            state="PIPELINE_RUNNING",
            last_job_state="JOB_SUCCESS",
            details=details,
        )
    ]

    line = run("list", "pipeline", "-o", "wide").out.splitlines()[1]

    assert re.split(r" {2,}", line) == [
        "default", "edges", "2", "(images:/* \u2a2f masks:/*)", "-", "running / success", "2/5", "finds edges"
    ]  # fmt: skip


def job_info(state: str, **more: object) -> pps_pb2.JobInfo:
    return pps_pb2.JobInfo(job=pps_pb2.Job(pipeline=pipeline("edges"), id=ID), state=state, **more)


def test_wait_job_exits_0_on_success(run, server):
    server.answers["InspectJob"] = job_info("JOB_SUCCESS", data_processed=3, data_skipped=10, data_total=13)

    outcome = run("wait", "job", f"edges@{ID}")

    assert outcome.code == 0
    assert "3 + 10 / 13" in outcome.out
    assert server.only("InspectJob").wait


@pytest.mark.parametrize("words", [("wait", "job"), ("inspect", "job", "--wait")])
@pytest.mark.parametrize("state", ["JOB_FAILURE", "JOB_KILLED", "JOB_UNRUNNABLE"])
def test_waiting_for_a_job_that_fails_exits_7_with_the_reason(run, server, words, state):
    server.answers["InspectJob"] = job_info(state, reason="datum 12 failed")

    outcome = run(*words, f"edges@{ID}")

    assert outcome.code == 7
    assert f"ended in {state.removeprefix('JOB_').lower()}: datum 12 failed\n" in outcome.err


def test_inspect_job_of_a_live_job_shows_its_rate_the_time_left_and_late_datums(run, server):
    server.answers["InspectJob"] = job_info("JOB_RUNNING")
    late = {"id": "d1", "paths": ["/a.png"], "worker_id": "w1", "seconds": 9.0, "times_median": 4.5}
    server.answers["InspectProgress"] = control_pb2.JobProgress(
        running=2,
        waiting=5,
        workers=1,
        median_seconds=2.0,
        datums_per_second=0.5,
        seconds_left=14.0,
        late=[late],
    )

    out = run("inspect", "job", f"edges@{ID}").out

    assert re.search(r"Datums now: +2 on 1 workers, 5 wait", out)
    assert re.search(r"Rate: +0\.5 datums/s", out)
    assert re.search(r"Time left: +about 14", out)
    assert re.search(r"Late datum: +/a\.png: .* 4 times the median \(datum d1, worker w1\)", out)


def test_waiting_for_an_id_waits_for_all_its_jobs(run, server):
    server.answers["InspectJobSet"] = [job_info("JOB_SUCCESS"), job_info("JOB_FAILURE", reason="r")]

    assert run("wait", "job", ID).code == 7
    assert server.only("InspectJobSet").wait


def test_list_job_filters_by_state(run, server):
    server.answers["ListJob"] = [job_info("JOB_SUCCESS"), job_info("JOB_FAILURE", reason="bad")]

    lines = run("list", "job", "-p", "edges", "--state", "failure").out.splitlines()

    assert len(lines) == 2
    assert lines[1].endswith("failure: bad")
    assert server.only("ListJob").pipeline.name == "edges"


@pytest.mark.parametrize("word", ["edges", "edges@master", f"@{ID}", "a/b/c@" + ID])
def test_what_is_not_a_job_is_refused_before_asking(run, server, word):
    outcome = run("stop", "job", word)

    assert outcome.code == 2
    assert "is not a" in outcome.err
    assert not server.asked


def test_list_datum_filters_by_state(run, server):
    info = pps_pb2.DatumInfo(datum={"id": "d1"}, state="FAILED")
    info.data.add(file=pfs_pb2.File(commit=commit("images", ID), path="/a.png"))
    server.answers["ListDatum"] = [info]

    out = run("list", "datum", f"edges@{ID}", "--state", "failed").out

    assert re.search(r"d1  failed +-  images:/a.png", out)
    assert list(server.only("ListDatum").filter.state) == [pps_pb2.DatumState.FAILED]


def test_list_datum_of_a_spec_sends_its_input(run, server, tmp_path):
    path = tmp_path / "s.json"
    path.write_text('{"pipeline": {"name": "e"}, "input": {"pfs": {"repo": "images", "glob": "/*"}}}')

    run("list", "datum", "-f", str(path))

    assert server.only("ListDatum").input.pfs.repo == "images"


def test_logs_prints_the_lines_alone(run, server):
    server.answers["GetLogs"] = [
        pps_pb2.LogMessage(message="hello\n", ts=NOON),
        pps_pb2.LogMessage(message="you"),
    ]

    assert (
        run("logs", "--job", f"edges@{ID}", "--datum", "d" * 64, "--since", "10m", "--tail", "3").out
        == "hello\nyou\n"
    )

    request = server.only("GetLogs")
    assert (request.datum.id, request.datum.job.id, request.tail) == ("d" * 64, ID, 3)
    assert request.since.seconds == 600
    assert run("logs", "-p", "edges", "--timestamps").out.startswith("2023-11-14T22:13:20.000Z  hello\n")


def test_logs_are_chosen_by_input_files_and_by_a_datum_of_any_job(run, server):
    run("logs", "-p", "edges", "--datum", "d1", "--inputs", "/a,/b", "--inputs", "/c")

    request = server.only("GetLogs")
    assert (request.pipeline.name, request.datum.id, request.datum.job.id) == ("edges", "d1", "")
    assert list(request.data_filters) == ["/a", "/b", "/c"]


def test_older_versions_are_listed_by_number_or_all(run, server):
    run("list", "job", "-p", "edges", "--history", "all", "--state", "failure", "-n", "3")
    run("list", "pipeline", "edges", "--history", "2", "-c", ID, "--state", "running", "-s")

    of_jobs, of_pipelines = server.only("ListJob"), server.only("ListPipeline")
    assert (of_jobs.history, of_jobs.number) == (-1, 0)  # the state is looked at here
    assert (of_pipelines.history, of_pipelines.commit_set.id) == (2, ID)


def test_list_worker_and_explain_show_the_sentences(run, server):
    server.answers["ListWorker"] = [
        control_pb2.WorkerInfo(
            id="w1", project="default", pipeline="edges", state="pending", reason="no memory left"
        )
    ]
    server.answers["ExplainPipeline"] = [control_pb2.Decision(target=5, sentence="13 datums wait")]

    assert "no memory left" in run("list", "worker").out
    assert "5  13 datums wait" in run("explain", "pipeline", "edges").out


def test_events_are_printed_as_lines_and_as_json(run, server):
    happened = {"kind": "job", "at": 1700000000.0, "project": "default", "pipeline": "edges", "job": ID}
    text = json.dumps({**happened, "state": "FAILURE", "reason": "no luck", "started": 1.0})
    server.answers["WatchEvents"] = [control_pb2.Event(id="0123abcd-7", kind="job", json=text)]

    line = run("events", "--kind", "job", "-p", "edges", "-j", ID, "--repo", "images").out
    request = server.only("WatchEvents")
    raw = json.loads(run("events", "--raw").out)

    assert line == f"2023-11-14T22:13:20.000Z  job       default/edges@{ID}  state=FAILURE  reason=no luck\n"
    assert (list(request.kinds), list(request.pipelines), list(request.job_ids)) == (["job"], ["edges"], [ID])
    assert (list(request.projects), list(request.repos)) == (["default"], ["images"])
    assert (request.after, request.stored_only) == ("0", True)
    assert raw == {"id": "0123abcd-7", **json.loads(text)}


def test_events_that_are_not_stored_any_more_are_an_error(run, server):
    reset = control_pb2.Event(id="0123abcd-7", kind="reset", json='{"reason":"expired"}')
    server.answers["WatchEvents"] = [reset]

    ended = run("events", "-f", "--after", "0123abcd-1")

    request = server.only("WatchEvents")
    assert ended.code != 0
    assert "0123abcd-1" in ended.err
    assert (request.after, request.stored_only) == ("0123abcd-1", False)


def test_create_image_sends_requirements_and_files_with_their_modes(run, server, tmp_path):
    (tmp_path / "files" / "opt").mkdir(parents=True)
    (tmp_path / "requirements.txt").write_text("numpy\n")
    script = tmp_path / "files" / "opt" / "run.sh"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    (tmp_path / "files" / "edges.py").write_bytes(b"")

    assert run("create", "image", "pachyderm/opencv", "--from", str(tmp_path)).code == 0

    first, *rest = server.only("CreateImage")
    assert (first.name, first.requirements) == ("pachyderm/opencv", "numpy\n")
    files = [(file.path, file.data, file.mode & 0o111) for request in rest for file in request.files]
    assert files == [("/edges.py", b"", 0), ("/opt/run.sh", b"#!/bin/sh\n", 0o111)]


def test_an_image_that_cannot_be_built_fails_with_the_reason(run, server, tmp_path):
    (tmp_path / "requirements.txt").write_text("no-such-thing\n")
    server.answers["CreateImage"] = control_pb2.ImageInfo(name="x", state="failed", reason="no such thing")

    outcome = run("create", "image", "x", "--from", str(tmp_path))

    assert (outcome.code, outcome.err) == (1, "trunkline: image x could not be built: no such thing\n")


def test_version_shows_both_sides(run, server):
    server.answers["GetVersion"] = version_pb2.Version(
        major=2, minor=12, micro=3, additional="trunkline-0.2.0", git_commit="a" * 40,
        build_date="2026-11-26T22:30:00Z",
    )  # fmt: skip

    commit = build_commit()
    assert run("version").out == (
        f"client  0.1.0 ({commit})\n"
        f"server  0.2.0 (aaaaaaaaaaaa, built 2026-11-26), API 2.12.3  at {server.address}\n"
    )
    assert json.loads(run("version", "-o", "json").out) == {
        "client": {"version": "0.1.0", "commit": commit},
        "server": {
            "version": "0.2.0", "commit": "a" * 12, "built": "2026-11-26T22:30:00Z", "api": "2.12.3",
        },
    }  # fmt: skip
    assert run("version", "--client-only").out == f"client  0.1.0 ({commit})\n"


def test_version_shows_the_version_of_a_server_that_is_not_ours(run, server):
    server.answers["GetVersion"] = version_pb2.Version(major=2, minor=12, micro=3, additional="-rc.1")

    assert run("version").out.splitlines()[1] == f"server  2.12.3-rc.1 (unknown commit)  at {server.address}"


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (grpc.StatusCode.NOT_FOUND, 3),
        (grpc.StatusCode.ALREADY_EXISTS, 4),
        (grpc.StatusCode.FAILED_PRECONDITION, 4),
        (grpc.StatusCode.PERMISSION_DENIED, 5),
        (grpc.StatusCode.UNAUTHENTICATED, 5),
        (grpc.StatusCode.UNAVAILABLE, 6),
        (grpc.StatusCode.INVALID_ARGUMENT, 2),
        (grpc.StatusCode.INTERNAL, 1),
    ],
)
def test_an_error_of_the_server_is_one_line_and_its_exit_code(run, server, code, expected):
    server.answers["CreateRepo"] = Refusal(code, 'repo "images" is trouble; fix it')

    outcome = run("create", "repo", "images")

    message, *page = outcome.err.splitlines()
    assert (outcome.code, outcome.out) == (expected, "")
    assert message == 'trunkline: repo "images" is trouble; fix it'
    assert [line[:5] for line in page] in ([], ["see: "])


def test_top_prints_a_line_per_change_and_ends_when_nothing_runs(run, server):
    looks = iter(
        [
            ("JOB_RUNNING", 1, ["busy", "busy", "starting"]),
            ("JOB_RUNNING", 1, ["busy", "busy", "starting"]),
            ("JOB_SUCCESS", 3, ["idle"]),
            ("JOB_SUCCESS", 3, []),
        ]
    )
    now: list[tuple[str, int, list[str]]] = []

    def pipelines(_):
        now[:] = [next(looks)]
        details = pps_pb2.PipelineInfo.Details(autoscaling=True)
        return [pps_pb2.PipelineInfo(pipeline=pipeline("edges"), state="PIPELINE_RUNNING", details=details)]

    server.answers["ListPipeline"] = pipelines
    server.answers["ListJob"] = lambda _: [job_info(now[0][0], data_processed=now[0][1], data_total=3)]
    server.answers["ListWorker"] = lambda _: [
        control_pb2.WorkerInfo(id=str(n), pipeline="edges", state=state) for n, state in enumerate(now[0][2])
    ]

    outcome = run("top", "--until-idle", "--every", "0.05")

    assert outcome.code == 0
    assert [line.split("  ", 1)[1] for line in outcome.out.splitlines()] == [
        "pipeline edges  running",
        "pipeline edges  3 workers (1 starting, 2 busy)",
        f"job edges@{ID}  running  1 + 0 / 3",
        "pipeline edges  1 worker (1 idle)",
        f"job edges@{ID}  success  3 + 0 / 3",
        "pipeline edges  0 workers",
    ]


@pytest.mark.parametrize("lag", ["0", "0.05", "86401", "nan", "-1"])
def test_a_store_lag_that_is_no_usual_time_is_refused_before_anything_is_created(run, tmp_path, lag):
    outcome = run("serve", "--data", str(tmp_path / "data"), f"--store-lag={lag}")

    assert outcome.code == 2
    assert "--store-lag" in outcome.err
    assert not (tmp_path / "data").exists()


def test_the_help_of_serve_names_what_bounds_losses_in_the_store(run):
    outcome = run("serve", "--help")

    assert outcome.code == 0
    assert [word for word in ("--store-lag SECONDS", "--no-verify-packs") if word not in outcome.out] == []
