"""The store's log: what it holds, how soon, and after a crash at each of its steps."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa
from blake3 import blake3
from manual_clock import ManualClock

from trunkline import errors
from trunkline.app import composition
from trunkline.drivers.objects.local import LocalObjects
from trunkline.drivers.objects.memory import MemoryObjects
from trunkline.meta import chunks, install, metadata, records, schema, secrets, spec_defaults
from trunkline.meta.database import Database
from trunkline.meta.secrets import SecretRow
from trunkline.meta.wakeups import Wakeups
from trunkline.model.names import CommitName, RepoName
from trunkline.pfs import branches, chunk_index, commits, files, repos, store_format, store_log, write_streams
from trunkline.pfs.branches import BranchName, Upstream
from trunkline.pfs.store_log import RECORDS, StoreLog, key_of
from trunkline.runtime import failpoints
from trunkline.storage import files as storage_files

sys.path.append(str(Path(__file__).parents[1] / "storage"))
from reader import Reader

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trunkline.pfs.repository import VersionedStore
    from trunkline.pfs.writes import WriteTransaction
    from trunkline.ports import ObjectStore

IN, OUT = RepoName("default", "in"), RepoName("default", "out")
MASTER = BranchName(IN, "master")


class World:
    """A store on a database, whose log is written when a test says so."""

    def __init__(self, url: str, objects: ObjectStore | None = None) -> None:
        self.url = url
        self.objects: ObjectStore = objects or MemoryObjects()
        self._open()

    def restart(self) -> None:
        """Begin again with nothing in memory."""
        self.close()
        self._open()

    def _open(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.clock = ManualClock()
        wakeups = Wakeups(self.loop)
        self.db = Database(self.url, wakeups.announce)
        self.installation = install.install(self.db, 1.0)
        core = composition.core(self.db, self.objects, wakeups, self.clock)
        self.index = core.index
        self.versions: VersionedStore = core.versions
        self.log = StoreLog(self.versions, core.index, self.installation)

    def close(self) -> None:
        self.versions.chunks.close()
        self.db.close()
        self.loop.close()

    def put(self, path: str, data: bytes, repo: RepoName = IN) -> None:
        stream = write_streams.CommitStream(self.versions, CommitName(repo, branch="master"))
        stream.add(path, "", data)
        stream.finish()

    def read(self, path: str, repo: RepoName = IN) -> bytes:
        snapshot = files.snapshot(self.versions, CommitName(repo, branch="master"))
        return b"".join(snapshot.read(snapshot.inspect(path)))

    def records(self) -> dict[str, dict[str, object]]:
        """The records of the newest log object."""
        newest = max(key for key, _ in self.objects.list("log/"))
        tree = bytes.fromhex(json.loads(self.objects.get(newest))["records"])
        trees = self.versions.trees.of(RECORDS)
        return {key.decode(): json.loads(value) for key, value in trees.scan(tree)}  # type: ignore[arg-type]

    def counts(self) -> tuple[int, int]:
        """Bundles and notes in the database."""

        def count(conn: sa.Connection) -> tuple[int, int]:
            tables = (schema.bundle, schema.unlogged)
            bundles, notes = (
                conn.execute(sa.select(sa.func.count()).select_from(table)).scalar_one() for table in tables
            )
            return bundles, notes

        return self.versions.read(count)


@pytest.fixture
def world(installed_url: str) -> Iterator[World]:
    world = World(installed_url)
    world.versions.write(repos.create_repo, IN, "", update=False)
    yield world
    world.close()


def test_a_small_commit_is_one_row_of_chunks_until_it_is_copied(world: World) -> None:
    world.put("/a", b"one")
    before = world.counts()[0]
    indexed = world.versions.read(
        lambda conn: conn.execute(sa.select(sa.func.count(schema.chunk.c.id))).scalar_one()
    )

    world.log.write()

    assert (before, indexed) == (1, 0)
    assert world.counts() == (0, 0)
    assert world.read("/a") == b"one"
    assert list(world.objects.list("packs/"))


def test_records_hold_repos_branches_commits_and_what_they_refer_to(world: World) -> None:
    world.versions.write(repos.create_repo, OUT, "", update=False)
    world.versions.write(branches.create_branch, BranchName(OUT, "master"), provenance=[Upstream(MASTER)])
    world.put("/a", b"one")

    world.log.write()

    held = world.records()
    by_kind: dict[str, list[dict[str, object]]] = {}
    for key, record in held.items():
        by_kind.setdefault(key.partition("/")[0], []).append(record)
    assert [record["name"] for record in by_kind["repo"]] == ["in", "out"]
    [finished] = [record for record in by_kind["commit"] if record["size"]]
    assert finished["branch"] == "master"
    assert len(str(finished["tree"])) == 64
    downstream = next(record for record in by_kind["branch"] if record["provenance"])
    assert downstream["provenance"] == [[1, False]]


def test_defaults_and_metadata_of_the_cluster_and_of_projects_are_records(world: World) -> None:
    defaults = '{"createPipelineRequest": {"autoscaling": true}}'
    world.db.run_blocking(lambda tx: spec_defaults.set_of_cluster(tx.conn, defaults))
    world.db.run_blocking(lambda tx: metadata.set_of_cluster(tx.conn, {"owner": "ops"}))
    world.db.run_blocking(lambda tx: spec_defaults.set_of_project(tx.conn, 1, "{}", 2.0))
    world.db.run_blocking(lambda tx: spec_defaults.set_of_project(tx.conn, 1, defaults, 3.0))

    world.log.write()

    held = world.records()
    assert held["cluster/0000000000000001"] == {"defaults": defaults, "metadata": {"owner": "ops"}}
    assert held["project/0000000000000001"]["defaults"] == defaults
    assert held["project/0000000000000001"]["defaults_set"] == 3.0


def test_a_cluster_on_which_nothing_is_set_has_no_record(world: World) -> None:
    world.db.run_blocking(lambda tx: spec_defaults.set_of_cluster(tx.conn, '{"a": 1}'))
    world.log.write()
    world.db.run_blocking(lambda tx: spec_defaults.set_of_cluster(tx.conn, "{}"))

    world.log.write()

    assert not [key for key in world.records() if key.startswith("cluster/")]


def test_many_secrets_are_read_some_at_a_time(world: World) -> None:
    for number in range(40):
        row = SecretRow(f"s{number}", "Opaque", {}, ["a"], 1.0, "key", b"sealed %d" % number)
        world.db.run_blocking(lambda tx, row=row: secrets.put(tx.conn, row))

    pages = world.versions.read(lambda conn: records.notes(conn, 0, 1 << 40, 500))
    world.log.write()

    assert sum(kind == "secret" for _, kind, _ in pages) == records.at_once("secret")
    held = [record for key, record in world.records().items() if key.startswith("secret/")]
    assert [record["name"] for record in held] == [f"s{number}" for number in range(40)]
    assert world.counts()[1] == 0


def test_a_deleted_object_has_no_record(world: World) -> None:
    world.versions.write(repos.create_repo, OUT, "", update=False)
    world.log.write()
    world.versions.write(repos.delete_repo, OUT, force=False)

    world.log.write()

    assert [record["name"] for key, record in world.records().items() if key.startswith("repo/")] == ["in"]


def test_nothing_new_writes_nothing(world: World) -> None:
    world.put("/a", b"one")
    first = world.log.write()
    objects = sorted(world.objects.list(""))

    assert world.log.write() is None
    assert first is not None
    assert sorted(world.objects.list("")) == objects


def test_three_log_objects_stay(world: World) -> None:
    for number in range(6):
        world.put("/a", b"%d" % number)
        world.log.write()

    assert sorted(key for key, _ in world.objects.list("log/")) == [key_of(number) for number in (4, 5, 6)]


@pytest.mark.parametrize("step", ["store_log.copied", "store_log.named", "store_log.recorded"])
def test_a_round_that_breaks_off_is_done_again(world: World, step: str) -> None:
    def fail() -> None:
        raise errors.Unavailable("the store does not answer")

    world.put("/a", b"one")
    with failpoints.armed(step, fail), pytest.raises(errors.Unavailable):
        world.log.write()
    world.put("/b", b"two")

    world.log.write()

    assert world.counts() == (0, 0)
    assert (world.read("/a"), world.read("/b")) == (b"one", b"two")
    assert len([key for key in world.records() if key.startswith("commit/")]) == 2


def test_a_server_that_starts_finds_the_chunks_of_bundles_left_by_the_one_before(world: World) -> None:
    world.put("/a", b"one")

    second = World(world.url, world.objects)
    try:
        assert second.read("/a") == b"one"
    finally:
        second.close()


def test_a_file_that_is_in_a_bundle_is_not_stored_again(world: World) -> None:
    world.put("/a", b"the same content")
    world.put("/b", b"the same content")
    totals = world.versions.read(chunks.totals)

    world.log.write()

    names = [
        row for row in world.versions.read(lambda conn: conn.execute(sa.select(schema.chunk.c.id)).all())
    ]
    assert len(names) == world.versions.read(chunks.totals)[0]
    assert world.versions.read(chunks.totals)[4] == totals[4]
    assert world.read("/b") == b"the same content"


def test_bundles_stay_until_all_of_their_many_chunks_are_in_the_index(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_log, "TRANSACTION_CHUNKS", 2)
    monkeypatch.setattr(chunk_index, "TRANSACTION_CHUNKS", 2)
    world.put("/a", b"one")
    world.put("/b", b"two")
    waiting = world.counts()
    during: list[tuple[int, int]] = []

    with failpoints.armed("chunk_index.partly_recorded", lambda: during.append(world.counts())):
        world.log.write()

    assert len(during) > 1
    assert set(during) == {waiting}
    assert world.counts() == (0, 0)
    rows = world.versions.read(lambda conn: conn.execute(sa.select(schema.chunk.c.length)).scalars().all())
    totals = world.versions.read(chunks.totals)
    assert (len(rows), sum(rows)) == (totals[0], totals[3])
    assert (world.read("/a"), world.read("/b")) == (b"one", b"two")


def change_first_bundle(world: World, at: int) -> None:
    """Flip a bit of the oldest bundle, ``at`` bytes from its start or end."""

    def damage(write: WriteTransaction) -> None:
        row = write.conn.execute(sa.select(schema.bundle).order_by(schema.bundle.c.id)).first()
        assert row is not None
        body = bytearray(row.body)
        body[at] ^= 1
        write.conn.execute(
            schema.bundle.update().where(schema.bundle.c.id == row.id).values(body=bytes(body))
        )

    world.versions.write(damage)


def test_a_damaged_chunk_is_named_and_healed_by_the_same_file(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.put("/a", b"one")
    world.put("/b", b"two")
    change_first_bundle(world, 0)

    world.log.write()

    assert "does not match its id" in caplog.text
    world.restart()  # what was written is in the cache no more
    assert world.read("/b") == b"two"
    with pytest.raises(errors.DataLoss):
        world.read("/a")
    world.put("/c", b"one")
    assert (world.read("/a"), world.read("/c")) == (b"one", b"one")
    world.log.write()
    assert world.read("/a") == b"one"


def test_a_bundle_with_a_damaged_table_stays_and_the_others_are_copied(world: World) -> None:
    world.put("/a", b"one")
    world.put("/b", b"two")
    change_first_bundle(world, -1)

    world.log.write()

    assert world.counts() == (1, 0)
    assert world.read("/b") == b"two"


def test_notes_of_many_changes_are_read_page_by_page(world: World) -> None:
    for number in range(12):
        world.put("/a", b"%d" % number)
    pages: list[int] = []

    def look(conn: sa.Connection) -> None:
        after = 0
        while page := records.notes(conn, after, 1 << 40, 5):
            pages.append(len(page))
            after = page[-1][0]

    world.versions.read(look)

    assert max(pages) == 5
    assert len(pages) > 3


def test_what_an_open_commit_writes_survives_the_copy(world: World) -> None:
    world.versions.write(commits.start_commit, MASTER)
    world.put("/open", b"layer")
    assert world.log.write() is not None

    snapshot = files.snapshot(world.versions, CommitName(IN, branch="master"))
    assert [entry.path for entry in storage_files.listing(snapshot.trees, snapshot.tree, "/")] == ["/open"]


def test_bundles_of_a_long_outage_are_all_copied_before_the_log_names_their_commits(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_log, "_PAGE", 2)
    monkeypatch.setattr(store_log, "_COPIED_BYTES", 1)
    for number in range(7):
        world.put(f"/{number}", b"%d" % number)
    remaining: list[tuple[int, int]] = []

    with failpoints.armed("store_log.named", lambda: remaining.append(world.counts())):
        world.log.write()

    assert remaining[0][0] <= 2, "bundles that are copied and not recorded yet"
    assert world.counts() == (0, 0)
    assert [world.read(f"/{number}") for number in range(7)] == [b"%d" % number for number in range(7)]


def test_the_log_goes_on_after_the_newest_object_when_an_older_database_was_restored(world: World) -> None:
    for number in (8, 9):
        world.objects.put(key_of(number), [b"{}"])
    world.put("/a", b"one")

    assert world.log.write() == 10

    world.put("/a", b"two")
    assert world.log.write() == 11
    assert sorted(key for key, _ in world.objects.list("log/")) == [key_of(number) for number in (9, 10, 11)]


def test_a_log_object_of_another_server_is_never_passed_by_an_older_one(world: World) -> None:
    """Another server has written a newer object since this one has read the database."""
    world.put("/a", b"one")
    other = failpoints.armed("store_log.copied", lambda: world.objects.put(key_of(1), [b"{}"]))

    with other, pytest.raises(errors.Unavailable):
        world.log.write()

    assert [key for key, _ in world.objects.list("log/")] == [key_of(1)]
    assert world.log.write() == 2


@pytest.mark.parametrize("damage", ["lost", "truncated", "flipped", "swapped"])
def test_a_damaged_record_tree_is_written_again_from_the_database(world: World, damage: str) -> None:
    world.put("/a", b"one")
    world.log.write()
    expected = world.records()
    log_tree = bytes.fromhex(json.loads(world.objects.get(key_of(1)))["records"])
    [pack] = {place.pack for place in world.versions.chunks.places([log_tree]).values()}  # type: ignore[list-item]
    body = world.objects.get(pack)
    world.objects.delete(pack)
    if damage != "lost":
        bodies = {"truncated": body[:9], "flipped": bytes(64) + body[64:], "swapped": b"x" * len(body)}
        world.objects.put(pack, [bodies[damage]])
    world.versions.write(repos.create_repo, OUT, "", update=False)

    world.restart()

    assert world.log.write() == 2
    rewritten = world.records()
    assert {key: rewritten[key] for key in expected} == expected
    assert sum(key.startswith("repo/") for key in rewritten) == 2


def test_a_store_that_takes_nothing_makes_the_log_older_and_ends_nothing(world: World) -> None:
    def fail() -> None:
        raise errors.ResourceExhausted("the store is full")

    world.put("/a", b"one")
    world.clock.ahead += 3600
    with failpoints.armed("store_log.copied", fail):
        world.log.close()
    during = world.log.age

    world.log.close()

    assert during >= 3600
    assert world.log.age < 3600
    assert world.counts() == (0, 0)


def test_removing_notes_says_in_the_same_transaction_whether_some_are_left(world: World) -> None:
    for number in range(4):
        world.put("/a", b"%d" % number)
    notes = world.counts()[1]
    up_to = world.versions.read(records.newest_note)

    answers = [
        world.versions.write(lambda write: records.remove_notes(write.conn, up_to, notes // 2))
        for _ in range(2 + notes % 2)
    ]

    assert answers == [True] * (len(answers) - 1) + [False]


def newer(body: bytes) -> bytes:
    """Return a log object as a later format may write it."""
    fields = json.loads(body) | {"format": 3}
    del fields["hash"]
    text = json.dumps(fields, sort_keys=True, separators=(",", ":"))
    return json.dumps(fields | {"hash": blake3(text.encode()).hexdigest()}).encode()


@pytest.mark.parametrize("damage", ["lost", "truncated", "flipped", "swapped", "foreign", "newer"])
def test_a_damaged_log_object_is_passed_for_the_one_before_and_the_next_round_writes_a_good_one(
    database_url: str, tmp_path: Path, damage: str
) -> None:
    objects = LocalObjects(tmp_path)
    store_format.open_store(objects, None)
    world = World(database_url, objects)
    world.versions.write(repos.create_repo, IN, "", update=False)
    world.log.write()
    before = Reader(tmp_path).records()
    world.put("/a", b"one")
    world.log.write()
    body = objects.get(key_of(2))
    objects.delete(key_of(2))
    changed = {
        "truncated": body[:-1],
        "flipped": body.replace(b"0", b"1", 1),
        "swapped": objects.get(key_of(1)),
        "foreign": b"Dear aunt,",
        "newer": newer(body),
    }
    if damage != "lost":
        objects.put(key_of(2), [changed[damage]])

    assert Reader(tmp_path).records() == before
    world.restart()
    assert world.read("/a") == b"one"
    world.put("/b", b"two")
    world.log.write()
    after = Reader(tmp_path).records()
    world.close()

    assert sum(key.startswith("commit/") for key in after) == 2
