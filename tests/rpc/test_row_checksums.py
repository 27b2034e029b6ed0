"""Rows that lead to files are compared with their checksum when they are read."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from pachyderm_sdk.api import pfs
from sdk_steps import put

from trunkline.errors import DataLoss
from trunkline.meta import branches, commits

MASTER = pfs.Branch.from_uri("images@master")


@pytest.fixture
def versions(server):
    client = server.client()
    client.pfs.create_repo(repo=pfs.Repo.from_uri("images"))
    put(client, MASTER, {"/a": b"1"})
    put(client, MASTER, {"/a": b"2"})
    return server.versions


def change(versions, statement):
    """Change the database as a damaged disk would."""
    versions.write(lambda write: write.conn.execute(sa.text(statement)))


def newest(conn):
    return conn.execute(sa.text('SELECT max(id) FROM "commit"')).scalar_one()


@pytest.mark.parametrize(
    "damage",
    ["tree = x'00'", "size = size + 1", "parent_id = NULL", "set_id = 'ff' || set_id", "checksum = NULL"],
)
def test_a_changed_commit_is_data_loss(versions, damage):
    commit_id = versions.read(newest)
    change(versions, f'UPDATE "commit" SET {damage} WHERE id = {commit_id}')

    with pytest.raises(DataLoss, match="commit"):
        versions.read(commits.by_id, commit_id)


@pytest.mark.parametrize("damage", ["head_id = head_id - 1", "name = 'mister'", "head_id = NULL"])
def test_a_changed_branch_is_data_loss(versions, damage):
    change(versions, f"UPDATE branch SET {damage}")

    with pytest.raises(DataLoss, match="branch"):
        versions.read(branches.by_id, 1)
