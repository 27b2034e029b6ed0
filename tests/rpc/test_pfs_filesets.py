"""File sets through the published SDK."""

from __future__ import annotations

import grpc
import pytest
from pachyderm_sdk.api import pfs
from sdk_steps import content, paths_of, put, refusal

IMAGES = pfs.Repo.from_uri("images")
MASTER = pfs.Branch.from_uri("images@master")


@pytest.fixture
def images(client):
    client.pfs.create_repo(repo=IMAGES)
    return client


def make(client, files, *, delete=()):
    """Make a file set of files (path to bytes); return its handle."""
    messages = [pfs.ModifyFileRequest(delete_file=pfs.DeleteFile(path=path)) for path in delete]
    messages += [pfs.ModifyFileRequest(add_file=pfs.AddFile(path=p, raw=d)) for p, d in files.items()]
    return client.pfs.create_file_set(iter(messages)).file_set_id


def files_of(client, handle):
    return content(client, f"__filesets__@{handle}")


def add(client, *handles):
    """Add file sets to a new commit; return it."""
    with client.pfs.commit(branch=MASTER) as commit:
        for handle in handles:
            client.pfs.add_file_set(commit=pfs.Commit(repo=IMAGES, id=commit.id), file_set_id=handle)
    return commit


def test_a_file_set_can_be_read_like_a_commit(images):
    handle = make(images, {"/a": b"1", "/dir/b": b"2"})

    assert files_of(images, handle) == {"/a": b"1", "/dir/b": b"2"}
    root = pfs.File.from_uri(f"__filesets__@{handle}:/")
    assert paths_of(images.pfs.list_file(file=root)) == ["/a", "/dir/"]


def test_file_sets_are_added_to_open_commits_in_order(images):
    put(images, MASTER, {"/gone": b"0", "/log": b"0"})
    first = make(images, {"/log": b"1"}, delete=["/gone"])
    second = make(images, {"/log": b"2"})

    add(images, first, second)

    assert content(images, "images@master") == {"/log": b"012"}


def test_a_file_set_is_not_added_to_a_finished_commit(images):
    commit = put(images, MASTER, {"/a": b"1"})

    code, message = refusal(images.pfs.add_file_set, commit=commit, file_set_id=make(images, {"/b": b"2"}))

    assert code == grpc.StatusCode.FAILED_PRECONDITION
    assert "has already finished" in message


def test_all_files_of_a_commit_or_only_its_changes_become_a_file_set(images):
    put(images, MASTER, {"/a": b"1", "/b": b"2"})
    second = put(images, MASTER, {"/c": b"3"}, delete=["/a"])

    total = images.pfs.get_file_set(commit=second, type=pfs.GetFileSetRequestFileSetType.TOTAL).file_set_id
    changes = images.pfs.get_file_set(commit=second, type=pfs.GetFileSetRequestFileSetType.DIFF).file_set_id
    other = pfs.Branch.from_uri("images@other")
    images.pfs.create_branch(branch=other, head=pfs.Commit.from_uri("images@master^"))
    with images.pfs.commit(branch=other) as commit:
        images.pfs.add_file_set(commit=pfs.Commit(repo=IMAGES, id=commit.id), file_set_id=changes)

    assert files_of(images, total) == {"/b": b"2", "/c": b"3"}
    assert content(images, "images@other") == {"/b": b"2", "/c": b"3"}


def test_the_changes_of_an_open_commit_become_a_file_set(images):
    put(images, MASTER, {"/a": b"1"})
    commit = images.pfs.start_commit(branch=MASTER)
    images.pfs.put_file_from_bytes(commit=commit, path="/b", data=b"2")

    changes = images.pfs.get_file_set(commit=commit, type=pfs.GetFileSetRequestFileSetType.DIFF).file_set_id

    assert files_of(images, changes) == {"/b": b"2"}


@pytest.mark.parametrize("compact", [False, True])
def test_file_sets_are_composed_in_order(images, compact):
    commit = put(images, MASTER, {"/a": b"1"})
    whole = images.pfs.get_file_set(commit=commit).file_set_id
    handles = [make(images, {"/a": b"0", "/b": b"1"}), whole, make(images, {"/c": b"3"}, delete=["/b"])]

    composed = images.pfs.compose_file_set(file_set_ids=handles, ttl_seconds=60, compact=compact).file_set_id

    assert files_of(images, composed) == {"/a": b"01", "/c": b"3"}


def test_a_file_set_lives_ten_minutes_unless_it_is_renewed(server, images):
    renewed, lost = make(images, {"/a": b"1"}), make(images, {"/b": b"2"})

    server.clock.passed = 590
    images.pfs.renew_file_set(file_set_id=renewed, ttl_seconds=60)
    server.clock.passed = 620

    assert files_of(images, renewed) == {"/a": b"1"}
    code, message = refusal(images.pfs.list_file, file=pfs.File.from_uri(f"__filesets__@{lost}:/"))
    assert code == grpc.StatusCode.NOT_FOUND
    assert lost in message
    assert (
        refusal(images.pfs.renew_file_set, file_set_id=lost, ttl_seconds=60)[0] == grpc.StatusCode.NOT_FOUND
    )


@pytest.mark.parametrize("ttl", [-1, 1801])
def test_times_to_live_out_of_bounds_are_refused(images, ttl):
    handle = make(images, {"/a": b"1"})

    for call, fields in (
        (images.pfs.renew_file_set, {"file_set_id": handle}),
        (images.pfs.compose_file_set, {"file_set_ids": [handle]}),
    ):
        assert refusal(call, ttl_seconds=ttl, **fields)[0] == grpc.StatusCode.INVALID_ARGUMENT


def test_a_file_set_takes_changes_only(images):
    message = pfs.ModifyFileRequest(set_commit=pfs.Commit(repo=IMAGES, branch=MASTER))

    code, text = refusal(images.pfs.create_file_set, iter([message]))

    assert code == grpc.StatusCode.INVALID_ARGUMENT
    assert "set_commit" in text
