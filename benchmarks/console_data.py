"""A data folder with what the console must stay responsive with: pipelines, jobs, datums, files and logs in bulk.

    python benchmarks/console_data.py FOLDER [--small]

FOLDER must not exist; ``trunkline serve --data FOLDER`` serves it afterwards. What is in it, and with --small:

| what | number | --small |
|---|---|---|
| pipelines, in DAGs of chained diamonds | 1,000 | 20 |
| jobs, over the last thirty days | 100,000 | 600 |
| datums of the newest job of ``large`` | 1,000,000 | 3,000 |
| files in a folder of ``wide`` | 1,000,000 | 3,000 |
| bytes of the log of ``large``, with one line of a million characters | 100 MB | 1 MB |
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "pps")]

import long_history  # noqa: E402
import pps_world  # noqa: E402
from pps_world import PpsWorld, pfs  # noqa: E402

from trunkline.drivers.objects.local import LocalObjects  # noqa: E402
from trunkline.meta import schema  # noqa: E402
from trunkline.meta.database import sqlite_url  # noqa: E402
from trunkline.model import names  # noqa: E402
from trunkline.model.states import DatumState, PipelineState  # noqa: E402
from trunkline.pfs import write_streams  # noqa: E402
from trunkline.pps import logs  # noqa: E402
from trunkline.pps.workers.completion import Completion, DatumResult  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pps_world import Hand

    from trunkline.meta.jobs import JobRow
    from trunkline.pfs.writes import WriteTransaction

# A thousand pipelines have live jobs, which the controller ends first.
pps_world.PATIENCE = 900.0
LARGE, WIDE = "large", "wide"
#: Days over which the jobs of the history are spread.
DAYS = 30
WORKERS = 20


@dataclass(frozen=True)
class Scale:
    """How much there is."""

    history: long_history.Size
    datums: int
    files: int
    log_bytes: int


FULL = Scale(
    long_history.Size(100_000, 300_000, 1_000, 50, 10_000, 20_000), 1_000_000, 1_000_000, 100_000_000
)
SMALL = Scale(long_history.Size(600, 2_000, 20, 1, 100, 200), 3_000, 3_000, 1_000_000)


def build(folder: Path, scale: Scale) -> None:
    """Make the data folder.

    Args:
        folder: does not exist.
        scale: how much to put into it.
    """
    folder.mkdir(parents=True)
    world = PpsWorld(sqlite_url(folder), LocalObjects(folder / "objects"))
    world.has_all_events = False
    try:
        steps: list[tuple[str, Any]] = [
            ("history", lambda: long_history.build(world, scale.history)),
            ("times", lambda: world.versions.write(_move_to_now, scale.history.jobs)),
            ("files", lambda: _add_files(world, WIDE, scale.files)),
            ("datums", lambda: _run_large_job(world, scale.datums)),
            ("log", lambda: world.versions.write(_add_log, world.jobs(LARGE)[0], scale.log_bytes)),
            ("pause", lambda: world.versions.write(_pause)),
        ]
        for title, step in steps:
            begun = time.monotonic()
            step()
            print(f"{title}: {time.monotonic() - begun:.0f} s", file=sys.stderr)
    finally:
        world.close()


def _move_to_now(write: WriteTransaction, jobs: int) -> None:
    """Spread the history, whose times are small numbers, over the last days."""
    scale = DAYS * 86_400 / jobs
    begin = write.now - DAYS * 86_400 - 60
    for table, columns in (
        (schema.commit, ("started", "finished")),
        (schema.job, ("created", "started", "finished")),
        (schema.worker_past, ("created", "ready", "ended")),
        (schema.decision, ("at",)),
        (schema.worker_event, ("at",)),
        (schema.log_batch, ("first_ts", "last_ts")),
    ):
        for name in columns:
            column = table.c[name]
            write.conn.execute(
                table.update().where(column < begin / 2).values({column: begin + (column + 1) * scale})
            )


def _pause(write: WriteTransaction) -> None:
    """Stop all pipelines but one: each would start a worker of its own when the folder is served."""
    values = {"stopped": True, "state": PipelineState.PAUSED, "target": 0}
    write.conn.execute(
        schema.pipeline.update().where(schema.pipeline.c.name != long_history.BUSY).values(values)
    )
    write.conn.execute(schema.worker.delete())


def _add_files(world: PpsWorld, repo: str, number: int) -> None:
    """Make one commit with so many small files in one folder."""
    name = world.repo(repo)
    stream = write_streams.CommitStream(world.versions, names.CommitName(name, branch="master"))
    for position in range(number):
        stream.add(f"/all/{position:07d}.txt", "", b"%d\n" % (position % 1000))
    stream.finish()


def _run_large_job(world: PpsWorld, number: int) -> None:
    """Run a job with so many datums; its results are made up."""
    _add_files(world, "many", number)
    world.pipeline(LARGE, pfs("many", "/all/*"), parallelism_spec={"constant": WORKERS})
    world.start_controller()
    hands = world.hands(LARGE, WORKERS, lambda _: {})
    chance = random.Random(7)
    clocks = {hand.id: world.clock.now() - number / WORKERS * 0.06 - 30 for hand in hands}
    idle = 0
    while idle < 3:
        worked = [_complete(world, hand, clocks, chance, number) for hand in hands]
        idle = 0 if any(worked) else idle + 1
        if idle:
            time.sleep(1)
    world.until_ended(LARGE)


def _complete(
    world: PpsWorld, hand: Hand, clocks: dict[str, float], chance: random.Random, total: int
) -> bool:
    """Record made-up results for the next run of a worker; tell whether there was one.

    Args:
        world: the store.
        hand: the worker.
        clocks: of the workers, by their ids: when the datum before ended.
        chance: where durations and failures come from.
        total: datums of the job; a hundred of them recover, more or less. One that failed would end the job.
    """
    claimed = hand.take()
    if claimed is None:
        return False
    assignment = world.assignments.held_by(hand.id, claimed.claim.id)
    completion = Completion(world.versions, claimed.claim.id, assignment, world.grants, world.specs)
    for result in _results(len(assignment.datums), hand.id, clocks, chance, total):
        completion.add_result(result)
    hand.hand_in(completion.prepare())
    return True


def _results(
    number: int, worker: str, clocks: dict[str, float], chance: random.Random, total: int
) -> Iterator[DatumResult]:
    for position in range(number):
        begun = clocks[worker]
        seconds = chance.lognormvariate(-3.2, 0.6)
        clocks[worker] = begun + seconds
        state = DatumState.RECOVERED if chance.random() * total < 100 else DatumState.SUCCESS
        yield DatumResult(
            position,
            state,
            process_ns=round(seconds * 1e9),
            download_bytes=chance.randrange(1, 4_000),
            upload_bytes=chance.randrange(1, 4_000),
            started=begun,
            finished=begun + seconds,
        )


def _add_log(write: WriteTransaction, job: JobRow, total: int) -> None:
    """Add the log of a job: batches of a thousand lines, and one line of a million characters in the middle."""
    line = "reading the tile, 312 of 1,000 done, all values are in their range".ljust(96)
    batches = total // 100 // 1_000
    at = write.now - batches
    for number in range(batches):
        lines = [
            logs.Line("", at + number + position / 1_000, f"{number:05d}-{position:03d} {line}", user=True)
            for position in range(1_000)
        ]
        if number == batches // 2:
            lines.append(logs.Line("", at + number + 1, "x" * 1_000_000 + " the needle", user=True))
        write.conn.execute(
            schema.log_batch.insert().values(
                pipeline_id=job.pipeline_id, job_id=job.id, worker_id="0" * 31 + str(number % 10),
                first_ts=lines[0].ts, last_ts=lines[-1].ts, lines=len(lines), data=logs.pack(lines),
            )
        )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--small", action="store_true")
    arguments = parser.parse_args()
    build(arguments.folder, SMALL if arguments.small else FULL)


if __name__ == "__main__":
    main()
