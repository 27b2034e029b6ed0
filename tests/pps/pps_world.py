"""Pipelines without processes: the true store and controller, and workers that are functions.

Everything below the worker API is real (the database, trees, claims, the controller's loops), connected as in a
server; only objects live in memory, and a test decides when a worker gets ready and how it ends (``HeldFleet``).
``Hand`` is a worker: it claims, runs a Python function per datum, and completes, all in the test's thread, so that
who does what when is the test's choice.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import folded_events
import sqlalchemy as sa
from held_fleet import HeldFleet
from manual_clock import ManualClock
from patience import eventually

from trunkline.app import composition
from trunkline.app.drivers import FleetDrivers
from trunkline.drivers.fleets.images import ImageEnvironments
from trunkline.drivers.objects.memory import MemoryObjects
from trunkline.drivers.outbound.client import OutboundClient
from trunkline.meta import claims as claim_rows
from trunkline.meta import install, jobs, pipelines, schema, workers
from trunkline.meta.database import Database, sqlite_url
from trunkline.meta.wakeups import Wakeups
from trunkline.model import names
from trunkline.model.outbound import Rules
from trunkline.model.states import TERMINAL_JOB_STATES, DatumState, JobState
from trunkline.model.workers import WorkerPhase
from trunkline.pfs import commits as commit_ops
from trunkline.pfs import files, identity, resolve, store_format, write_streams
from trunkline.pfs import repos as repo_ops
from trunkline.pps import jobs as job_ops
from trunkline.pps import pipelines as pipeline_ops
from trunkline.pps.controller import Controller
from trunkline.pps.conversion.installation import open_installation
from trunkline.pps.egress import Egresses
from trunkline.pps.queries import listing
from trunkline.pps.secrets import SecretStore
from trunkline.pps.stored_secrets import StoredSecrets
from trunkline.pps.workers import claims, input_reads
from trunkline.pps.workers.assignments import Assignments
from trunkline.pps.workers.completion import Completion, DatumResult
from trunkline.pps.workers.dispatch import Dispatcher, NextWork
from trunkline.pps.workers.presigned import PackGrants
from trunkline.rpc.console_server import ServerFacts
from trunkline.runtime.supervision import Supervisor
from trunkline.storage import files as storage_files
from trunkline.telemetry.recent import RecentRecords

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
    from concurrent.futures import Future

    from trunkline.meta.jobs import JobRow
    from trunkline.meta.workers import WorkerRow
    from trunkline.ports import ObjectStore, Secrets
    from trunkline.pps import datum_rows
    from trunkline.pps.queries.job_datums import ListedDatum
    from trunkline.pps.workers.assignments import Assignment

T = TypeVar("T")
#: Seconds that a test waits for a state before it fails; a busy machine needs some.
PATIENCE = 60.0
#: Files that a datum sees, by input name and path in the repo.
Seen = dict[str, dict[str, bytes]]


class Failed(Exception):
    """A datum's command fails with this reason."""


class PpsWorld:
    """A store with a controller on a loop in a thread of its own."""

    def __init__(self, database: str = "", objects: ObjectStore | None = None) -> None:
        """Begin with an empty store.

        Args:
            database: URL of an empty one, of a new installation or of a frozen one; SQLite unless it is given.
            objects: an empty object store, in memory unless it is given.
        """
        self._folder = Path(tempfile.mkdtemp(prefix="trunkline-test-"))
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._executor = ThreadPoolExecutor(8)
        self.clock = ManualClock()
        wakeups = self._wakeups = Wakeups(self._loop)
        #: Write transactions that announced something.
        self.transactions = 0
        self._db = Database(database or sqlite_url(self._folder), self._announce)
        self.objects = objects = objects or MemoryObjects()
        #: Whether the event log describes all that the tables hold: not of an older store, nor when
        #: a test writes rows itself.
        self.has_all_events = install.is_new(self._db) or not self._db.read_blocking(_has_repos)
        if not install.is_new(self._db):
            # What a frozen one needs of its store is in the database; a copy of a new one needs a new store.
            if self.has_all_events:
                store_format.write_record(objects)
            identity.check(objects, install.install(self._db, self.clock.now()))
        open_installation(self._db, objects, self.clock.now())
        self.core = composition.core(self._db, objects, wakeups, self.clock)
        self.versions, self.specs = self.core.versions, self.core.specs
        self.assignments = Assignments(self.versions, self.specs)
        self.grants = PackGrants(self.versions)
        self._dispatcher = Dispatcher(
            self.versions, self.specs, self.assignments, self._executor, self.core.waiting
        )
        self.fleet = HeldFleet()
        self._controller: Controller | None = None
        self.start_controller()

    def start_controller(self) -> None:
        """Begin as a new server would: with nothing but what is stored."""
        self.lost: list[str] = []
        self.supervisor = Supervisor(self.lost.append, first_pause=0.01)
        self._controller = Controller(
            self.versions,
            self.specs,
            self.fleet,
            self._executor,
            self.supervisor,
            self.core.waiting,
            self.core.renewals,
            Egresses(
                OutboundClient(Rules(("none",))),
                SecretStore(StoredSecrets(self.versions, lambda: [bytes(32)])),
            ),
        )
        self._running = asyncio.run_coroutine_threadsafe(self._controller.run(), self._loop)

    def servicers(self, secrets: Secrets) -> dict[str, object]:
        """Return the server's servicers on this store."""
        assert self._controller is not None
        fleet, images = FleetDrivers(self.fleet, secrets), ImageEnvironments(self._folder / "images")
        outbound = OutboundClient(Rules(("none",)))
        store = SecretStore(secrets)
        return composition.servicers(
            self.core,
            self._controller,
            self._executor,
            fleet,
            images,
            "cluster",
            outbound,
            store,
            Egresses(outbound, store),
            RecentRecords(),
            ServerFacts(started=1.0, data_folder="/data", database="postgresql://user:secret@db/x"),
        )

    def stop_controller(self) -> None:
        self._running.cancel()
        asyncio.run_coroutine_threadsafe(_all_others(), self._loop).result(PATIENCE)

    def close(self) -> None:
        self.stop_controller()
        self._executor.shutdown()
        try:
            if self.has_all_events:
                self.versions.read(folded_events.check)
        finally:
            self._close()

    def _close(self) -> None:
        self.versions.chunks.close()
        self._db.close()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        shutil.rmtree(self._folder)

    # --- acts -------------------------------------------------------------------------------------------

    def repo(self, name: str) -> names.RepoName:
        repo_name = names.RepoName("default", name, names.USER)
        self.versions.write(repo_ops.create_repo, repo_name, "", update=False)
        return repo_name

    def put(
        self, repo: str, added: Mapping[str, bytes], deleted: Sequence[str] = (), branch: str = "master"
    ) -> None:
        """Make one commit that overwrites and deletes files."""
        target = names.CommitName(names.RepoName("default", repo, names.USER), branch=branch)
        stream = write_streams.CommitStream(self.versions, target)
        for path in (*deleted, *added):
            stream.delete(path, "")
        for path, data in added.items():
            stream.add(path, "", data)
        stream.finish()

    def pipeline(self, name: str, input_spec: Mapping[str, Any], *, update: bool = False, **spec: Any) -> int:
        """Create a pipeline; one worker at all times unless the specification says otherwise."""
        document: dict[str, Any] = {
            "pipeline": {"name": name},
            "transform": {"cmd": ["true"]},
            "input": input_spec,
            "parallelism_spec": {"constant": 1},
            **spec,
        }
        reprocess = document.pop("reprocess", False)
        request = pipeline_ops.read_request(document)
        return self.versions.write(pipeline_ops.create, request, update=update, reprocess=reprocess)

    def wake(self, name: str) -> None:
        """Let the controller look at a pipeline now."""
        number = self.pipeline_row(name).id
        self.versions.write(lambda write: write.tx.wake(f"pipeline:{number}"))

    def end(self, job: JobRow, state: str, reason: str) -> None:
        self.versions.write(job_ops.end_job, job, JobState(state), reason)

    def squash(self, set_id: str) -> None:
        self.versions.write(commit_ops.squash, set_id)

    def drop(self, set_id: str) -> None:
        self.versions.write(commit_ops.drop, set_id)

    # --- looks ------------------------------------------------------------------------------------------

    def pipeline_row(self, name: str) -> pipelines.PipelineRow:
        return self.versions.read(pipeline_ops.find, "default", name)

    def jobs(self, name: str) -> list[JobRow]:
        """Return a pipeline's jobs, newest first."""
        number = self.pipeline_row(name).id
        return self.versions.read(lambda conn: jobs.page(conn, pipeline_id=number, number=1000))

    def workers(self, name: str) -> list[WorkerRow]:
        return self.versions.read(workers.of_pipeline, self.pipeline_row(name).id)

    def files(self, repo: str, at: str = "master", kind: str = names.USER) -> dict[str, bytes]:
        """Return the files of a branch's head, or of a commit; ``kind`` is the repo's type."""
        name = names.parse_revision(names.RepoName("default", repo, kind), at)
        snapshot = files.snapshot(self.versions, name)
        return {
            entry.path: b"".join(snapshot.read(entry))
            for entry in storage_files.walk(snapshot.trees, snapshot.tree)
            if not entry.is_dir
        }

    def head(self, repo: str, branch: str = "master", kind: str = names.USER) -> str:
        """Return the id of a branch's head; ``kind`` is the repo's type."""
        name = names.CommitName(names.RepoName("default", repo, kind), branch=branch)
        return self.versions.read(resolve.commit, name).set_id

    def datums(self, job: JobRow) -> list[ListedDatum]:
        return list(listing.list_datums(self.versions, job))

    def _announce(self, topics: Iterable[str]) -> None:
        self.transactions += 1
        self._wakeups.announce([*topics, "any"])

    def on_loop(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the world's loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE)

    def until(self, look: Callable[[], T | None], what: str) -> T:
        """Wait until ``look`` finds something; woken by every write."""
        return asyncio.run_coroutine_threadsafe(self._until(look, what), self._loop).result()

    async def _until(self, look: Callable[[], T | None], what: str) -> T:
        end = self._loop.time() + PATIENCE
        while True:
            stamp = self.versions.wakeups.stamp()
            value = await self._loop.run_in_executor(self._executor, look)
            if value:
                return value
            # The fleet of a test is not announced: look again now and then.
            await self.versions.wakeups.changed(stamp, "any", timeout=0.1)
            if self._loop.time() > end:
                raise TimeoutError(f"waited {PATIENCE:.0f} s for {what}")

    def until_state(self, name: str, *states: str) -> JobRow:
        """Wait until the newest job of a pipeline is in one of these states."""

        def look() -> JobRow | None:
            rows = self.jobs(name)
            return rows[0] if rows and rows[0].state in states else None

        return self.until(look, f"the newest job of {name} to be {' or '.join(states)}")

    def until_ended(self, name: str) -> JobRow:
        return self.until_state(name, *TERMINAL_JOB_STATES)

    def until_workers(self, name: str, number: int) -> list[str]:
        """Wait until the fleet has exactly this many workers of a pipeline; return their ids."""
        self.until(lambda: len(self.fleet.present(name)) == number, f"{number} workers of {name}")
        return self.fleet.present(name)

    # --- workers ----------------------------------------------------------------------------------------

    def hands(self, name: str, number: int, command: Callable[[Seen], Mapping[str, bytes]]) -> list[Hand]:
        """Let the workers that a pipeline asked for come, all of them at once."""
        return [self.hand(worker_id, command) for worker_id in self.until_workers(name, number)]

    def until_empty(self, name: str) -> None:
        """Let the workers that must go go, until a pipeline has none."""

        def look() -> bool:
            for row in self.workers(name):
                if row.state == "retiring":
                    self.fleet.show(row.id, WorkerPhase.GONE, "ended as asked")
            return not self.workers(name)

        self.until(look, f"no workers of {name}")

    def staffed(self, name: str, command: Callable[[Seen], Mapping[str, bytes]]) -> Hand:
        """Return the only worker of a pipeline's current version, once those that must go have gone."""

        def look() -> str | None:
            current = self.pipeline_row(name).version
            rows = self.workers(name)
            for row in rows:
                if row.state == "retiring":
                    self.fleet.show(row.id, WorkerPhase.GONE, "ended as asked")
            [row, *others] = rows or [None]
            ready = row is not None and not others and row.version == current and row.state != "retiring"
            return row.id if ready and row.id in self.fleet.specs else None

        worker_id = self.until(look, f"one worker of {name}")
        row = self.versions.read(workers.by_id, worker_id)
        assert row is not None
        return self.hand(worker_id, command) if row.ready is None else Hand(self, worker_id, command)

    def next_work(self, worker_id: str) -> NextWork:
        """Ask for work as a worker does, without waiting."""
        return self.on_loop(self._dispatcher.next_work(worker_id, 0.0))

    def await_work(self, *worker_ids: str) -> list[Future[NextWork]]:
        """Ask for work as workers do, in their order; return when all wait."""
        calls = [
            asyncio.run_coroutine_threadsafe(self._dispatcher.next_work(each, PATIENCE), self._loop)
            for each in worker_ids
        ]
        worker = self.versions.read(claims.require_worker, worker_ids[0])
        waiting = self.core.waiting
        eventually(lambda: set(waiting.of(worker.pipeline_id)) == set(worker_ids), "the workers to wait")
        return calls

    def hand(self, worker_id: str, command: Callable[[Seen], Mapping[str, bytes]]) -> Hand:
        self.fleet.show(worker_id, WorkerPhase.RUNNING)
        self.versions.write(claims.register, worker_id)
        pipeline_id = self.versions.read(claims.require_worker, worker_id).pipeline_id
        self.until(
            lambda: any(
                row.id == worker_id and row.state == "idle"
                for row in self.versions.read(workers.of_pipeline, pipeline_id)
            ),
            "the worker to be idle",
        )
        return Hand(self, worker_id, command)


class Hand:
    """A worker in the test's thread."""

    def __init__(
        self, world: PpsWorld, worker_id: str, command: Callable[[Seen], Mapping[str, bytes]]
    ) -> None:
        self.world = world
        self.id = worker_id
        self.command = command
        #: Hex ids of the datums that were run, in order; a list, so that running twice shows.
        self.ran: list[str] = []

    def take(self) -> claims.Claimed | None:
        return self.world.versions.write(claims.take, self.id, self.world.specs)

    def let_go(self) -> None:
        """Say that nothing is held, as asking for work does."""
        self.world.versions.write(claims.let_go, self.id)

    def renew(self, claimed: claims.Claimed) -> claims.Renewal:
        return self.world.versions.write(claims.renew, self.id, claimed.claim.id, 0, 1.0)

    def todo(self, claimed: claims.Claimed) -> list[datum_rows.DatumRow]:
        """Return the datums of a claim that have no recorded result."""
        current = self.world.versions.read(claim_rows.claim_by_id, claimed.claim.id)
        assert current is not None
        assignment = self.world.assignments.held_by(self.id, claimed.claim.id)
        return assignment.datums[current.done - assignment.first :]

    def todo_is_there(self, claimed: claims.Claimed) -> bool:
        """Tell whether the claim is still this worker's and has datums left."""
        claim = self.world.versions.read(claim_rows.claim_by_id, claimed.claim.id)
        return claim is not None and claim.worker_id == self.id and claim.done < claim.stop

    def results(
        self,
        claimed: claims.Claimed,
        number: int | None = None,
        *,
        release: bool = False,
        seconds: float = 0.0,
    ) -> claims.PreparedCompletion:
        """Run the next datums of a claim, make their outputs durable, and return what to record.

        Args:
            claimed: the claim.
            number: at most so many datums.
            release: give back the rest of the claim.
            seconds: how long each is said to have taken.
        """
        world = self.world
        current = world.versions.read(claim_rows.claim_by_id, claimed.claim.id)
        assert current is not None
        assignment = world.assignments.held_by(self.id, claimed.claim.id)
        completion = Completion(world.versions, claimed.claim.id, assignment, world.grants, world.specs)
        first = current.done - assignment.first
        for position in range(len(assignment.datums))[first:][:number]:
            result = self._run(assignment, position, completion)
            completion.add_result(result._replace(process_ns=round(seconds * 1e9)))
            if result.state is DatumState.FAILED:
                break
        if release:
            completion.release()
        return completion.prepare()

    def hand_in(self, prepared: claims.PreparedCompletion, *, goes_on: bool = False) -> claims.Completed:
        """Report results.

        Args:
            prepared: the results.
            goes_on: ask for the next run too.
        """
        specs = self.world.specs if goes_on else None
        return self.world.versions.write(claims.complete, self.id, prepared, specs)

    def work(self) -> int:
        """Claim and run until there is nothing to do; return how many runs it were."""
        runs = 0
        while (claimed := self.take()) is not None:
            runs += 1
            self.hand_in(self.results(claimed))
        return runs

    def work_until_ended(self, name: str) -> JobRow:
        """Work whenever there is something to do until the newest job of a pipeline has ended."""

        def look() -> JobRow | None:
            self.work()
            newest = self.world.jobs(name)[0]
            return newest if newest.state in TERMINAL_JOB_STATES else None

        return self.world.until(look, f"the newest job of {name} to end")

    def _run(self, assignment: Assignment, position: int, completion: Completion) -> DatumResult:
        row = assignment.datums[position]
        self.ran.append(row.id.hex())
        try:
            outputs = self.command(self._inputs(assignment, row))
        except Recovered:
            return DatumResult(position, DatumState.RECOVERED)
        except Failed as error:
            return DatumResult(position, DatumState.FAILED, str(error))
        for path, data in outputs.items():
            completion.add_output(position, path, data)
        return DatumResult(position, DatumState.SUCCESS)

    def _inputs(self, assignment: Assignment, row: datum_rows.DatumRow) -> Seen:
        seen: Seen = {}
        for item in row.items:
            parts: dict[str, bytes] = {}
            number = assignment.items.index(item)
            for piece in input_reads.pieces(self.world.versions, assignment, [number], None):
                parts[piece.path] = parts.get(piece.path, b"") + piece.data
            seen.setdefault(item.input, {}).update(parts)
        return seen


class Recovered(Exception):
    """A datum's command fails and its error command succeeds."""


async def _all_others() -> None:
    """Wait until everything else on this loop has ended."""
    others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    await asyncio.wait(others) if others else None


def _has_repos(conn: sa.Connection) -> bool:
    return conn.execute(sa.select(schema.repo.c.id).limit(1)).first() is not None


def pfs(repo: str, glob: str = "/*", **more: Any) -> dict[str, Any]:
    """Return a pfs input."""
    return {"pfs": {"repo": repo, "glob": glob, **more}}
