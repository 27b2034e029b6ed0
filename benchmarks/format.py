"""What format 2 promises: bytes and milliseconds of small commits, a million small files, storage beside borg.

Each part runs in a process of its own, with this version and, given its folder, with a checkout of an older one:

    python benchmarks/format.py [--base CHECKOUT] [--rows ROWS] [growth growth-postgres time stream borg large]

``growth``: bytes that a commit of one file of 1 KiB adds to the object store and the database, and that it writes
to the database's log, in repos of 500, 10,000 and 10 million files whose trees the builder made; on SQLite and
PostgreSQL. The packs that the background copy makes are counted, and what it writes is shown beside.
``time``: one file of repos of 10,000, 1 million and 10 million files changed through a server.
``stream``: a million files of 16 bytes put into an open commit, then finished, in one process without a network.
``borg``: what 100 commits store that each change 1 % of 100,000 files of 1 KiB, beside a borg repository.
``large``: a tree of 50 million files (or ``--rows``) that the builder makes in a store: time, memory and bytes on disk,
and a commit of one file and cold look-ups in it. Takes minutes and some GB, so only where it is named.
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
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import common
from opened_store import (
    PER_FOLDER,
    REPO,
    Bytes,
    Store,
    a_path,
    database,
    files_below,
    prepared,
    scratch,
    stored,
)

from trunkline.rpc.gen import pfs_pb2

ROOT = Path(__file__).parents[1]
COMMITS = 100
SIZES = (500, 10_000, 10_000_000)
SMALL_FILES = 1_000_000
#: Files of the large tree.
ROWS = int(os.environ.get("TRUNKLINE_BENCH_ROWS", "50_000_000"))


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


def large() -> dict[str, float]:
    """A tree of very many files."""
    with scratch() as folder:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with Store(folder / "data") as store:
            begun = time.perf_counter()
            tree = store.create_repo(ROWS)
            built = time.perf_counter() - begun
            memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
            disk = stored(store, None)
        generator = random.Random(2)
        cold: list[float] = []
        changes: list[float] = []
        for _ in range(20):
            with Store(folder / "data") as store:
                key = f"{a_path(generator, ROWS)}\0default".encode()
                cold.append(common.timed(functools.partial(store.versions.trees.get, tree, key)))
        with Store(folder / "data") as store:
            for _ in range(COMMITS):
                path, content = a_path(generator, ROWS), generator.randbytes(1024)
                changes.append(common.timed(functools.partial(store.overwrite, path, content)))
    return {
        "million rows": ROWS / 1e6,
        "s to build": built,
        "rows/s": ROWS / built,
        "MiB of memory for it": memory / 1024,
        "GB on disk": disk / 1e9,
        "bytes a row": disk / ROWS,
        "ms, cold look-up": 1000 * common.median(cold),
        "ms, one-file commit": 1000 * common.median(changes),
    }


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
    "large": (large, {"GB on disk": "20", "s to build": "480"}),
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
    parser.add_argument("--rows", type=int, default=ROWS, help="files of the large tree")
    parser.add_argument("--measure", choices=PARTS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(PARTS[options.measure][0]()))
        return
    os.environ["TRUNKLINE_BENCH_ROWS"] = str(options.rows)
    for part in options.parts or [part for part in PARTS if part != "large"]:
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
