"""Version, cluster, licence and metadata through the published SDK."""

from __future__ import annotations

import grpc
import pytest
from pachyderm_sdk.api import enterprise, metadata, pfs
from sdk_steps import put, refusal

import trunkline

IMAGES = pfs.Repo.from_uri("images")
MASTER = pfs.Branch.from_uri("images@master")


def test_the_version_is_that_of_the_api_and_names_ours(client):
    version = client.get_version()

    assert (version.major, version.minor, version.micro) == (2, 12, 2)
    assert version.additional == f"trunkline-{trunkline.__version__}"


def test_the_cluster_says_who_it_is(client):
    info = client.admin.inspect_cluster()

    assert len(info.id) == 32
    assert info.deployment_id == info.id
    assert info.warnings == []


def test_there_is_no_licence_and_nobody_asks_for_one(client):
    assert client.enterprise.get_state().state == enterprise.State.NONE
    assert client.enterprise.pause_status().status == enterprise.PauseStatusResponsePauseStatus.UNPAUSED
    assert client.license.get_activation_code().state == enterprise.State.NONE


# --- metadata --------------------------------------------------------------------------------------------


def edit(client, *edits):
    client.metadata.edit_metadata(edits=list(edits))


def add(key, value, **target):
    return metadata.Edit(add_key=metadata.EditAddKey(key=key, value=value), **target)


@pytest.fixture
def images(client):
    client.pfs.create_repo(repo=IMAGES)
    put(client, MASTER, {"/a": b"1"})
    return client


def metadata_of(client):
    head = pfs.Commit.from_uri("images@master")
    return {
        "project": client.pfs.inspect_project(project=pfs.Project(name="default")).metadata,
        "repo": client.pfs.inspect_repo(repo=IMAGES).metadata,
        "branch": client.pfs.inspect_branch(branch=MASTER).metadata,
        "commit": client.pfs.inspect_commit(commit=head).metadata,
        "cluster": client.admin.inspect_cluster().metadata,
    }


def test_everything_can_carry_metadata(images):
    targets = {
        "project": pfs.ProjectPicker(name="default"),
        "repo": IMAGES.as_picker(),
        "branch": MASTER.as_picker(),
        "commit": pfs.CommitPicker.from_uri("images@master"),
        "cluster": metadata.ClusterPicker(),
    }

    edit(images, *(add("who", name, **{name: target}) for name, target in targets.items()))

    assert metadata_of(images) == {name: {"who": name} for name in targets}


def test_keys_are_added_changed_deleted_and_replaced(images):
    repo = IMAGES.as_picker()

    edit(images, add("a", "1", repo=repo), add("b", "2", repo=repo))
    edit(
        images,
        metadata.Edit(repo=repo, edit_key=metadata.EditEditKey(key="a", value="changed")),
        metadata.Edit(repo=repo, delete_key=metadata.EditDeleteKey(key="b")),
    )
    assert metadata_of(images)["repo"] == {"a": "changed"}
    edit(images, metadata.Edit(repo=repo, replace=metadata.EditReplace(replacement={"c": "3"})))

    assert metadata_of(images)["repo"] == {"c": "3"}


def test_one_bad_edit_undoes_the_others(images):
    repo = IMAGES.as_picker()
    edit(images, add("a", "1", repo=repo))

    code = refusal(edit, images, add("b", "2", repo=repo), add("a", "2", repo=repo))
    missing = refusal(
        edit, images, add("b", "2", repo=repo), add("b", "2", repo=pfs.RepoPicker.from_uri("none"))
    )
    empty = refusal(edit, images, add("b", "2", repo=repo), metadata.Edit(repo=repo))

    assert [code[0], missing[0], empty[0]] == [
        grpc.StatusCode.ALREADY_EXISTS,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.INVALID_ARGUMENT,
    ]
    assert metadata_of(images)["repo"] == {"a": "1"}
