"""A conversion gives the rows that format 1 had, wherever it is interrupted, at the cost of what changed."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest
from blake3 import blake3
from format1_world import Format1World, Rows, lanes
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from postgres_server import database_url  # noqa: F401

from trunkline import errors
from trunkline.meta import commits, install, records, schema
from trunkline.model.states import JobState, PipelineState
from trunkline.pfs import store_format
from trunkline.pps import datum_rows
from trunkline.runtime import failpoints
from trunkline.storage import deltas, file_values, files
from trunkline.storage.format1.segments import EMPTY as OLD_EMPTY
from trunkline.storage.sums import EMPTY, TreeId

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from trunkline.ports import ObjectStore
    from trunkline.storage.store import ChunkStore
    from trunkline.storage.trees import Trees

POINTS = (
    "conversion.pack_stored", "conversion.pack_recorded", "conversion.tables_stored", "conversion.tables_recorded",
    "conversion.trees_stored", "conversion.trees_recorded", "conversion.switching", "conversion.switched",
    "conversion.named",
)  # fmt: skip


def chunk_list(*numbers: int) -> bytes:
    """Return a chunk list; nobody reads the chunks."""
    return b"".join(struct.pack("<32sI", blake3(bytes([number])).digest(), number + 1) for number in numbers)


def key(path: str, tag: str = "default") -> bytes:
    return f"{path}\0{tag}".encode()


#: Values: nothing, one chunk, several, and a list that is long in format 2.
lists = st.sampled_from(
    [chunk_list(), chunk_list(1), chunk_list(2), chunk_list(1, 2), chunk_list(*range(40))]
)
#: No path is also a folder; folders of few and of many files.
paths = st.builds("/{}{}".format, st.sampled_from(["", "a/", "a/deep/er/", "b/", "b/c/"]), st.integers(0, 60))
changes = st.dictionaries(paths, st.none() | lists, max_size=40)


@pytest.fixture
def world() -> Iterator[Format1World]:
    world = Format1World()
    yield world
    world.close()


def new_rows(trees: Trees, store: ChunkStore, tree: bytes) -> dict[bytes, bytes]:
    """Return the rows of a file tree with their chunk lists."""
    return {row: file_values.list_of(store, value) for row, value in trees.scan(TreeId(tree))}


def expected_sums(rows: Rows, folder: str) -> tuple[int, bytes]:
    """Return size and hash of a folder as format 1 has them, but for long lists."""
    below = {row: value for row, value in rows.items() if row.startswith(folder.encode())}
    size = sum(length for value in below.values() for _, length in struct.iter_unpack("<32sI", value))
    contents = {}
    for row, value in below.items():
        if len(value) > file_values.LONGEST_INLINE:
            ids = b"".join(id for id, _ in struct.iter_unpack("<32sI", value))
            length = sum(length for _, length in struct.iter_unpack("<32sI", value))
            value = b"L" + blake3(ids).digest() + struct.pack("<Q", length)
        contents[row] = value
    return size, blake3(b"dir" + struct.pack("<4Q", *lanes(contents))).digest()


@settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(changes, st.integers(0, 3)), min_size=1, max_size=8))
def test_commits_have_the_rows_hashes_and_differences_that_they_had(
    story: list[tuple[dict[str, bytes | None], int]],
) -> None:
    world = Format1World()
    try:
        history: list[tuple[int, dict[bytes, bytes], int | None]] = []
        for change, back in story:
            parent = len(history) - 1 - back if back < len(history) else None
            rows = {} if parent is None else dict(history[parent][1])
            for path, value in change.items():
                rows.pop(key(path), None)
                if value is not None:
                    rows[key(path)] = value
            number = world.commit(rows, None if parent is None else history[parent][0])
            history.append((number, rows, parent))

        world.convert()

        store = world.chunk_store()
        trees = files.file_trees(store)
        ids = world.column(schema.commit.c.tree)
        for tree, (number, rows, parent) in zip(ids, history, strict=True):
            assert new_rows(trees, store, tree) == rows
            assert world.db.read_blocking(commits.by_id, number).tree == tree
            for folder in ("/", "/a/", "/a/deep/", "/b/c/"):
                entry = files.inspect(trees, TreeId(tree), folder)
                if entry is not None:
                    assert (entry.size, entry.hash) == expected_sums(rows, folder)
            before = history[parent][1] if parent is not None else {}
            base = ids[parent] if parent is not None else EMPTY
            assert {row for row, _, _ in trees.diff(TreeId(base), TreeId(tree))} == {
                row for row in {*rows, *before} if rows.get(row) != before.get(row)
            }
        store.close()
    finally:
        world.close()


def many(*, salt: int = 0) -> dict[bytes, bytes]:
    """Return the rows of some files."""
    return {key(f"/d{number % 3}/{number:03}"): chunk_list(number % 7, salt) for number in range(100)}


def fill(world: Format1World) -> list[dict[bytes, bytes]]:
    """Make commits with a few packs of either sort; return their rows."""
    history = [many(), many() | {key("/x"): chunk_list(1)}, many(salt=1), {}, {key("/x"): chunk_list(2)}]
    parent = None
    for rows in history:
        parent = world.commit(rows, parent)
    return history


def check(world: Format1World, history: Sequence[Rows]) -> None:
    """Check that an installation is converted as a whole."""
    store = world.chunk_store()
    trees = files.file_trees(store)
    assert [new_rows(trees, store, tree) for tree in world.column(schema.commit.c.tree)] == history
    store.close()
    assert install.stored_format(world.db) == 2
    assert store_format.examine(world.objects, 2) is store_format.StoreState.CURRENT
    with world.db.engine.connect() as conn:
        inspector = schema.sa.inspect(conn)
        assert "conversion" not in inspector.get_table_names()
        assert [index["name"] for index in inspector.get_indexes("chunk")] == []
    assert world.db.read_blocking(_inline) == 0


def _inline(conn: schema.sa.Connection) -> int:
    query = schema.sa.select(schema.sa.func.count()).where(schema.pack.c.body.is_not(None))
    return int(conn.execute(query).scalar_one())


@pytest.mark.parametrize("point", POINTS)
def test_a_conversion_that_fails_anywhere_is_done_by_the_next_start(world: Format1World, point: str) -> None:
    history = fill(world)

    with failpoints.armed(point, failpoints.failing()), pytest.raises(OSError, match="armed"):
        world.convert()
    world.convert()

    check(world, history)


class BrokenObjects:
    """An object store that fails from its n-th write on, until it is repaired."""

    def __init__(self, objects: ObjectStore, writes: int, error: errors.TrunklineError) -> None:
        self._objects = objects
        self._writes = writes
        self._error = error

    def put(self, key: str, parts: Sequence[bytes | memoryview]) -> None:
        if self._writes == 0:
            raise self._error
        self._writes -= 1
        self._objects.put(key, parts)

    def __getattr__(self, name: str) -> object:
        return getattr(self._objects, name)


@pytest.mark.parametrize("error", [errors.ResourceExhausted("no space"), errors.Unavailable("no answer")])
@pytest.mark.parametrize("writes", [0, 1, 2, 3])
def test_a_full_or_lost_store_ends_the_conversion_which_the_next_start_finishes(
    world: Format1World, writes: int, error: errors.TrunklineError
) -> None:
    history = fill(world)

    with pytest.raises(type(error)):
        world.convert(BrokenObjects(world.objects, writes, error))  # type: ignore[arg-type]
    world.convert()

    check(world, history)


def test_a_tree_that_is_lost_costs_only_its_commit(world: Format1World) -> None:
    first, lost, last = many(), many(salt=1), many(salt=2)
    parent = world.commit(first)
    before = {name for name, _ in world.objects.list("packs/")}
    parent = world.commit(lost, parent)
    for name in {name for name, _ in world.objects.list("packs/")} - before:
        world.objects.delete(name)
    world.commit(last, parent)

    world.convert()

    store = world.chunk_store()
    trees = files.file_trees(store)
    ids = world.column(schema.commit.c.tree)
    assert [new_rows(trees, store, ids[at]) for at in (0, 2)] == [first, last]
    with pytest.raises(errors.DataLoss):
        list(trees.scan(TreeId(ids[1])))
    store.close()


def test_a_store_that_has_gone_is_not_taken_for_lost_trees(world: Format1World) -> None:
    history = fill(world)
    objects = world.objects
    hidden = {name: objects.get(name) for name, _ in objects.list("") if name.startswith(("packs/", "inst"))}

    def hide() -> None:
        for name in hidden:
            objects.delete(name)

    with failpoints.armed("conversion.tables_recorded", hide), pytest.raises(errors.Unavailable):
        world.convert()
    for name, data in hidden.items():
        objects.put(name, [data])
    world.convert()

    check(world, history)


def test_every_other_reference_to_a_tree_is_converted(world: Format1World) -> None:
    long, short = chunk_list(*range(40)), chunk_list(3)
    delta = {
        key("/a", ""): b"D", key("/b/", ""): b"D", key("/c"): b"A" + short, key("/d"): b"R" + long, key("/e"): b"d",
        key("/f"): b"A",
    }  # fmt: skip
    datums = {bytes([number]) * 32: b"\1" + bytes([number]) * 100 for number in range(50)}
    later = datums | {bytes([7]) * 32: b"\1another"}
    commit = world.commit(many())
    delta_id, tree_id = world.tree(delta), world.tree(many(salt=1))
    datum_ids = [world.tree(datums), world.tree(later)]

    def refer(tx: object) -> None:
        conn = tx.conn  # type: ignore[attr-defined]
        conn.execute(schema.layer.insert().values(commit_id=commit, delta=delta_id))
        for handle, tree in (("a" * 32, tree_id), ("b" * 32, b"")):
            values = {
                "handle": handle,
                "tree": tree,
                "deltas": [delta_id.hex(), OLD_EMPTY.hex()],
                "ttl": 60.0,
            }
            conn.execute(schema.fileset.insert().values(**values))
        conn.execute(
            schema.pipeline.insert().values(
                id=1, project_id=1, name="edges", version=1, state=PipelineState.RUNNING, created_at=1.0,
                updated_at=1.0, metadata={},
            )
        )  # fmt: skip
        for number, (todo, whole) in enumerate(((OLD_EMPTY, datum_ids[0]), (datum_ids[0], datum_ids[1]))):
            values = {
                "pipeline_id": 1,
                "version": 1,
                "set_id": "0",
                "state": JobState.SUCCESS,
                "created": 1.0,
            }
            values |= {"todo": todo, "obsolete": None, "datums": whole, "base_id": number or None}
            conn.execute(schema.job.insert().values(commit_id=number + 1, **values))
        conn.execute(schema.handin.insert().values(job_id=1, delta=OLD_EMPTY, rows=datum_ids[0]))

    world.commit({}, commit)
    world.db.run_blocking(refer)

    world.convert()

    store = world.chunk_store()
    trees = files.file_trees(store)
    delta_trees, datum_trees = trees.of(deltas.DELTA), trees.of(datum_rows.KIND)
    [layer] = world.column(schema.layer.c.delta)
    assert {
        row: value[:1] + (file_values.list_of(store, value[1:]) if value[:1] in b"AR" else b"")
        for row, value in delta_trees.scan(TreeId(layer))
    } == delta
    based, unbased = world.column(schema.fileset.c.tree)
    assert new_rows(trees, store, based) == many(salt=1)
    assert unbased == b""
    assert world.db.read_blocking(_fileset_deltas) == [[layer.hex(), EMPTY.hex()]] * 2
    assert [dict(datum_trees.scan(TreeId(id))) for id in world.column(schema.job.c.datums)] == [datums, later]
    assert [dict(datum_trees.scan(TreeId(id))) for id in world.column(schema.job.c.todo)] == [{}, datums]
    assert world.column(schema.handin.c.delta) == [EMPTY]
    assert world.column(schema.handin.c.rows) == world.column(schema.job.c.datums)[:1]
    store.close()


def _fileset_deltas(conn: schema.sa.Connection) -> list[list[str]]:
    return list(conn.execute(schema.sa.select(schema.fileset.c.deltas)).scalars())


def test_the_installation_goes_through_the_same_conversion_on_postgres(database_url: str) -> None:  # noqa: F811
    world = Format1World(database_url)
    try:
        history = fill(world)

        with (
            failpoints.armed("conversion.trees_recorded", failpoints.failing()),
            pytest.raises(OSError, match="armed"),
        ):
            world.convert()
        world.convert()

        check(world, history)
    finally:
        world.close()


def test_each_commit_is_noted_once_for_the_log(world: Format1World) -> None:
    commits_made = len(fill(world))

    world.convert()

    notes = world.db.read_blocking(records.notes, 0, 1 << 40, 1000)
    assert [number for _, kind, number in notes if kind == "commit"] == list(range(1, commits_made + 1))


def test_a_damaged_commit_row_is_still_damaged_afterwards(world: Format1World) -> None:
    number = world.commit(many())
    change = schema.commit.update().values(branch_name="other")
    world.db.run_blocking(lambda tx: tx.conn.execute(change))

    world.convert()

    with pytest.raises(errors.DataLoss):
        world.db.read_blocking(commits.by_id, number)


def test_a_lost_format_record_is_written_again_and_not_called_a_conversion(
    world: Format1World, caplog: pytest.LogCaptureFixture
) -> None:
    history = fill(world)
    world.convert()
    world.objects.delete(store_format.KEY)
    caplog.clear()

    with caplog.at_level("INFO"):
        world.convert()

    check(world, history)
    assert [vars(record)["action"] for record in caplog.records] == ["format_record_written"]
