"""Commits whose files are forgotten, through the published SDK."""

from __future__ import annotations

import grpc
import pytest
from pachyderm_sdk.api import metadata, pfs
from sdk_steps import content, put, refusal

IMAGES = pfs.Repo.from_uri("images")
MASTER = pfs.Branch.from_uri("images@master")
KEY = "trunkline.dev/forgotten"


def picker(commit):
    repo = pfs.RepoPicker(
        name=pfs.RepoPickerRepoName(project=pfs.ProjectPicker(name="default"), name="images", type="user")
    )
    return pfs.CommitPicker(id=pfs.CommitPickerCommitByGlobalId(repo=repo, id=commit.id))


@pytest.fixture
def images(client):
    client.pfs.create_repo(repo=IMAGES)
    return client


def test_files_of_a_forgotten_commit_cannot_be_read_and_its_history_stays(images):
    first = put(images, MASTER, {"/a": b"1"})
    second = put(images, MASTER, {"/b": b"2"})

    images.pfs.forget_commit(commit=picker(first))
    images.pfs.forget_commit(commit=picker(first))

    file = pfs.File(commit=first, path="/a")
    reads = [
        (images.pfs.get_file, {"file": file}),
        (images.pfs.get_file_tar, {"file": file}),
        (images.pfs.inspect_file, {"file": file}),
        (images.pfs.list_file, {"file": pfs.File(commit=first, path="/")}),
        (images.pfs.diff_file, {"new_file": pfs.File(commit=second, path="/")}),
        (images.pfs.get_file_set, {"commit": first}),
    ]
    for call, request in reads:
        assert refusal(call, **request)[0] == grpc.StatusCode.FAILED_PRECONDITION
    assert content(images, "images@master") == {"/a": b"1", "/b": b"2"}
    assert [info.commit.id for info in images.pfs.list_commit(repo=IMAGES)] == [second.id, first.id]
    assert KEY in images.pfs.inspect_commit(commit=first).metadata


def test_a_forgotten_head_may_be_written_to(images):
    first = put(images, MASTER, {"/a": b"1"})
    images.pfs.forget_commit(commit=picker(first))

    put(images, MASTER, {"/b": b"2"})

    assert content(images, "images@master") == {"/a": b"1", "/b": b"2"}


def test_an_open_commit_is_not_forgotten(images):
    commit = images.pfs.start_commit(branch=MASTER)

    code, _ = refusal(images.pfs.forget_commit, commit=picker(commit))

    assert code == grpc.StatusCode.FAILED_PRECONDITION


def test_edits_of_metadata_neither_forget_nor_remember(images):
    forgotten, other = put(images, MASTER, {"/a": b"1"}), put(images, MASTER, {"/b": b"2"})
    images.pfs.forget_commit(commit=picker(forgotten))

    for commit in (forgotten, other):
        for change in (
            {"replace": metadata.EditReplace(replacement={"x": "y"})},
            {"edit_key": metadata.EditEditKey(key=KEY, value="now")},
            {"delete_key": metadata.EditDeleteKey(key=KEY)},
        ):
            images.metadata.edit_metadata(edits=[metadata.Edit(commit=picker(commit), **change)])

    assert refusal(images.pfs.inspect_file, file=pfs.File(commit=forgotten, path="/a"))[0] == (
        grpc.StatusCode.FAILED_PRECONDITION
    )
    assert images.pfs.inspect_commit(commit=other).metadata == {"x": "y"}
    assert images.pfs.inspect_file(file=pfs.File(commit=other, path="/b")).size_bytes == 1
