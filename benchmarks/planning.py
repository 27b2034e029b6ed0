"""The plan of a job with a million datums: the first one, and after changes of some files; on the real store.

With ``--base`` another checkout (from the last one of format 1 on) does the same in a process of its own, in turn with
this one. Times are processor time, which other work disturbs least.

    python benchmarks/planning.py [--files 1000000] [--base CHECKOUT]
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path

PER_FOLDER = 1000
#: Changed files, and how many such plans are measured.
CHANGES = ((1, 9), (1000, 3))
SCRATCH = Path(os.environ.get("TRUNKLINE_BENCH_DIR", tempfile.gettempdir()))


def row(number: int, text: str = "") -> tuple[bytes, bytes]:
    """Return a file of 16 bytes as a row of a file tree."""
    try:
        from trunkline.storage.file_values import INLINE as start
    except ImportError:  # format 1
        start = b""
    id = hashlib.blake2b(b"%d %s" % (number, text.encode()), digest_size=32).digest()
    path = b"/d%05d/%03d.dat\0" % divmod(number, PER_FOLDER)
    return path, start + id + b"\x10\0\0\0"


class Planned:
    """A store with a pipeline whose jobs are planned and settled, and whose datums nobody runs."""

    def __init__(self, folder: Path) -> None:
        from trunkline.app import composition
        from trunkline.app.clock import SystemClock
        from trunkline.drivers.objects.local import LocalObjects
        from trunkline.meta import install
        from trunkline.meta.database import Database, sqlite_url
        from trunkline.meta.wakeups import Wakeups
        from trunkline.model import names
        from trunkline.pfs import repos
        from trunkline.pfs.branches import BranchName

        clock, wakeups = SystemClock(), Wakeups(asyncio.new_event_loop())
        self.db = Database(sqlite_url(folder), wakeups.announce)
        install.install(self.db, clock.now())
        self.core = composition.core(self.db, LocalObjects(folder / "objects"), wakeups, clock)
        self.versions = self.core.versions
        repo = names.RepoName("default", "data", names.USER)
        self.versions.write(repos.create_repo, repo, "", update=False)
        self.branch = BranchName(repo, "master")

    def close(self) -> None:
        self.versions.chunks.close()
        self.db.close()

    def commit(self, write_tree):
        """Make a commit of the tree that ``write_tree`` writes."""
        from trunkline.pfs import commits

        commit = self.versions.write(commits.start_commit, self.branch)
        writer = self.versions.chunks.writer()
        tree = write_tree(writer)
        size = self.versions.trees.through(writer).summary(tree).size
        packs = writer.seal()
        self.versions.write(lambda write: commits.close(write, commit, tree=tree, size=size, packs=packs))
        return tree

    def follow(self) -> None:
        """Create the pipeline."""
        from trunkline.pps import pipelines

        document = {
            "pipeline": {"name": "each"},
            "transform": {"cmd": ["true"]},
            "input": {"pfs": {"repo": "data", "glob": "/*/*"}},
        }
        request = pipelines.read_request(document)
        self.versions.write(pipelines.create, request, update=False, reprocess=False)

    def job(self) -> tuple[float, int]:
        """Plan the next job and end it as if all its datums had run; return the plan's seconds and its datums."""
        from trunkline.meta import chunks, jobs, pipelines
        from trunkline.model.states import DatumState, JobState
        from trunkline.pps import datum_rows, plan, settle

        try:
            from trunkline.storage.sums import EMPTY, TreeId
        except ImportError:  # format 1
            from trunkline.storage.segments import EMPTY, TreeId

        versions = self.versions
        pipeline = versions.read(pipelines.list_all, [])[0]
        job = versions.read(jobs.live, pipeline.id)[0]
        begun = time.process_time()
        job_plan = plan.plan(versions, self.core.specs, job)
        seconds = time.process_time() - begun

        def begin(write) -> None:
            chunks.add(write.conn, job_plan.packs, 0, write.now)
            jobs.move(write.conn, job, JobState.STARTING)
            plan.record(write.conn, jobs.by_id(write.conn, job.id), job_plan, write.now)

        def results():
            for key, value in trees.scan(TreeId(job_plan.todo)):
                datum = datum_rows.decode(key, value)
                yield key, datum_rows.encode(datum.finished(state=DatumState.SUCCESS, job_id=job.set_id))

        def finish(write) -> None:
            chunks.add(write.conn, packs, 0, write.now)
            jobs.add_handin(
                write.conn,
                job.id,
                [(EMPTY, rows)],
                jobs.Results(processed=job_plan.todo_count),
                write.now,
                first=0,
            )
            jobs.move(write.conn, jobs.by_id(write.conn, job.id), JobState.FINISHING)

        versions.write(begin)
        trees, writer = datum_rows.trees(versions), versions.chunks.writer()
        rows = trees.build(writer, results())
        packs = writer.seal()
        versions.write(finish)
        job = versions.read(jobs.by_id, job.id)
        versions.write(settle.record, job, settle.settle(versions, job))
        return seconds, job_plan.todo_count


def in_runs(count: int, make=row):
    rows = map(make, range(count))
    while run := list(islice(rows, 4096)):
        yield [key for key, _ in run], [value for _, value in run]


def measure(count: int) -> dict[str, float]:
    """Return milliseconds of processor time by what was planned."""
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="trunkline-bench-", dir=SCRATCH) as folder:
        planned = Planned(Path(folder))
        trees = planned.versions.trees
        tree = planned.commit(lambda writer: trees.build_runs(writer, in_runs(count)))
        planned.follow()
        seconds, datums = planned.job()
        assert datums == count
        figures["first plan"] = 1000 * seconds
        for changed, times in CHANGES:
            changed = min(changed, count)
            measured = []
            for turn in range(times):
                numbers = {(7919 * turn + each * (count // changed)) % count for each in range(changed)}
                changes = [row(number, f"{changed} {turn}") for number in sorted(numbers)]
                tree = planned.commit(
                    lambda writer, tree=tree, changes=changes: trees.merge(writer, tree, changes)
                )
                seconds, datums = planned.job()
                assert datums == len(numbers)
                measured.append(1000 * seconds)
            figures[f"{changed:,} changed"] = sorted(measured)[times // 2]
        planned.close()
    return figures


def run(source: Path, count: int) -> dict[str, float]:
    """Measure a version in a process of its own."""
    command = [sys.executable, __file__, "--measure", "--files", str(count)]
    environment = {**os.environ, "PYTHONPATH": str(source)}
    answer = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True, text=True).stdout
    return json.loads(answer)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=1_000_000)
    parser.add_argument("--base", type=Path, help="a checkout of format 1 to compare with")
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options.files)))
        return
    import common

    before = run(options.base / "src", options.files) if options.base else {}
    after = run(Path(__file__).resolve().parents[1] / "src", options.files)
    rows = []
    for name, figure in after.items():
        reach = {"first plan": "1.1 times format 1", "1 changed": "10 ms"}.get(name, "")
        old = before.get(name)
        ratio = f"{figure / old:.2f}" if old else ""
        rows.append([name, f"{old:,.1f}" if old else "", f"{figure:,.1f}", ratio, reach])
    common.table(
        f"Plan of a job with {options.files:,} datums",
        ["what", "base, ms of processor time", "here, ms", "ratio", "to reach"],
        rows,
    )


if __name__ == "__main__":
    main()
