"""The rules of transactions on both kinds of database."""

from __future__ import annotations

from functools import partial

import pytest

from trunkline import errors
from trunkline.meta import repos as repo_rows
from trunkline.model import limits
from trunkline.model.names import CommitName, RepoName
from trunkline.pfs import branches, commits, queries, repos
from trunkline.pps import transactions

REPO = RepoName("default", "numbers", "user")
MASTER = branches.BranchName(REPO, "master")

pytestmark = pytest.mark.parametrize("world", ["sqlite", "postgres"], indirect=True)


def breaks_a_rule_of_the_database(write):
    """Add a row twice, as a bug would."""
    project = repo_rows.list_projects(write.conn)[0]
    for _ in range(2):
        repo_rows.add_repo(write.conn, project.id, "twice", "user", "", write.now)


#: What a request does, by its bytes.
CHANGES = {
    b"repo": partial(repos.create_repo, name=REPO, description="", update=False),
    b"commit": partial(commits.start_commit, branch=MASTER),
    b"bug": breaks_a_rule_of_the_database,
}


def read(body):
    return transactions.changing(body.decode(), CHANGES[body])


def test_a_rehearsal_leaves_nothing_behind_and_a_failed_one_does_not_stop_the_transaction(world):
    id = world.versions.write(transactions.start).id
    transactions.add(world.versions, id, b"repo", read)
    commit = transactions.add(world.versions, id, b"commit", read)
    with pytest.raises(Exception, match=r"(?i)unique"):
        transactions.add(world.versions, id, b"bug", read)
    with pytest.raises(errors.AlreadyExists):
        transactions.add(world.versions, id, b"repo", read)

    with pytest.raises(errors.NotFound):
        world.versions.query(queries.repo, REPO)
    row = transactions.finish(world.versions, id, read)

    assert commit.set_id == id
    assert row.requests == (b"repo", b"commit")
    assert world.versions.query(queries.commit, CommitName(REPO, id)).row.set_id == id


def test_open_transactions_their_requests_and_bytes_are_limited(world):
    def start_many(write):
        for _ in range(limits.OPEN_TRANSACTIONS - 1):
            transactions.start(write)
        return transactions.start(write).id

    id = world.versions.write(start_many)
    with pytest.raises(errors.ResourceExhausted):
        world.versions.write(transactions.start)
    with pytest.raises(errors.ResourceExhausted):
        transactions.add(world.versions, id, bytes(limits.TRANSACTION_BYTES + 1), read_nothing)
    with pytest.raises(errors.InvalidArgument):
        transactions.batch(world.versions, [read_nothing(b"")] * (limits.TRANSACTION_REQUESTS + 1))
    world.versions.write(transactions.delete_all)

    assert world.versions.query(transactions.open_transactions) == []


def read_nothing(_body):
    return transactions.changing("nothing", lambda _write: None)
