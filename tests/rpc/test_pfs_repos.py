"""Projects, repos and branches through the published SDK."""

from __future__ import annotations

import grpc
import pytest
from pachyderm_sdk.api import pfs
from sdk_steps import is_finished, put, refusal

IMAGES = pfs.Repo.from_uri("images")
MASTER = pfs.Branch.from_uri("images@master")


def names(stream):
    return [info.repo.name for info in stream]


def test_a_repo_can_be_made_told_and_removed(client):
    client.pfs.create_repo(repo=IMAGES, description="photographs")

    info = client.pfs.inspect_repo(repo=IMAGES)

    assert (info.repo.name, info.repo.type, info.repo.project.name) == ("images", "user", "default")
    assert info.description == "photographs"
    assert info.created.year >= 2024
    assert client.pfs.delete_repo(repo=IMAGES).deleted
    assert not client.pfs.repo_exists(IMAGES)
    assert not client.pfs.delete_repo(repo=IMAGES).deleted


def test_a_repo_without_type_and_project_is_a_users_repo_of_the_default_project(server):
    from trunkline.client.channel import Channel
    from trunkline.rpc.gen import pfs_pb2

    request = pfs_pb2.CreateRepoRequest(repo=pfs_pb2.Repo(name="plain")).SerializeToString()
    with Channel(server.address) as channel:
        channel.unary("/pfs_v2.API/CreateRepo", request)

    assert [str(i.repo) for i in server.client().pfs.list_repo(type="user")] == ["default/plain"]


def test_a_taken_name_is_refused_and_update_changes_the_description(client):
    client.pfs.create_repo(repo=IMAGES)

    assert refusal(client.pfs.create_repo, repo=IMAGES) == (
        grpc.StatusCode.ALREADY_EXISTS,
        "repo default/images already exists",
    )
    client.pfs.create_repo(repo=IMAGES, description="new", update=True)

    assert client.pfs.inspect_repo(repo=IMAGES).description == "new"


@pytest.mark.parametrize("name", ["a/b", "a b", "über", "__filesets__", "a" * 200])
def test_bad_repo_names_are_refused(client, name):
    code, message = refusal(client.pfs.create_repo, repo=pfs.Repo(name=name))

    assert code == grpc.StatusCode.INVALID_ARGUMENT
    assert "invalid" in message


def test_a_missing_repo_and_a_missing_project_are_told_apart(client):
    assert refusal(client.pfs.inspect_repo, repo=IMAGES) == (
        grpc.StatusCode.NOT_FOUND,
        "repo default/images not found",
    )
    assert refusal(client.pfs.inspect_repo, repo=pfs.Repo.from_uri("nowhere/images")) == (
        grpc.StatusCode.NOT_FOUND,
        'project "nowhere" not found',
    )


def test_lists_of_repos_filter_by_type_and_project_and_come_in_pages(client):
    client.pfs.create_project(project=pfs.Project(name="other"))
    for uri in ("b", "a", "other/c"):
        client.pfs.create_repo(repo=pfs.Repo.from_uri(uri))
    client.pfs.create_repo(repo=pfs.Repo(name="a", type="spec"))
    page = pfs.RepoPage(page_size=2, page_index=1)

    assert names(client.pfs.list_repo(type="user")) == ["a", "b", "c"]
    assert names(client.pfs.list_repo()) == ["a", "a", "b", "c"]
    assert names(client.pfs.list_repo(type="user", projects=[pfs.Project(name="other")])) == ["c"]
    assert names(client.pfs.list_repo(type="user", page=page)) == ["c"]
    assert refusal(lambda: list(client.pfs.list_repo(page=pfs.RepoPage(page_size=-1))))[0] == (
        grpc.StatusCode.INVALID_ARGUMENT
    )


def test_summaries_count_repos_and_bytes(client):
    client.pfs.create_repo(repo=IMAGES)
    client.pfs.create_repo(repo=pfs.Repo.from_uri("empty"))
    put(client, MASTER, {"/a": b"12345"})

    summary = client.pfs.repos_summary(projects=[pfs.ProjectPicker(name="default")]).summaries[0]

    assert (summary.user_repo_count, summary.size_bytes) == (2, 5)


def test_a_repo_that_others_depend_on_is_kept_unless_forced(client):
    client.pfs.create_repo(repo=IMAGES)
    client.pfs.create_repo(repo=pfs.Repo.from_uri("edges"))
    client.pfs.create_branch(branch=pfs.Branch.from_uri("edges@master"), provenance=[MASTER])

    code, message = refusal(client.pfs.delete_repo, repo=IMAGES)

    assert code == grpc.StatusCode.FAILED_PRECONDITION
    assert "default/edges" in message
    assert client.pfs.delete_repo(repo=IMAGES, force=True).deleted


def test_all_repos_of_a_project_go_together_whatever_depends_on_what(client):
    client.pfs.create_repo(repo=IMAGES)
    client.pfs.create_repo(repo=pfs.Repo.from_uri("edges"))
    client.pfs.create_branch(branch=pfs.Branch.from_uri("edges@master"), provenance=[MASTER])

    deleted = client.pfs.delete_repos(projects=[pfs.Project(name="default")]).repos

    assert {repo.name for repo in deleted} == {"images", "edges"}
    assert names(client.pfs.list_repo()) == []


def test_projects_are_made_described_listed_and_removed(client):
    project = pfs.Project(name="vision")
    client.pfs.create_project(project=project, description="first")
    client.pfs.create_project(project=project, description="second", update=True)

    assert client.pfs.inspect_project(project=project).description == "second"
    assert client.pfs.inspect_project_v2(project=project).defaults_json == "{}"
    assert [info.project.name for info in client.pfs.list_project()] == ["default", "vision"]
    assert refusal(client.pfs.create_project, project=project)[0] == grpc.StatusCode.ALREADY_EXISTS
    client.pfs.delete_project(project=project)
    assert not client.pfs.project_exists(project)
    assert refusal(client.pfs.delete_project, project=project)[0] == grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize("force", [False, True])
def test_a_project_with_repos_is_kept_even_when_forced(client, force):
    project = pfs.Project(name="vision")
    client.pfs.create_project(project=project)
    client.pfs.create_repo(repo=pfs.Repo.from_uri("vision/images"))

    code, _ = refusal(client.pfs.delete_project, project=project, force=force)

    assert code == grpc.StatusCode.FAILED_PRECONDITION
    assert client.pfs.project_exists(project)


def test_the_default_project_exists_again_after_everything_was_deleted(client):
    client.pfs.delete_project(project=pfs.Project(name="default"))

    client.pfs.delete_all()

    assert client.pfs.project_exists(pfs.Project(name="default"))


def test_deleting_the_repos_of_an_unknown_project_deletes_nothing(client):
    client.pfs.create_repo(repo=IMAGES)

    deleted = client.pfs.delete_repos(projects=[pfs.Project(name="nope")]).repos

    assert deleted == []
    assert client.pfs.repo_exists(IMAGES)


def test_a_system_repo_needs_its_user_repo_and_goes_with_it(client):
    meta = pfs.Repo(name="images", type="meta", project=pfs.Project(name="default"))

    code, _ = refusal(client.pfs.create_repo, repo=meta)
    client.pfs.create_repo(repo=IMAGES)
    client.pfs.create_repo(repo=meta)
    put(client, MASTER, {"/a": b"1"})
    client.pfs.delete_repo(repo=IMAGES)
    client.pfs.create_repo(repo=IMAGES)

    assert code == grpc.StatusCode.FAILED_PRECONDITION
    assert [info.repo.type for info in client.pfs.list_repo(type="")] == ["user"]
    assert list(client.pfs.list_branch(repo=IMAGES)) == []
    assert list(client.pfs.list_commit(repo=IMAGES)) == []


def test_the_size_of_a_repo_is_that_of_its_master_branch(client):
    client.pfs.create_repo(repo=IMAGES)

    put(client, pfs.Branch.from_uri("images@other"), {"/a": b"12345"})
    elsewhere = client.pfs.inspect_repo(repo=IMAGES).details.size_bytes
    put(client, MASTER, {"/a": b"123"})

    assert (elsewhere, client.pfs.inspect_repo(repo=IMAGES).details.size_bytes) == (0, 3)


def test_branches_and_commits_of_a_whole_project_are_listed(client):
    project = pfs.Repo(type="user", project=pfs.Project(name="default"))
    for name in ("a", "b"):
        client.pfs.create_repo(repo=pfs.Repo.from_uri(name))
        put(client, pfs.Branch.from_uri(f"{name}@master"), {"/x": b"1"})

    commits = client.pfs.list_commit(repo=project)
    branches = client.pfs.list_branch(repo=project)

    assert [info.commit.repo.name for info in commits] == ["b", "a"]
    assert [info.branch.repo.name for info in branches] == ["b", "a"]


@pytest.mark.parametrize("name", ["-a", "_a", "a" * 52, ""])
def test_bad_project_names_are_refused(client, name):
    assert refusal(client.pfs.create_project, project=pfs.Project(name=name))[0] == (
        grpc.StatusCode.INVALID_ARGUMENT
    )


def test_delete_all_leaves_the_default_project(client):
    client.pfs.create_project(project=pfs.Project(name="vision"))
    client.pfs.create_repo(repo=IMAGES)
    put(client, MASTER, {"/a": b"1"})

    client.pfs.delete_all()

    assert [info.project.name for info in client.pfs.list_project()] == ["default"]
    assert names(client.pfs.list_repo()) == []


# --- branches --------------------------------------------------------------------------------------------


@pytest.fixture
def images(client):
    client.pfs.create_repo(repo=IMAGES)
    return client


def test_a_new_branch_has_an_empty_finished_commit(images):
    images.pfs.create_branch(branch=MASTER)

    head = images.pfs.inspect_branch(branch=MASTER).head

    assert is_finished(images.pfs.inspect_commit(commit=head))
    assert list(images.pfs.list_file(file=pfs.File.from_uri("images@master:/"))) == []


def test_a_branch_can_be_moved_to_any_commit_of_its_repo(images):
    first = put(images, MASTER, {"/a": b"1"})
    put(images, MASTER, {"/b": b"2"})

    images.pfs.create_branch(branch=pfs.Branch.from_uri("images@old"), head=first)
    images.pfs.create_branch(
        branch=pfs.Branch.from_uri("images@older"), head=pfs.Commit.from_uri("images@master^")
    )

    for name in ("old", "older"):
        assert images.pfs.inspect_branch(branch=pfs.Branch.from_uri(f"images@{name}")).head.id == first.id


def test_branches_are_listed_newest_first_and_reversed_on_demand(images):
    for name in ("one", "two"):
        images.pfs.create_branch(branch=pfs.Branch.from_uri(f"images@{name}"))

    assert [b.branch.name for b in images.pfs.list_branch(repo=IMAGES)] == ["two", "one"]
    assert [b.branch.name for b in images.pfs.list_branch(repo=IMAGES, reverse=True)] == ["one", "two"]


def test_a_branch_tells_its_provenance_and_subvenance(images):
    for name in ("edges", "montage"):
        images.pfs.create_repo(repo=pfs.Repo.from_uri(name))
    edges, montage = pfs.Branch.from_uri("edges@master"), pfs.Branch.from_uri("montage@master")

    images.pfs.create_branch(branch=edges, provenance=[MASTER])
    images.pfs.create_branch(branch=montage, provenance=[edges])

    info = images.pfs.inspect_branch(branch=montage)
    assert [b.repo.name for b in info.direct_provenance] == ["edges"]
    assert {b.repo.name for b in info.provenance} == {"edges", "images"}
    hooks = images.pfs.inspect_branch(branch=MASTER)
    assert {b.repo.name for b in hooks.subvenance} == {"edges", "montage"}
    walked = images.pfs.walk_branch_provenance(start=[montage.as_picker()])
    assert [b.branch.repo.name for b in walked] == ["edges", "images"]
    near = images.pfs.walk_branch_subvenance(start=[MASTER.as_picker()], max_depth=1)
    assert [b.branch.repo.name for b in near] == ["edges"]


def test_cyclic_provenance_is_refused_and_changes_nothing(images):
    images.pfs.create_repo(repo=pfs.Repo.from_uri("edges"))
    edges = pfs.Branch.from_uri("edges@master")
    images.pfs.create_branch(branch=edges, provenance=[MASTER])

    code, message = refusal(images.pfs.create_branch, branch=MASTER, provenance=[edges])

    assert code == grpc.StatusCode.INVALID_ARGUMENT
    assert "cyclic provenance" in message
    assert images.pfs.inspect_branch(branch=MASTER).direct_provenance == []


def test_a_branch_cannot_depend_on_its_own_repo(images):
    other = pfs.Branch.from_uri("images@other")

    code, message = refusal(images.pfs.create_branch, branch=other, provenance=[MASTER])

    assert code == grpc.StatusCode.INVALID_ARGUMENT
    assert "same repo" in message


def test_two_branches_of_one_repo_cannot_meet_in_one_dag(images):
    images.pfs.create_repo(repo=pfs.Repo.from_uri("edges"))
    sources = [MASTER, pfs.Branch.from_uri("images@other")]

    code, message = refusal(
        images.pfs.create_branch, branch=pfs.Branch.from_uri("edges@master"), provenance=sources
    )

    assert code == grpc.StatusCode.INVALID_ARGUMENT
    assert "multiple branches from the same repo" in message


@pytest.mark.parametrize("name", ["a.b", "a/b", "0123456789ab40123456789012345678"])
def test_bad_branch_names_are_refused(images, name):
    branch = pfs.Branch(repo=IMAGES, name=name)

    assert refusal(images.pfs.create_branch, branch=branch)[0] == grpc.StatusCode.INVALID_ARGUMENT


def test_a_removed_branch_leaves_its_commits(images):
    commit = put(images, MASTER, {"/a": b"1"})

    images.pfs.delete_branch(branch=MASTER)

    assert not images.pfs.branch_exists(MASTER)
    assert images.pfs.commit_exists(commit)
    assert refusal(images.pfs.delete_branch, branch=MASTER) == (
        grpc.StatusCode.NOT_FOUND,
        'branch "master" not found in repo default/images',
    )


def test_a_trigger_without_a_condition_is_refused(images):
    code, _ = refusal(images.pfs.create_branch, branch=MASTER, trigger=pfs.Trigger(branch="staging"))

    assert code == grpc.StatusCode.INVALID_ARGUMENT
