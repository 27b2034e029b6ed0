"""Load tests of the store, through the published SDK."""

from __future__ import annotations

import json

import grpc
import pytest
from blake3 import blake3
from pachyderm_sdk.api import pfs
from sdk_steps import put, refusal

from trunkline.errors import DataLoss
from trunkline.model.names import CommitName, RepoName
from trunkline.pfs import load_files

#: They go through whole servers for seconds; continuous integration runs them by name.
pytestmark = pytest.mark.slow

BRANCH = pfs.Branch.from_uri("loaded@master")
SPEC = {
    "count": 3,
    "modifications": [{"count": 2, "putFile": {"count": 3, "source": "mixed"}}],
    "fileSources": [
        {
            "name": "mixed",
            "random": {
                "directory": {"depth": {"min": 0, "max": 2}, "run": 2},
                "sizes": [
                    {"min": 0, "max": 99, "prob": 70},
                    {"min": 1_100_000, "max": 1_200_000, "prob": 30},
                ],
            },
        }
    ],
    "validator": {},
}


def run(client, spec=SPEC, **fields):
    return client.debug.run_pfs_load_test(spec=json.dumps(spec), **fields)


def files(client, branch):
    commit = pfs.Commit(branch=branch, repo=branch.repo)
    infos = client.pfs.walk_file(file=pfs.File(commit=commit, path="/"))
    return {
        info.file.path: (info.hash, info.size_bytes) for info in infos if info.file_type == pfs.FileType.FILE
    }


def test_a_load_test_commits_checks_and_says_how_it_went(client):
    answer = run(client, branch=BRANCH, seed=7)

    assert (answer.error, answer.seed, answer.branch) == ("", 7, BRANCH)
    assert answer.state_id
    assert answer.duration.total_seconds() > 0
    assert len(files(client, BRANCH)) == 18
    assert len(list(client.pfs.list_commit(repo=BRANCH.repo))) == 3


def test_a_seed_decides_the_files_and_without_one_they_are_others(client):
    first, second, third = (run(client, {**SPEC, "count": 1}, seed=seed) for seed in (7, 7, 0))

    assert first.branch != second.branch
    assert files(client, first.branch) == files(client, second.branch) != files(client, third.branch)
    assert third.seed > 0


def test_a_later_load_test_reads_the_commits_of_an_earlier_one_and_goes_on(client):
    first = run(client, branch=BRANCH, seed=1)

    second = run(client, branch=BRANCH, seed=2, state_id=first.state_id)

    assert second.error == ""
    assert len(files(client, BRANCH)) == 36


def test_a_load_test_that_reads_something_else_than_before_says_so(client):
    first = run(client, branch=BRANCH, seed=1)
    commits = list(client.pfs.list_commit(repo=BRANCH.repo))
    client.pfs.squash_commit_set(commit_set=pfs.CommitSet(id=commits[1].commit.id))

    second = run(client, branch=BRANCH, state_id=first.state_id)

    assert commits[1].commit.id in second.error
    assert second.state_id == ""


@pytest.mark.parametrize(
    ("frequency", "checked"), [({"count": 2}, 1), ({"prob": 0}, 3), ({"count": 5}, 0), (None, 0)]
)
def test_a_validator_checks_as_often_as_it_says(client, frequency, checked):
    spec = {**SPEC, "validator": None if frequency is None else {"frequency": frequency}}

    answer = run(client, spec, branch=BRANCH)

    state = pfs.Commit(repo=pfs.Repo(name="__filesets__", type="user"), id=answer.state_id)
    with client.pfs.pfs_file(file=pfs.File(commit=state, path="/state")) as body:
        assert len(json.loads(body.read())["commits"]) == checked


def test_names_that_count_are_never_used_twice(client):
    spec = json.loads(json.dumps(SPEC))
    spec["fileSources"][0]["random"] |= {"incrementPath": True, "directory": None}

    answer = run(client, spec, branch=BRANCH)

    assert answer.error == ""
    assert sorted(files(client, BRANCH)) == [f"/{number:016d}" for number in range(18)]


def test_a_spec_with_a_mistake_makes_nothing(client):
    code, _ = refusal(run, client, {**SPEC, "cuont": 1}, branch=BRANCH)

    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert list(client.pfs.list_repo()) == []


def test_a_state_that_is_none_is_refused_in_the_answer(client):
    answer = run(client, branch=BRANCH, state_id="0123456789abcdef0123456789abcdef")

    assert "0123456789abcdef0123456789abcdef" in answer.error


@pytest.mark.parametrize(
    ("expected", "path"),
    [({"/a": b"1"}, "/b"), ({"/a": b"1", "/b": b"2", "/c": b"3"}, "/c"), ({"/a": b"1", "/b": b"x"}, "/b")],
    ids=["too many", "missing", "other"],
)
def test_a_file_that_is_not_what_was_put_is_named(server, expected, path):
    client = server.client()
    client.pfs.create_repo(repo=BRANCH.repo)
    commit = put(client, BRANCH, {"/a": b"1", "/b": b"2"})
    name = CommitName(RepoName("default", "loaded"), id=commit.id)

    with pytest.raises(DataLoss) as caught:
        load_files.compare(
            server.versions, name, {key: blake3(data).digest() for key, data in expected.items()}
        )

    assert f"first {path}," in caught.value.message
