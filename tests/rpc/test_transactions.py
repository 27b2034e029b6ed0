"""Transactions, through the published SDK and as its clients write them."""

from __future__ import annotations

import threading
import urllib.request

import grpc
import pytest
from pachyderm_sdk.api import pfs, pps
from pachyderm_sdk.api.transaction import Transaction, TransactionRequest
from sdk_steps import content, is_finished, put, refusal

REPO = pfs.Repo.from_uri("numbers")
MASTER = pfs.Branch.from_uri("numbers@master")


@pytest.fixture(scope="module")
def server(tmp_path_factory, serve_folder):
    """One server for all tests; its store is empty before each."""
    with serve_folder(tmp_path_factory.mktemp("transactions")) as served:
        yield served


@pytest.fixture
def client(server):
    """The published SDK, unmodified, connected to the server."""
    client = server.client()
    yield client
    client.transaction_id = None
    client.transaction.delete_all()
    client.pfs.delete_all()


def repo_names(client):
    return [info.repo.name for info in client.pfs.list_repo(type="user")]


def spec(name, repo, **changes):
    """The arguments of a pipeline that copies a repo; the fleet of these tests runs nothing."""
    return {
        "pipeline": pps.Pipeline(name=name),
        "transform": pps.Transform(cmd=["true"]),
        "input": pps.Input(pfs=pps.PfsInput(repo=repo, glob="/*")),
        **changes,
    }


def test_requests_are_done_together_at_the_end(server, client):
    with client.transaction.transaction() as transaction:
        client.pfs.create_repo(repo=REPO, description="one")
        client.pfs.create_branch(branch=MASTER)
        client.pfs.create_repo(repo=pfs.Repo.from_uri("words"))
        before = repo_names(server.client())
        [info] = client.transaction.list_transaction().transaction_info

    assert before == []
    assert info.transaction.id == transaction.id
    assert [len(info.requests), len(info.responses), info.version] == [3, 3, 3]
    assert info.requests[0].create_repo.description == "one"
    assert sorted(repo_names(client)) == ["numbers", "words"]
    assert client.pfs.inspect_branch(branch=MASTER).head.id == transaction.id
    assert not client.transaction.transaction_exists(transaction)


def test_answers_see_earlier_requests_and_a_refused_one_is_not_added(client):
    with client.transaction.transaction() as transaction:
        client.pfs.create_repo(repo=REPO)
        commit = client.pfs.start_commit(branch=MASTER)
        refused = refusal(client.pfs.create_repo, repo=REPO)
        deleted = client.pfs.delete_repo(repo=pfs.Repo.from_uri("words")).deleted
        info = client.transaction.inspect_transaction(transaction=transaction)

    assert commit.id == transaction.id
    assert refused == (grpc.StatusCode.ALREADY_EXISTS, "repo default/numbers already exists")
    assert not deleted
    assert [request.create_repo.repo.name for request in info.requests] == ["numbers", "", ""]
    assert info.responses[1].commit == commit
    assert not is_finished(client.pfs.inspect_commit(commit=commit))


def test_all_commits_and_jobs_have_the_id_of_the_transaction_and_a_job_reads_all_of_them(client):
    for name in ("left", "right"):
        client.pfs.create_repo(repo=pfs.Repo.from_uri(name))
    inputs = [pps.Input(pfs=pps.PfsInput(repo=name, glob="/*")) for name in ("left", "right")]
    client.pps.create_pipeline(**spec("both", "", input=pps.Input(cross=inputs)))
    before = len(list(client.pps.list_job(pipeline=pps.Pipeline(name="both"))))

    with client.transaction.transaction() as transaction:
        for name in ("left", "right"):
            commit = client.pfs.start_commit(branch=pfs.Branch.from_uri(f"{name}@master"))
            client.pfs.finish_commit(commit=commit)
    [job, *_] = jobs = list(client.pps.list_job(pipeline=pps.Pipeline(name="both")))
    members = list(client.pfs.inspect_commit_set(commit_set=pfs.CommitSet(id=transaction.id)))

    assert len(jobs) == before + 1
    assert job.job.id == transaction.id
    own = {info.commit.repo.as_uri() for info in members if info.commit.id == transaction.id}
    assert {"default/left", "default/right", "default/both"} <= own


def test_several_pipelines_are_created_together_with_their_input(client):
    with client.transaction.transaction() as transaction:
        client.pfs.create_repo(repo=REPO)
        client.pfs.finish_commit(commit=client.pfs.start_commit(branch=MASTER))
        client.pps.create_pipeline(**spec("first", "numbers"))
        client.pps.create_pipeline(**spec("second", "first"))
        answer = client.pps.create_pipeline_v2(
            create_pipeline_request_json='{"pipeline": {"name": "third"}, "transform": {"cmd": ["true"]},'
            ' "input": {"pfs": {"repo": "second", "glob": "/"}}}'
        )
        unseen = list(client.pps.list_pipeline())

    assert unseen == []
    assert '"third"' in answer.effective_create_pipeline_request_json
    assert {info.pipeline.name for info in client.pps.list_pipeline()} == {"first", "second", "third"}
    assert {info.job.id for info in client.pps.list_job()} == {transaction.id}


def test_a_finish_that_is_no_longer_possible_does_nothing_and_names_the_request(server, client):
    other = server.client()
    transaction = client.transaction.start_transaction()
    client.pfs.create_repo(repo=pfs.Repo.from_uri("words"))
    client.pfs.create_repo(repo=REPO)
    other.pfs.create_repo(repo=REPO)

    code, message = refusal(client.transaction.finish_transaction, transaction=transaction)
    unchanged = repo_names(other)
    other.pfs.delete_repo(repo=REPO)
    client.transaction.finish_transaction(transaction=transaction)

    assert code == grpc.StatusCode.ALREADY_EXISTS
    assert "request 2" in message
    assert "create_repo" in message
    assert unchanged == ["numbers"]
    assert sorted(repo_names(other)) == ["numbers", "words"]


def test_an_open_commit_with_files_is_finished_with_them(client):
    client.pfs.create_repo(repo=REPO)
    put(client, MASTER, {"/a": b"1"})
    commit = client.pfs.start_commit(branch=MASTER)
    client.pfs.put_file_from_bytes(commit=commit, path="/b", data=b"2")

    with client.transaction.transaction():
        client.pfs.finish_commit(commit=commit, description="both")
        following = client.pfs.start_commit(branch=MASTER)
        client.pfs.finish_commit(commit=following)

    assert content(client, f"numbers@{commit.id}") == {"/a": b"1", "/b": b"2"}
    assert content(client, "numbers@master") == {"/a": b"1", "/b": b"2"}
    assert client.pfs.inspect_commit(commit=following).details.size_bytes == 2
    assert client.pfs.inspect_commit(commit=commit).description == "both"


def test_files_that_come_between_the_request_and_the_finish_are_in_the_commit(server, client):
    client.pfs.create_repo(repo=REPO)
    commit = client.pfs.start_commit(branch=MASTER)
    other = server.client()
    other.pfs.put_file_from_bytes(commit=commit, path="/a", data=b"1")

    with client.transaction.transaction():
        client.pfs.finish_commit(commit=commit)
        other.pfs.put_file_from_bytes(commit=commit, path="/b", data=b"2")

    assert content(client, f"numbers@{commit.id}") == {"/a": b"1", "/b": b"2"}


def test_a_repo_has_one_commit_in_a_transaction(client):
    client.pfs.create_repo(repo=REPO)

    with client.transaction.transaction():
        commit = client.pfs.start_commit(branch=MASTER)
        client.pfs.finish_commit(commit=commit)
        code, message = refusal(client.pfs.start_commit, branch=MASTER)

    assert code == grpc.StatusCode.FAILED_PRECONDITION
    assert "already has a commit in this transaction" in message


def test_what_was_made_may_be_removed_again(client):
    with client.transaction.transaction():
        client.pfs.create_repo(repo=REPO)
        client.pfs.start_commit(branch=MASTER)
        assert client.pfs.delete_repo(repo=REPO).deleted
        client.pfs.create_repo(repo=REPO, description="again")
        client.pfs.start_commit(branch=MASTER)
        client.pfs.delete_branch(branch=MASTER)

    assert client.pfs.inspect_repo(repo=REPO).description == "again"
    assert list(client.pfs.list_branch(repo=REPO)) == []


def test_sets_are_squashed_and_jobs_stopped(client):
    client.pfs.create_repo(repo=REPO)
    first = put(client, MASTER, {"/a": b"1"})
    put(client, MASTER, {"/b": b"1"})
    client.pps.create_pipeline(**spec("reader", "numbers"))
    [job] = client.pps.list_job()

    with client.transaction.transaction():
        client.pfs.squash_commit_set(commit_set=pfs.CommitSet(id=first.id))
        client.pps.stop_job(job=job.job, reason="not needed")

    assert not client.pfs.commit_exists(first)
    assert client.pps.inspect_job(job=job.job).reason == "not needed"


def test_other_changes_are_refused_and_reads_are_answered_from_what_is_committed(client):
    client.pfs.create_repo(repo=REPO)
    commit = put(client, MASTER, {"/a": b"1"})

    with client.transaction.transaction():
        client.pfs.create_repo(repo=pfs.Repo.from_uri("words"))
        refused = [
            refusal(client.pfs.drop_commit_set, commit_set=pfs.CommitSet(id=commit.id))[0],
            refusal(client.pps.delete_pipeline, pipeline=pps.Pipeline(name="none"))[0],
            refusal(client.transaction.batch_transaction, requests=[])[0],
            refusal(client.pfs.modify_file, iter([pfs.ModifyFileRequest(set_commit=commit)]))[0],
        ]
        missing = refusal(client.pfs.inspect_repo, repo=pfs.Repo.from_uri("words"))[0]
        read = client.pfs.pfs_file(pfs.File(commit=commit, path="/a")).read()

    assert set(refused) == {grpc.StatusCode.FAILED_PRECONDITION}
    assert missing == grpc.StatusCode.NOT_FOUND
    assert read == b"1"


def test_projects_are_created_at_once(client):
    project = pfs.Project(name="new")
    repo = pfs.Repo(name="words", type="user", project=project)

    with client.transaction.transaction() as transaction:
        client.pfs.create_project(project=project)
        client.pfs.create_repo(repo=repo)
        at_once = client.pfs.project_exists(project)
        requests = client.transaction.inspect_transaction(transaction=transaction).requests

    assert at_once
    assert len(requests) == 1
    assert client.pfs.repo_exists(repo)


def test_a_branch_moves_to_a_commit_of_the_transaction(client):
    client.pfs.create_repo(repo=REPO)
    other = pfs.Branch.from_uri("numbers@other")
    for branch in (MASTER, other):
        client.pfs.create_branch(branch=branch)

    with client.transaction.transaction() as transaction:
        client.pfs.start_commit(branch=other)
        client.pfs.finish_commit(commit=pfs.Commit(repo=REPO, branch=other))
        client.pfs.create_branch(branch=MASTER, head=pfs.Commit(repo=REPO, branch=other))

    heads = {client.pfs.inspect_branch(branch=branch).head.id for branch in (MASTER, other)}
    assert heads == {transaction.id}


def test_branches_with_provenance_get_one_commit_each(client):
    letters = "ABCD"
    with client.transaction.transaction() as transaction:
        for name in letters:
            client.pfs.create_repo(repo=pfs.Repo.from_uri(name))
        for upstream, name in (("A", "B"), ("B", "C"), ("C", "D")):
            client.pfs.create_branch(
                branch=pfs.Branch.from_uri(f"{name}@master"),
                provenance=[pfs.Branch.from_uri(f"{upstream}@master")],
            )

    commits = {name: list(client.pfs.list_commit(repo=pfs.Repo.from_uri(name))) for name in letters}
    ids = {info.commit.id for infos in commits.values() for info in infos}
    assert {name: len(infos) for name, infos in commits.items()} == dict.fromkeys(letters, 1)
    assert ids == {transaction.id}


def test_an_error_in_the_block_deletes_the_transaction(client):
    def fails():
        with client.transaction.transaction():
            client.pfs.create_repo(repo=REPO)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()

    assert repo_names(client) == []
    assert client.transaction.list_transaction().transaction_info == []


def test_a_transaction_that_does_not_exist_is_not_found(client):
    missing = Transaction(id="dne")
    client.transaction_id = "dne"
    request = refusal(client.pfs.create_repo, repo=REPO)[0]
    client.transaction_id = None

    assert not client.transaction.transaction_exists(missing)
    assert request == grpc.StatusCode.NOT_FOUND
    assert refusal(client.transaction.finish_transaction, transaction=missing)[0] == grpc.StatusCode.NOT_FOUND
    assert refusal(client.transaction.delete_transaction, transaction=missing)[0] == grpc.StatusCode.NOT_FOUND
    assert refusal(client.transaction.inspect_transaction)[0] == grpc.StatusCode.INVALID_ARGUMENT


def test_delete_all_removes_every_transaction(client):
    for _ in range(3):
        client.transaction.start_transaction()
    client.transaction_id = None

    client.transaction.delete_all()

    assert client.transaction.list_transaction().transaction_info == []


def test_a_batch_is_done_at_once_or_not_at_all(client):
    create = [
        TransactionRequest(create_repo=pfs.CreateRepoRequest(repo=pfs.Repo(name=name, type="user")))
        for name in "abc"
    ]

    info = client.transaction.batch_transaction(
        requests=[
            *create,
            TransactionRequest(start_commit=pfs.StartCommitRequest(branch=pfs.Branch.from_uri("a@master"))),
        ]
    )
    again = refusal(
        client.transaction.batch_transaction,
        requests=[
            TransactionRequest(delete_repo=pfs.DeleteRepoRequest(repo=pfs.Repo.from_uri("a"))),
            create[1],
        ],
    )
    unclear = refusal(client.transaction.batch_transaction, requests=[TransactionRequest()])
    empty = client.transaction.batch_transaction(requests=[])

    assert info.responses[3].commit.id == info.transaction.id
    assert again[0] == grpc.StatusCode.ALREADY_EXISTS
    assert sorted(repo_names(client)) == ["a", "b", "c"]
    assert unclear[0] == grpc.StatusCode.INVALID_ARGUMENT
    assert empty.requests == []


def test_a_transaction_survives_a_restart(tmp_path, serve_folder):
    with serve_folder(tmp_path) as served:
        client = served.client()
        transaction = client.transaction.start_transaction()
        client.pfs.create_repo(repo=REPO)

    with serve_folder(tmp_path) as served:
        client = served.client()
        client.transaction.finish_transaction(transaction=transaction)

        assert repo_names(client) == ["numbers"]


def test_only_one_of_two_finishers_finishes(server, client):
    transaction = client.transaction.start_transaction()
    for number in range(20):
        client.pfs.create_repo(repo=pfs.Repo.from_uri(f"repo{number}"))
    outcomes = []

    def finish(other):
        try:
            other.transaction.finish_transaction(transaction=transaction)
            outcomes.append(grpc.StatusCode.OK)
        except grpc.RpcError as error:
            outcomes.append(error.code())

    threads = [threading.Thread(target=finish, args=(server.client(),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(outcomes, key=str) == sorted(
        [grpc.StatusCode.OK, *[grpc.StatusCode.NOT_FOUND] * 3], key=str
    )
    assert len(repo_names(client)) == 20


def test_requests_of_several_clients_are_all_added(server, client):
    transaction = client.transaction.start_transaction()

    def add(number):
        other = server.client()
        other.transaction_id = transaction.id
        for count in range(5):
            other.pfs.create_repo(repo=pfs.Repo.from_uri(f"repo{number}-{count}"))

    threads = [threading.Thread(target=add, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    client.transaction.finish_transaction(transaction=transaction)

    assert len(repo_names(client)) == 20


def test_every_change_of_the_two_stores_is_part_of_transactions_or_refused_in_them():
    from trunkline.rpc import transactions
    from trunkline.rpc.gen import pfs_pb2, pps_pb2

    served = {
        f"{module.DESCRIPTOR.package}.API/{method.name}"
        for module in (pfs_pb2, pps_pb2)
        for method in module.DESCRIPTOR.services_by_name["API"].methods
    }
    refused = {f"{service}/{name}" for service, rpcs in transactions.REFUSED.items() for name in rpcs.split()}
    verbs = [
        "Create",
        "Delete",
        "Start",
        "Stop",
        "Finish",
        "Squash",
        "Drop",
        "Set",
        "Rerun",
        "Restart",
        "Modify",
        "Clear",
        "Run",
    ]
    # Projects are changed at once; file sets and datums of clients are not part of the stores' state.
    alone = [
        "CreateProject",
        "DeleteProject",
        "CreateFileSet",
        "CreateDatum",
    ]

    changes = {
        rpc
        for rpc in served
        if (name := rpc.partition("/")[2]).startswith(tuple(verbs)) and name not in alone
    }

    assert changes - refused - transactions.FIELDS.keys() == set()


def test_a_call_over_rest_names_its_transaction_in_a_header(server, client):
    transaction = client.transaction.start_transaction()
    request = urllib.request.Request(
        f"http://{server.address}/api/pfs_v2.API/CreateRepo",
        data=b'{"repo": {"name": "numbers"}}',
        headers={"content-type": "application/json", "pach-transaction": transaction.id},
    )

    with urllib.request.urlopen(request) as answer:
        status = answer.status
    before = client.pfs.repo_exists(REPO)
    client.transaction.finish_transaction(transaction=transaction)

    assert status == 200
    assert not before
    assert client.pfs.repo_exists(REPO)
