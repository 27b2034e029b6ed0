"""Queries and writes of the conversion from format 1 to format 2 (``trunkline.pps.conversion``).

The table ``conversion`` says which tree of format 2 has the rows of a tree of format 1. It and an index over the chunk
index exist during a conversion only, so they are in no schema. The setting ``conversion`` says how far it is.
"""

from __future__ import annotations

import json
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from msgspec import Struct

from trunkline.meta import dialects, settings
from trunkline.meta.commits import CommitRow, checksum
from trunkline.meta.query import command, fetch, run_many
from trunkline.meta.schema import (
    commit,
    fileset,
    handin,
    job,
    layer,
    pack,
    setting,
    storage_total,
    unlogged,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from trunkline.meta.query import Row

#: Kinds of trees, as the format numbers them.
FILES, DELTAS, DATUMS = 1, 2, 3
#: Rows read or written at a time.
PAGE = 500

_SETTING = "conversion"
_INDEX = "ix_chunk_conversion"
#: Chunks read at a time.
_CHUNKS = 20_000
#: Ids in one look-up.
_FIND_BATCH = 400

_mapping = sa.Table(
    "conversion",
    sa.MetaData(),
    sa.Column("kind", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("old", sa.LargeBinary(32), primary_key=True),
    sa.Column("new", sa.LargeBinary(32), nullable=False),
    sqlite_with_rowid=False,
)
#: Columns with the id of a tree, by kind.
_COLUMNS = (
    (FILES, fileset.c.tree),
    (DELTAS, layer.c.delta),
    (DELTAS, handin.c.delta),
    (DATUMS, handin.c.rows),
    (DATUMS, job.c.todo),
    (DATUMS, job.c.obsolete),
    (DATUMS, job.c.datums),
)


class State(Struct, frozen=True):
    """How far a conversion is."""

    #: Number of the last pack of format 1; later ones are of format 2.
    last_pack: int
    #: Packs up to this number have their table.
    tables: int = 0
    #: Whether all packs are done.
    packs_done: bool = False

    def encode(self) -> str:
        """Return the value of the setting."""
        return json.dumps({"last_pack": self.last_pack, "tables": self.tables, "packs_done": self.packs_done})


def begin(conn: sa.Connection, empty: tuple[bytes, bytes]) -> State:
    """Begin a conversion, or go on with the one that was begun.

    Args:
        conn: a write transaction.
        empty: ids of the empty tree in format 1 and in format 2.
    """
    text = settings.value(conn, _SETTING)
    if text is not None:
        return State(**json.loads(text))
    last = conn.execute(sa.select(sa.func.max(pack.c.id))).scalar() or 0
    state = State(last_pack=last, packs_done=last == 0)
    _mapping.create(conn, checkfirst=True)
    conn.execute(_mapping.delete())
    add_trees(conn, [(kind, *empty) for kind in (FILES, DELTAS, DATUMS)])
    put_state(conn, state)
    return state


def put_state(conn: sa.Connection, state: State) -> None:
    """Record how far the conversion is."""
    settings.put(conn, _SETTING, state.encode())


# --- packs ----------------------------------------------------------------------------------------------


def index_packs(engine: sa.Engine) -> None:
    """Index the chunks by pack, in the order of their bytes. Takes a connection of its own, and time."""
    with engine.connect() as conn:
        conn.info[dialects.BEGIN] = "BEGIN IMMEDIATE" if engine.dialect.name == "sqlite" else "BEGIN"
        raw: Any = conn.connection.dbapi_connection
        if engine.dialect.name == "sqlite":
            raw.execute("PRAGMA temp_store = FILE")  # else sorting takes the memory of all rows
        with conn.begin():
            command(
                conn,
                f'CREATE INDEX IF NOT EXISTS {_INDEX} ON chunk (pack_id, "offset", stored, length, codec, id)',
            )


def end_packs(conn: sa.Connection, state: State) -> None:
    """Remove the index and record that all packs are done."""
    command(conn, f"DROP INDEX IF EXISTS {_INDEX}")
    put_state(conn, state)


def inline_packs(conn: sa.Connection, number: int) -> list[Row]:
    """Return packs that the database holds, the oldest first: rows of (number, body)."""
    query = sa.select(pack.c.id, pack.c.body).where(pack.c.body.is_not(None)).order_by(pack.c.id)
    return [(row[0], row[1]) for row in conn.execute(query.limit(number))]


def count_packs(conn: sa.Connection, state: State) -> int:
    """Return how many packs of format 1 are to be done."""
    todo = sa.or_(pack.c.body.is_not(None), pack.c.id > state.tables)
    query = sa.select(sa.func.count()).select_from(pack).where(pack.c.id <= state.last_pack, todo)
    return int(conn.execute(query).scalar_one())


def packs_after(conn: sa.Connection, state: State, number: int) -> list[Row]:
    """Return packs of format 1 whose table is missing, the oldest first: rows of (number, name, bytes).

    Args:
        conn: of the transaction.
        state: how far the conversion is.
        number: the largest number of packs.
    """
    query = (
        sa.select(pack.c.id, pack.c.name, pack.c.size)
        .where(pack.c.id > state.tables, pack.c.id <= state.last_pack, pack.c.body.is_(None))
        .order_by(pack.c.id)
        .limit(number)
    )
    return [tuple(row) for row in conn.execute(query)]


def chunks_of(conn: sa.Connection, pack_id: int, start: int = 0) -> list[Row]:
    """Return a page of the chunks of a pack in the order of their bytes.

    Args:
        conn: of the transaction.
        pack_id: number of the pack.
        start: the first offset.

    Returns:
        Rows of (chunk id, offset, stored bytes, length, codec); none when there are no more.
    """
    mark = _mark(conn)
    return fetch(
        conn,
        f'SELECT id, "offset", stored, length, codec FROM chunk WHERE pack_id = {mark} AND "offset" >= {mark}'
        f' ORDER BY "offset" LIMIT {_CHUNKS}',
        (pack_id, start),
    )


def move_inline(
    conn: sa.Connection,
    numbers: Sequence[int],
    copy: tuple[str, int],
    places: Sequence[tuple[int, bytes]],
    stored_bytes: int,
    now: float,
) -> None:
    """Replace packs that the database holds by one of the object store with their chunks.

    Args:
        conn: a write transaction.
        numbers: of the packs.
        copy: name and bytes of the pack that replaces them; durable.
        places: offset in the new pack, and id, of each chunk.
        stored_bytes: of the new pack's chunks without those of the packs that it replaces.
        now: seconds since the epoch.
    """
    if places:
        name, size = copy
        pack_id = conn.execute(
            pack.insert().values(name=name, size=size, created_at=now, body=None).returning(pack.c.id)
        ).scalar_one()
        mark = _mark(conn)
        run_many(
            conn,
            f'UPDATE chunk SET pack_id = {int(pack_id)}, "offset" = {mark} WHERE id = {mark}',
            sorted(places, key=itemgetter(1)),
        )
    for at in range(0, len(numbers), _FIND_BATCH):
        conn.execute(pack.delete().where(pack.c.id.in_(numbers[at : at + _FIND_BATCH])))
    conn.execute(
        storage_total.update().values(
            packs=storage_total.c.packs + (int(bool(places)) - len(numbers)),
            stored_bytes=storage_total.c.stored_bytes + stored_bytes,
        )
    )


# --- trees ----------------------------------------------------------------------------------------------


def add_trees(conn: sa.Connection, trees: Iterable[tuple[int, bytes, bytes]]) -> None:
    """Record trees of format 2: kind, id in format 1, id in format 2."""
    rows = [{"kind": kind, "old": old, "new": new} for kind, old, new in trees]
    if rows:
        conn.execute(_mapping.insert(), rows)


def find_trees(conn: sa.Connection, trees: Collection[tuple[int, bytes]]) -> dict[tuple[int, bytes], bytes]:
    """Return the ids in format 2 of those trees, each with its kind, that are converted."""
    ids_by_tree: dict[tuple[int, bytes], bytes] = {}
    for kind in (FILES, DELTAS, DATUMS):
        ids = sorted({old for its, old in trees if its == kind})
        for at in range(0, len(ids), _FIND_BATCH):
            query = sa.select(_mapping.c.old, _mapping.c.new).where(
                _mapping.c.kind == kind, _mapping.c.old.in_(ids[at : at + _FIND_BATCH])
            )
            ids_by_tree.update(((kind, bytes(old)), bytes(new)) for old, new in conn.execute(query))
    return ids_by_tree


def count_trees(conn: sa.Connection) -> int:
    """Return how many references to trees the database has."""
    total = 0
    for columns in (
        (commit.c.tree,),
        (layer.c.delta,),
        (handin.c.delta, handin.c.rows),
        (job.c.todo, job.c.obsolete, job.c.datums),
        (fileset.c.handle,),
    ):
        total += sum(conn.execute(sa.select(*map(sa.func.count, columns))).one())
    return total


def commits_after(conn: sa.Connection, after: int) -> list[Row]:
    """Return a page of finished commits, the oldest first: rows of (number, tree, tree of the parent or None)."""
    parent = commit.alias("parent")
    query = (
        sa.select(commit.c.id, commit.c.tree, parent.c.tree)
        .outerjoin(parent, parent.c.id == commit.c.parent_id)
        .where(commit.c.id > after, commit.c.tree.is_not(None))
        .order_by(commit.c.id)
        .limit(PAGE)
    )
    return [tuple(row) for row in conn.execute(query)]


def jobs_after(conn: sa.Connection, after: int) -> list[Row]:
    """Return a page of jobs, the oldest first.

    Rows of (number, pipeline, todo, obsolete, datums, datums of the base job); trees may be None.
    """
    base = job.alias("base")
    query = (
        sa.select(
            job.c.id, job.c.pipeline_id, job.c.todo, job.c.obsolete, job.c.datums, base.c.datums.label("base_datums")
        )
        .outerjoin(base, base.c.id == job.c.base_id)
        .where(job.c.id > after)
        .order_by(job.c.id)
        .limit(PAGE)
    )  # fmt: skip
    return [tuple(row) for row in conn.execute(query)]


def layers_after(conn: sa.Connection, after: int) -> list[Row]:
    """Return a page of layers: rows of (number, delta)."""
    query = sa.select(layer.c.id, layer.c.delta).where(layer.c.id > after).order_by(layer.c.id).limit(PAGE)
    return [tuple(row) for row in conn.execute(query)]


def completions_after(conn: sa.Connection, after: int) -> list[Row]:
    """Return a page of what workers have completed: rows of (number, delta, datum tree)."""
    query = sa.select(handin.c.id, handin.c.delta, handin.c.rows).where(handin.c.id > after)
    return [tuple(row) for row in conn.execute(query.order_by(handin.c.id).limit(PAGE))]


def filesets_after(conn: sa.Connection, after: str) -> list[Row]:
    """Return a page of file sets: rows of (handle, tree, deltas in hex)."""
    query = sa.select(fileset.c.handle, fileset.c.tree, fileset.c.deltas).where(fileset.c.handle > after)
    return [tuple(row) for row in conn.execute(query.order_by(fileset.c.handle).limit(PAGE))]


# --- the switch -----------------------------------------------------------------------------------------


def switch(conn: sa.Connection, version: int) -> None:
    """Let every row name the trees of format 2, and the database that format; remove what the conversion needed.

    Args:
        conn: a write transaction.
        version: the format.
    """
    _switch_commits(conn)
    for kind, column in _COLUMNS:
        _switch_column(conn, kind, column)
    _switch_filesets(conn)
    settings.put(conn, "format", str(version))
    conn.execute(setting.delete().where(setting.c.name == _SETTING))
    _mapping.drop(conn)


def _switch_commits(conn: sa.Connection) -> None:
    """Switch the trees of commits, whose rows carry checksums over them."""
    # Each change notes its commit for the store's log, which need not read the notes of the migration as well.
    switched = sa.select(commit.c.id).where(commit.c.tree.is_not(None))
    conn.execute(unlogged.delete().where(unlogged.c.kind == "commit", unlogged.c.object_id.in_(switched)))
    columns = [commit.c[name] for name in CommitRow.__struct_fields__]
    after = 0
    mark = _mark(conn)
    update = f'UPDATE "commit" SET tree = {mark}, checksum = {mark} WHERE id = {mark}'
    while True:
        query = (
            sa.select(*columns, commit.c.checksum)
            .where(commit.c.id > after, commit.c.tree.is_not(None))
            .order_by(commit.c.id)
            .limit(PAGE)
        )
        rows = [(CommitRow(*row[:-1]), row[-1]) for row in conn.execute(query)]
        if not rows:
            return
        after = rows[-1][0].id
        new = find_trees(conn, {(FILES, bytes(row.tree or b"")) for row, _ in rows})
        run_many(conn, update, list(_switched(rows, new)))


def _switched(
    rows: Sequence[tuple[CommitRow, int | None]], new: Mapping[tuple[int, bytes], bytes]
) -> Iterator[tuple[bytes, int | None, int]]:
    """Yield new tree, new checksum and number of each commit."""
    for row, stored in rows:
        tree = new[FILES, bytes(row.tree or b"")]
        # A row that did not match its checksum must not match afterwards: its damage would not be noticed any more.
        is_intact = stored == checksum(row)
        yield tree, checksum(_with_tree(row, tree)) if is_intact else stored, row.id


def _with_tree(row: CommitRow, tree: bytes) -> CommitRow:
    values: dict[str, Any] = {name: getattr(row, name) for name in CommitRow.__struct_fields__}
    return CommitRow(**values | {"tree": tree})


def _switch_column(conn: sa.Connection, kind: int, column: sa.Column[Any]) -> None:
    old = sa.and_(_mapping.c.kind == kind, _mapping.c.old == column)
    new = sa.select(_mapping.c.new).where(old).scalar_subquery()
    # A file set may be of no tree, which is no bytes.
    conn.execute(
        column.table.update().where(sa.exists(sa.select(_mapping.c.new).where(old))).values({column: new})
    )


def _switch_filesets(conn: sa.Connection) -> None:
    after = ""
    while rows := filesets_after(conn, after):
        after = rows[-1][0]
        new = find_trees(conn, {(DELTAS, bytes.fromhex(delta)) for _, _, deltas in rows for delta in deltas})
        for handle, _, deltas in rows:
            if deltas:
                ids = [new[DELTAS, bytes.fromhex(delta)].hex() for delta in deltas]
                conn.execute(fileset.update().where(fileset.c.handle == handle).values(deltas=ids))


def _mark(conn: sa.Connection) -> str:
    """Return how the driver marks a bound value."""
    return "?" if conn.dialect.paramstyle == "qmark" else "%s"
