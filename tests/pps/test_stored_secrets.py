"""Secrets as sealed rows of the database, on both databases."""

from __future__ import annotations

import asyncio
import base64
import json

import pytest
import sqlalchemy as sa

from trunkline.app import composition
from trunkline.drivers.objects.memory import MemoryObjects
from trunkline.errors import DataLoss, FailedPrecondition, InvalidArgument, NotFound
from trunkline.meta import install, schema
from trunkline.meta.database import Database
from trunkline.meta.wakeups import Wakeups
from trunkline.model.spec import PipelineSpec, SecretMount, Transform
from trunkline.pfs.chunk_index import DatabaseChunkIndex
from trunkline.pfs.store_log import RECORDS, StoreLog
from trunkline.pps.sealing import Keys
from trunkline.pps.secrets import SecretStore
from trunkline.pps.stored_secrets import StoredSecrets

FIRST, SECOND = bytes(32), bytes([1] * 32)
VALUES = {"password": b"hunter2", "file": b"\0\xff"}


@pytest.fixture
def versions(installed_url, manual_clock):
    loop = asyncio.new_event_loop()
    wakeups = Wakeups(loop)
    db = Database(installed_url, wakeups.announce)
    db.open()
    install.install(db, manual_clock.now())
    core = composition.core(db, MemoryObjects(), wakeups, manual_clock)
    yield core.versions
    core.versions.chunks.close()
    db.close()
    loop.close()


@pytest.fixture
def manual_clock():
    from manual_clock import ManualClock

    return ManualClock()


def rows(versions):
    return versions.read(lambda conn: conn.execute(sa.select(schema.secret)).all())


def change(versions, **values):
    versions.db.run_blocking(lambda tx: tx.conn.execute(schema.secret.update().values(**values)))


def test_values_come_back_and_are_not_in_the_database(versions):
    secrets = StoredSecrets(versions, lambda: [FIRST])

    secrets.create("db", "Opaque", VALUES, {"a": "b"})

    assert secrets.values("db") == VALUES
    kind, created, keys = secrets.inspect("db")
    assert (kind, keys) == ("Opaque", ["file", "password"])
    assert secrets.list() == [("db", "Opaque", created)]
    (row,) = rows(versions)
    assert b"hunter2" not in bytes(row.sealed)
    assert "hunter2" not in str(row)


def test_a_secret_is_replaced_and_removed(versions):
    secrets = StoredSecrets(versions, lambda: [FIRST])
    secrets.create("db", "Opaque", VALUES, {})

    secrets.create("db", "other", {"x": b"1"}, {})
    assert secrets.values("db") == {"x": b"1"}

    secrets.delete("db")
    secrets.delete("db")
    assert secrets.values("db") is secrets.inspect("db") is None


def test_equal_values_are_sealed_differently(versions):
    secrets = StoredSecrets(versions, lambda: [FIRST])

    secrets.create("a", "Opaque", VALUES, {})
    secrets.create("b", "Opaque", VALUES, {})

    assert len({bytes(row.sealed)[:12] for row in rows(versions)}) == 2


def test_after_a_rotation_the_old_key_is_not_needed(versions):
    StoredSecrets(versions, lambda: [FIRST]).create("db", "Opaque", VALUES, {})

    StoredSecrets(versions, lambda: [SECOND, FIRST]).seal_again()

    assert StoredSecrets(versions, lambda: [SECOND]).values("db") == VALUES
    with pytest.raises(FailedPrecondition):
        StoredSecrets(versions, lambda: [FIRST]).values("db")


def test_a_secret_of_another_key_does_not_stop_the_start(versions):
    StoredSecrets(versions, lambda: [FIRST]).create("db", "Opaque", VALUES, {})
    secrets = StoredSecrets(versions, lambda: [SECOND])

    secrets.seal_again()

    assert secrets.inspect("db") is not None
    with pytest.raises(FailedPrecondition):
        secrets.values("db")
    secrets.create("db", "Opaque", VALUES, {})
    assert secrets.values("db") == VALUES


def test_without_secrets_no_key_is_loaded(versions):
    def load():
        raise AssertionError

    StoredSecrets(versions, load).seal_again()


@pytest.mark.parametrize("column", ["name", "kind", "sealed"])
def test_a_row_that_was_changed_is_refused(versions, column):
    secrets = StoredSecrets(versions, lambda: [FIRST])
    secrets.create("db", "Opaque", VALUES, {})
    sealed = bytes(rows(versions)[0].sealed)

    change(versions, **{column: sealed[:-1] + bytes([sealed[-1] ^ 1]) if column == "sealed" else "other"})

    with pytest.raises(DataLoss):
        secrets.values("other" if column == "name" else "db")


def test_limits_of_names_and_sizes(versions):
    secrets = StoredSecrets(versions, lambda: [FIRST])

    for name, values in (("x" * 254, {}), ("large", {"a": bytes(1 << 20)})):
        with pytest.raises(InvalidArgument):
            secrets.create(name, "Opaque", values, {})


def spec(*mounts):
    return PipelineSpec(transform=Transform(cmd=("true",), secrets=mounts))


def test_commands_get_values_as_variables_and_files(versions):
    stored = StoredSecrets(versions, lambda: [FIRST])
    stored.create("db", "Opaque", VALUES, {})
    mounts = (
        SecretMount(name="db", key="password", env_var="PASSWORD"),
        SecretMount(name="db", mount_path="/secrets/db/"),
    )

    delivered = SecretStore(stored).delivered(spec(*mounts))

    assert delivered.variables == {"PASSWORD": "hunter2"}
    assert sorted(delivered.files) == [
        ("/secrets/db", "file", b"\0\xff"),
        ("/secrets/db", "password", b"hunter2"),
    ]


@pytest.mark.parametrize(
    ("mount", "error"),
    [
        (SecretMount(name="absent", mount_path="/x"), NotFound),
        (SecretMount(name="db", key="absent", env_var="X"), NotFound),
        (SecretMount(name="db", key="file", env_var="X"), FailedPrecondition),
    ],
)
def test_a_secret_that_cannot_be_delivered_is_an_error(versions, mount, error):
    stored = StoredSecrets(versions, lambda: [FIRST])
    stored.create("db", "Opaque", VALUES, {})

    with pytest.raises(error):
        SecretStore(stored).delivered(spec(mount))


def test_the_server_reads_a_value_by_its_key(versions):
    stored = StoredSecrets(versions, lambda: [FIRST])
    stored.create("db", "Opaque", VALUES, {})
    stored.create("one", "Opaque", {"x": b"1"}, {})
    secrets = SecretStore(stored)

    assert (secrets.value("db", "password"), secrets.value("one", "")) == (b"hunter2", b"1")
    for name, key, error in (("no", "x", NotFound), ("db", "x", NotFound), ("db", "", FailedPrecondition)):
        with pytest.raises(error):
            secrets.value(name, key)


def test_the_store_alone_gives_the_values_of_a_secret_to_whoever_has_the_key(versions):
    secrets = StoredSecrets(versions, lambda: [FIRST])
    secrets.create("lost", "Opaque", {"x": b"1"}, {})
    secrets.create("db", "Opaque", VALUES, {"a": "b"})
    index = DatabaseChunkIndex(versions.db, versions.clock.now)
    log = StoreLog(versions, index, "cluster")
    log.write()
    secrets.delete("lost")
    log.write()

    [key] = sorted(key for key, _ in versions.chunks.objects.list("log/"))[-1:]
    tree = bytes.fromhex(json.loads(versions.chunks.objects.get(key))["records"])
    rows = [json.loads(value) for name, value in versions.trees.of(RECORDS).scan(tree) if b"secret/" in name]

    [row] = rows
    about = [row["name"], row["type"], row["labels"], row["keys"], row["created"]]
    assert about[:3] == ["db", "Opaque", {"a": "b"}]
    assert "hunter2" not in json.dumps(rows)
    assert Keys([FIRST]).open(about, base64.b64decode(row["sealed"]), row["key_id"]) == VALUES
    with pytest.raises(FailedPrecondition):
        Keys([SECOND]).open(about, base64.b64decode(row["sealed"]), row["key_id"])
