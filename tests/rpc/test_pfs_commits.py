"""Commits and commit sets through the published SDK."""

from __future__ import annotations

import datetime
import re
import threading

import grpc
import pytest
from betterproto import serialized_on_wire
from pachyderm_sdk.api import pfs
from patience import PATIENCE, eventually
from sdk_steps import content, is_finished, paths_of, put, refusal

IMAGES = pfs.Repo.from_uri("images")
MASTER = pfs.Branch.from_uri("images@master")
EDGES = pfs.Branch.from_uri("edges@master")


@pytest.fixture
def images(client):
    client.pfs.create_repo(repo=IMAGES)
    return client


@pytest.fixture
def edges(images):
    """A repo whose master branch comes from that of ``images``; its first commit is finished."""
    images.pfs.create_repo(repo=EDGES.repo)
    images.pfs.create_branch(branch=EDGES, provenance=[MASTER])
    images.pfs.finish_commit(commit=pfs.Commit.from_uri("edges@master"), force=True)
    return images


def ids(stream):
    return [info.commit.id for info in stream]


def test_a_commit_tells_its_story_from_start_to_finish(images):
    first = put(images, MASTER, {"/a": b"1"})
    commit = images.pfs.start_commit(branch=MASTER, description="second")

    opened = images.pfs.inspect_commit(commit=commit)
    images.pfs.finish_commit(commit=commit)
    finished = images.pfs.inspect_commit(commit=commit, wait=pfs.CommitState.FINISHED)

    assert re.fullmatch("[0-9a-f]{12}4[0-9a-f]{19}", commit.id)
    assert not is_finished(opened)
    assert opened.description == "second"
    assert opened.parent_commit.id == first.id
    assert opened.origin.kind == pfs.OriginKind.USER
    assert finished.started <= finished.finishing <= finished.finished
    assert finished.details.size_bytes == 1
    assert images.pfs.inspect_commit(commit=first).child_commits[0].id == commit.id


def test_the_deprecated_branch_of_a_commit_is_never_told(server, images):
    from trunkline.client.channel import Channel
    from trunkline.rpc.gen import pfs_pb2

    put(images, MASTER, {"/a": b"1"})
    branch = pfs_pb2.Branch(repo=pfs_pb2.Repo(name="images"), name="master")
    request = pfs_pb2.InspectCommitRequest(commit=pfs_pb2.Commit(branch=branch))
    with Channel(server.address) as channel:
        reply = channel.unary("/pfs_v2.API/InspectCommit", request.SerializeToString())

    assert not pfs_pb2.CommitInfo.FromString(reply).commit.HasField("branch")


def test_a_second_commit_waits_for_the_first_to_finish(images):
    commit = images.pfs.start_commit(branch=MASTER)

    code, message = refusal(images.pfs.start_commit, branch=MASTER)

    assert code == grpc.StatusCode.FAILED_PRECONDITION
    assert re.search(f"parent commit default/images@{commit.id} has not been finished", message)


def test_a_finished_commit_cannot_be_finished_or_written_again(images):
    commit = put(images, MASTER, {"/a": b"1"})

    for call in (
        lambda: images.pfs.finish_commit(commit=commit),
        lambda: images.pfs.put_file_from_bytes(commit=commit, path="/b", data=b"2"),
        lambda: images.pfs.clear_commit(commit=commit),
    ):
        code, message = refusal(call)
        assert code == grpc.StatusCode.FAILED_PRECONDITION
        assert re.search("commit [^ ]+ has already finished", message)


def test_what_was_written_to_an_open_commit_can_be_cleared(images):
    commit = images.pfs.start_commit(branch=MASTER)
    images.pfs.put_file_from_bytes(commit=commit, path="/a", data=b"1")

    images.pfs.clear_commit(commit=commit)
    images.pfs.finish_commit(commit=commit)

    assert content(images, "images@master") == {}


def test_a_commit_finished_with_an_error_keeps_its_reason_and_not_its_changes(images):
    put(images, MASTER, {"/good": b"1"})
    commit = images.pfs.start_commit(branch=MASTER)
    images.pfs.put_file_from_bytes(commit=commit, path="/bad", data=b"2")

    images.pfs.finish_commit(commit=commit, error="the scanner was on fire")
    put(images, MASTER, {"/next": b"3"})

    assert images.pfs.inspect_commit(commit=commit).error == "the scanner was on fire"
    assert content(images, "images@master") == {"/good": b"1", "/next": b"3"}


@pytest.mark.parametrize(
    ("uri", "position"),
    [("master", 0), ("master^", 1), ("master^2", 2), ("master~1", 1), ("master.1", 2), ("master.3^1", 1)],
)
def test_ancestry_names_earlier_commits(images, uri, position):
    commits = [put(images, MASTER, {f"/{n}": b""}).id for n in range(3)][::-1]

    info = images.pfs.inspect_commit(commit=pfs.Commit.from_uri(f"images@{uri}"))

    assert info.commit.id == commits[position]


@pytest.mark.parametrize(
    ("uri", "code", "text"),
    [
        ("images@master^5", grpc.StatusCode.NOT_FOUND, "history ends"),
        ("images@master.9", grpc.StatusCode.NOT_FOUND, "does not exist"),
        ("images@master^x", grpc.StatusCode.INVALID_ARGUMENT, "not valid ancestry"),
        ("images@deadbeef", grpc.StatusCode.NOT_FOUND, "32 hexadecimal digits"),
        ("images@other", grpc.StatusCode.NOT_FOUND, 'branch "other" not found in repo default/images'),
        (
            "images@0123456789ab40123456789012345678",
            grpc.StatusCode.NOT_FOUND,
            "commit default/images@0123.* not found",
        ),
        ("nothing@master", grpc.StatusCode.NOT_FOUND, "repo default/nothing not found"),
    ],
)
def test_commits_that_are_not_there_are_said_so(images, uri, code, text):
    put(images, MASTER, {"/a": b""})

    status, message = refusal(images.pfs.inspect_commit, commit=pfs.Commit.from_uri(uri))

    assert status == code
    assert re.search(text, message)


def test_lists_of_commits_follow_their_bounds_and_filters(images):
    commits = [put(images, MASTER, {f"/{n}": b""}) for n in range(4)]
    newest_first = [commit.id for commit in reversed(commits)]
    moment = images.pfs.inspect_commit(commit=commits[2]).started

    def listed(**filters):
        return ids(images.pfs.list_commit(repo=IMAGES, **filters))

    assert listed() == newest_first
    assert listed(number=2) == newest_first[:2]
    assert listed(reverse=True) == newest_first[::-1]
    assert listed(reverse=True, number=1) == newest_first[-1:]
    assert listed(to=commits[2]) == newest_first[1:]
    assert listed(to=commits[3], from_=commits[1]) == newest_first[:2]
    assert listed(origin_kind=pfs.OriginKind.AUTO) == []
    assert listed(started_time=moment) == newest_first[2:]


def test_long_lists_of_commits_come_whole(server, images):
    """More than a page, and number and filter count over pages."""
    from trunkline.model.names import RepoName
    from trunkline.pfs import commits
    from trunkline.pfs.branches import BranchName
    from trunkline.storage.sums import EMPTY

    def make(write):
        row = commits.start_commit(write, BranchName(RepoName("default", "images"), "master"))
        commits.close(write, row, tree=EMPTY, size=0, packs=[])
        return row.set_id

    newest_first = [server.versions.write(make) for _ in range(230)][::-1]

    assert ids(images.pfs.list_commit(repo=IMAGES)) == newest_first
    assert ids(images.pfs.list_commit(repo=IMAGES, number=150)) == newest_first[:150]
    assert ids(images.pfs.list_commit(repo=IMAGES, reverse=True)) == newest_first[::-1]
    assert ids(images.pfs.list_commit(repo=IMAGES, to=pfs.Commit.from_uri("images@master"))) == newest_first


@pytest.mark.parametrize(
    ("filters", "text"),
    [
        ({"from_": pfs.Commit.from_uri("images@master")}, "without saying to which"),
        ({"to": pfs.Commit.from_uri("images@master"), "reverse": True}, "reverse"),
        ({"number": -1}, "negative"),
    ],
)
def test_lists_of_commits_with_contradictory_bounds_are_refused(images, filters, text):
    put(images, MASTER, {"/a": b""})

    code, message = refusal(images.pfs.list_commit, repo=IMAGES, **filters)

    assert code == grpc.StatusCode.INVALID_ARGUMENT
    assert text in message


def test_a_subscriber_gets_old_and_new_commits_in_order(images):
    first = put(images, MASTER, {"/a": b"1"})
    stream = images.pfs.subscribe_commit(repo=IMAGES, branch="master", state=pfs.CommitState.FINISHED)

    seen = [next(stream).commit.id]
    second = put(images, MASTER, {"/b": b"2"})
    put(images, pfs.Branch.from_uri("images@other"), {"/c": b"3"})
    third = put(images, MASTER, {"/d": b"4"})
    seen += [next(stream).commit.id, next(stream).commit.id]

    assert seen == [first.id, second.id, third.id]


def test_a_subscriber_can_start_after_a_commit(images):
    first, second = (put(images, MASTER, {f"/{n}": b""}) for n in range(2))

    stream = images.pfs.subscribe_commit(repo=IMAGES, branch="master", from_=first)

    assert next(stream).commit.id == second.id


def test_whoever_waits_for_a_commit_is_told_when_it_finishes(images):
    commit = images.pfs.start_commit(branch=MASTER)
    results = []

    def wait():
        results.append(images.pfs.inspect_commit(commit=commit, wait=pfs.CommitState.FINISHED))

    waiting = threading.Thread(target=wait)
    waiting.start()
    images.pfs.finish_commit(commit=commit)
    waiting.join(PATIENCE)

    assert is_finished(results[0])


def test_whoever_waits_for_a_commit_that_is_removed_is_told_so(images):
    commit = images.pfs.start_commit(branch=MASTER)
    results = []
    waiting = threading.Thread(
        target=lambda: results.append(
            refusal(images.pfs.inspect_commit, commit=commit, wait=pfs.CommitState.FINISHED)
        )
    )
    waiting.start()

    images.pfs.drop_commit(commit=commit)
    waiting.join(PATIENCE)

    assert results[0][0] == grpc.StatusCode.NOT_FOUND
    assert re.search("commit [^ ]+ (was deleted|not found)", results[0][1])


# --- provenance ------------------------------------------------------------------------------------------


def test_a_new_input_commit_brings_one_downstream_under_the_same_id(edges):
    commit = put(edges, MASTER, {"/a": b"1"})

    output = edges.pfs.inspect_commit(commit=pfs.Commit.from_uri("edges@master"))

    assert output.commit.id == commit.id
    assert output.origin.kind == pfs.OriginKind.AUTO
    assert not is_finished(output)
    assert [c.repo.name for c in output.direct_provenance] == ["images"]
    hooks = edges.pfs.inspect_commit(commit=commit)
    assert [c.repo.name for c in hooks.direct_subvenance] == ["edges"]


def test_an_edge_that_never_propagates_brings_no_commit(images):
    images.pfs.create_repo(repo=EDGES.repo)
    never = pfs.BranchPropagationSpec(branch=MASTER, propagation_spec=pfs.PropagationSpec(never=True))
    images.pfs.create_branch(branch=EDGES, provenance=[MASTER], branch_propagation_specs=[never])
    before = images.pfs.inspect_branch(branch=EDGES)

    put(images, MASTER, {"/a": b"1"})

    assert images.pfs.inspect_branch(branch=EDGES).head.id == before.head.id
    assert before.branch_propagation_specs[0].propagation_spec.never


def test_a_branch_with_provenance_takes_no_commits_of_users(edges):
    for call in (
        lambda: edges.pfs.start_commit(branch=EDGES),
        lambda: edges.pfs.put_file_from_bytes(
            commit=pfs.Commit(branch=EDGES, repo=EDGES.repo), path="/a", data=b"1"
        ),
    ):
        code, message = refusal(call)
        assert code == grpc.StatusCode.FAILED_PRECONDITION
        assert "cannot start a commit on an output branch" in message


def test_a_commit_of_a_branch_with_provenance_but_no_pipeline_is_finished_without_force(edges):
    put(edges, MASTER, {"/a": b"1"})
    output = pfs.Commit.from_uri("edges@master")

    edges.pfs.finish_commit(commit=output)

    assert is_finished(edges.pfs.inspect_commit(commit=output))


def test_an_open_commit_has_empty_details(images):
    commit = images.pfs.start_commit(branch=MASTER)

    info = images.pfs.inspect_commit(commit=commit)

    assert serialized_on_wire(info.details)
    assert info.details.size_bytes == 0


def test_dropping_the_only_commit_of_a_branch_leaves_an_empty_one_that_can_be_dropped_again(images):
    first = put(images, MASTER, {"/a": b"1"})

    images.pfs.drop_commit_set(commit_set=pfs.CommitSet(id=first.id))
    [second] = images.pfs.list_commit(repo=IMAGES)
    images.pfs.drop_commit_set(commit_set=pfs.CommitSet(id=second.commit.id))
    [third] = images.pfs.list_commit(repo=IMAGES)

    assert len({first.id, second.commit.id, third.commit.id}) == 3
    assert list(images.pfs.list_file(file=pfs.File(commit=third.commit, path="/"))) == []


def test_a_commit_with_an_error_keeps_its_files_and_its_children_do_not_get_them(images):
    put(images, MASTER, {"/good": b"1"})
    bad = images.pfs.start_commit(branch=MASTER)
    images.pfs.put_file_from_bytes(commit=bad, path="/bad", data=b"2")
    images.pfs.finish_commit(commit=bad, error="broken")
    child = put(images, MASTER, {"/next": b"3"})

    def listed(commit):
        return paths_of(images.pfs.list_file(file=pfs.File(commit=commit, path="/")))

    assert listed(bad) == ["/bad", "/good"]
    assert listed(child) == ["/good", "/next"]


def test_one_path_from_two_datums_makes_the_commit_fail_when_it_finishes(images):
    commit = images.pfs.start_commit(branch=MASTER)
    tagged = [
        pfs.ModifyFileRequest(add_file=pfs.AddFile(path="/a", datum=tag, raw=b"1")) for tag in ("one", "two")
    ]
    images.pfs.modify_file(iter([pfs.ModifyFileRequest(set_commit=commit), *tagged]))
    images.pfs.finish_commit(commit=commit)

    assert "duplicate path output by different datums" in images.pfs.inspect_commit(commit=commit).error


def test_changes_are_not_searched_from_an_open_commit(images):
    commit = images.pfs.start_commit(branch=MASTER)

    code, message = refusal(lambda: list(images.pfs.find_commits(start=commit, file_path="/a")))

    assert code == grpc.StatusCode.FAILED_PRECONDITION
    assert "open commit" in message


def test_a_branch_in_the_provenance_of_others_is_kept_and_they_are_named(edges):
    code, message = refusal(edges.pfs.delete_branch, branch=MASTER)

    assert code == grpc.StatusCode.FAILED_PRECONDITION
    assert (
        'branch "default/images@master" cannot be deleted because it\'s in the direct provenance of'
        " [default/edges@master]"
    ) in message


def test_a_branch_takes_no_head_of_another_repo(edges):
    commit = put(edges, MASTER, {"/a": b"1"})

    code, message = refusal(edges.pfs.create_branch, branch=pfs.Branch.from_uri("edges@other"), head=commit)

    assert code == grpc.StatusCode.INVALID_ARGUMENT
    assert "branch and head commit must belong to the same repo" in message


def test_nothing_is_squashed_into_an_open_child(images):
    first = put(images, MASTER, {"/a": b"1"})
    images.pfs.start_commit(branch=MASTER)

    code, message = refusal(images.pfs.squash_commit_set, commit_set=pfs.CommitSet(id=first.id))

    assert code == grpc.StatusCode.FAILED_PRECONDITION
    assert "cannot squash until child commit" in message


def test_an_output_commit_is_ready_once_its_input_is_finished(edges):
    commit = edges.pfs.start_commit(branch=MASTER)
    ready = []

    def wait():
        output = pfs.Commit(repo=EDGES.repo, id=commit.id)
        ready.append(edges.pfs.inspect_commit(commit=output, wait=pfs.CommitState.READY))

    waiting = threading.Thread(target=wait)
    waiting.start()
    edges.pfs.finish_commit(commit=commit)
    waiting.join(PATIENCE)

    assert not is_finished(ready[0])


def test_a_commit_set_tells_its_commits_and_what_they_came_from(edges):
    commit = put(edges, MASTER, {"/a": b"1"})

    infos = list(edges.pfs.inspect_commit_set(commit_set=pfs.CommitSet(id=commit.id)))

    assert [info.commit.repo.name for info in infos] == ["images", "edges"]
    assert {info.commit.id for info in infos} == {commit.id}


def test_waiting_for_a_commit_set_ends_when_its_last_commit_is_finished(edges):
    commit = put(edges, MASTER, {"/a": b"1"})
    stream = edges.pfs.inspect_commit_set(commit_set=pfs.CommitSet(id=commit.id), wait=True)

    first = next(stream)
    edges.pfs.finish_commit(commit=pfs.Commit.from_uri("edges@master"), force=True)
    rest = list(stream)

    assert first.commit.repo.name == "images"
    assert [info.commit.repo.name for info in rest] == ["edges"]
    assert is_finished(rest[0])


def test_a_set_id_names_the_commit_of_a_repo_that_the_set_came_from(edges):
    """``repo@<job id>`` works for input repos that have no commit of that id."""
    edges.pfs.create_repo(repo=pfs.Repo.from_uri("settings"))
    settings = put(edges, pfs.Branch.from_uri("settings@master"), {"/s": b""})
    edges.pfs.create_branch(branch=EDGES, provenance=[MASTER, pfs.Branch.from_uri("settings@master")])
    output = edges.pfs.inspect_branch(branch=EDGES).head

    info = edges.pfs.inspect_commit(commit=pfs.Commit.from_uri(f"settings@{output.id}"))

    assert info.commit.id == settings.id != output.id


def test_commit_sets_are_listed_newest_first_by_project(edges):
    ids = [put(edges, MASTER, {f"/{n}": b""}).id for n in range(2)]
    for info in edges.pfs.list_commit_set():
        assert info.commits
    sets = [info.commit_set.id for info in edges.pfs.list_commit_set(project=pfs.Project(name="default"))]

    assert sets[:2] == ids[::-1]
    edges.pfs.create_project(project=pfs.Project(name="empty"))
    assert list(edges.pfs.list_commit_set(project=pfs.Project(name="empty"))) == []


def test_walks_reach_what_a_commit_came_from_and_what_came_from_it(edges):
    commit = put(edges, MASTER, {"/a": b"1"})
    output = pfs.Commit(repo=EDGES.repo, id=commit.id)

    up = edges.pfs.walk_commit_provenance(start=[output.as_picker()])
    down = edges.pfs.walk_commit_subvenance(start=[commit.as_picker()])

    assert [info.commit.repo.name for info in up] == ["images"]
    assert [info.commit.repo.name for info in down] == ["edges"]


@pytest.mark.parametrize(("uri", "position"), [("master", 2), ("master^1", 1), ("master.2", 0)])
def test_pickers_name_commits_as_texts_do(edges, uri, position):
    commits = [put(edges, MASTER, {f"/{n}": b""}) for n in range(3)]

    (info,) = edges.pfs.walk_commit_subvenance(start=[pfs.CommitPicker.from_uri(f"images@{uri}")])

    assert info.commit.id == commits[position].id


# --- removing --------------------------------------------------------------------------------------------


def test_a_dropped_commit_takes_its_changes_along(images):
    first = put(images, MASTER, {"/a": b"1"})
    second = put(images, MASTER, {"/b": b"2"})

    images.pfs.drop_commit_set(commit_set=pfs.CommitSet(id=second.id))

    assert images.pfs.inspect_branch(branch=MASTER).head.id == first.id
    assert content(images, "images@master") == {"/a": b"1"}
    assert not images.pfs.commit_exists(second)


def test_a_squashed_commit_leaves_its_changes_to_its_child(images):
    first = put(images, MASTER, {"/a": b"1"})
    second = put(images, MASTER, {"/b": b"2"})

    images.pfs.squash_commit_set(commit_set=pfs.CommitSet(id=first.id))

    assert content(images, "images@master") == {"/a": b"1", "/b": b"2"}
    assert images.pfs.inspect_commit(commit=second).parent_commit == pfs.Commit()


def test_commits_in_the_middle_are_squashed_not_dropped_and_ends_the_other_way(images):
    first, second = (put(images, MASTER, {f"/{n}": b""}) for n in range(2))

    dropped = refusal(images.pfs.drop_commit_set, commit_set=pfs.CommitSet(id=first.id))
    squashed = refusal(images.pfs.squash_commit_set, commit_set=pfs.CommitSet(id=second.id))
    missing = refusal(images.pfs.squash_commit_set, commit_set=pfs.CommitSet(id="0" * 32))

    assert dropped[0] == squashed[0] == grpc.StatusCode.FAILED_PRECONDITION
    assert "cannot drop a commit that has children" in dropped[1]
    assert "cannot squash a commit that has no children" in squashed[1]
    assert missing == (grpc.StatusCode.NOT_FOUND, f"no commits found for commitset {'0' * 32}")


def test_a_commit_that_others_come_from_goes_only_with_them(edges):
    commit = put(edges, MASTER, {"/a": b"1"})

    code, message = refusal(edges.pfs.drop_commit, commit=commit)
    edges.pfs.drop_commit(commit=commit, recursive=True)

    assert code == grpc.StatusCode.FAILED_PRECONDITION
    assert "recursive" in message
    assert not edges.pfs.commit_exists(commit)
    assert not edges.pfs.commit_exists(pfs.Commit(repo=EDGES.repo, id=commit.id))


def test_commits_that_changed_a_file_are_found(images):
    wrote = put(images, MASTER, {"/a": b"1"})
    other = put(images, MASTER, {"/b": b"2"})
    changed = put(images, MASTER, {"/a": b"3"})
    put(images, MASTER, {"/b": b"4"})

    answers = list(images.pfs.find_commits(start=pfs.Commit.from_uri("images@master"), file_path="/a"))
    near = list(images.pfs.find_commits(start=pfs.Commit.from_uri("images@master"), file_path="/a", limit=3))

    assert [answer.found_commit.id for answer in answers if answer.found_commit] == [changed.id, wrote.id]
    assert (answers[-1].last_searched_commit.id, answers[-1].commits_searched) == (wrote.id, 4)
    assert [answer.found_commit.id for answer in near if answer.found_commit] == [changed.id]
    assert near[-1].last_searched_commit.id == other.id


def test_times_are_utc_and_now(images):
    before = datetime.datetime.now(tz=datetime.UTC) - datetime.timedelta(seconds=1)

    commit = put(images, MASTER, {"/a": b"1"})

    started = images.pfs.inspect_commit(commit=commit).started
    assert before < started < before + datetime.timedelta(seconds=PATIENCE)


def test_many_clients_may_wait_for_one_commit(images):
    commit = images.pfs.start_commit(branch=MASTER)
    results = []
    waiting = [
        threading.Thread(
            target=lambda: results.append(
                images.pfs.inspect_commit(commit=commit, wait=pfs.CommitState.FINISHED).commit.id
            )
        )
        for _ in range(20)
    ]
    for thread in waiting:
        thread.start()

    images.pfs.finish_commit(commit=commit)

    eventually(lambda: len(results) == 20, "everyone to be notified")
    assert set(results) == {commit.id}
    assert paths_of(images.pfs.list_file(file=pfs.File.from_uri("images@master:/"))) == []
    for thread in waiting:
        thread.join(PATIENCE)
