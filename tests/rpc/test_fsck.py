"""Checks of the store's commits, through the published SDK."""

from __future__ import annotations

import grpc
import sqlalchemy as sa
from pachyderm_sdk.api import pfs
from sdk_steps import put, refusal

from trunkline.meta import commits as rows
from trunkline.meta import schema

IMAGES = pfs.Repo.from_uri("images")
MASTER = pfs.Branch.from_uri("images@master")


def errors(client):
    return [response.error for response in client.pfs.fsck()]


def test_a_sound_store_has_no_errors(client):
    client.pfs.create_repo(repo=IMAGES)
    put(client, MASTER, {"/a": b"1"})
    client.pfs.start_commit(branch=MASTER)

    assert errors(client) == []


def test_a_commit_whose_row_or_files_are_damaged_is_named(server):
    client = server.client()
    client.pfs.create_repo(repo=IMAGES)
    commits = [put(client, MASTER, {f"/{number}": b"1"}) for number in range(3)]
    row = schema.commit.c

    def damage(tx):
        tx.conn.execute(schema.commit.update().where(row.set_id == commits[0].id).values(tree=bytes(32)))
        tx.conn.execute(
            schema.commit.update()
            .where(row.set_id == commits[1].id)
            .values(branch_name="other", checksum=sa.null())
        )
        last = tx.conn.execute(sa.select(row.id).where(row.set_id == commits[2].id)).scalar_one()
        rows.set_tree(tx.conn, rows.by_id(tx.conn, last), bytes(range(32)))

    server.versions.db.run_blocking(damage)

    sentences = errors(client)

    assert len(sentences) == 3
    assert all(commit.id in sentence for commit, sentence in zip(commits, sentences, strict=True))


def test_nothing_is_repaired(client):
    assert refusal(client.pfs.fsck, fix=True)[0] == grpc.StatusCode.UNIMPLEMENTED
