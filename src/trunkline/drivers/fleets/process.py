"""The process fleet: workers are processes of this machine; the commands of some run in containers.

Memory requests are admitted against a capacity, in the order of the requests: a small worker does not overtake a
large one, because the large one might wait forever. CPU is time-shared and not counted. A worker that does not fit,
or whose image is being built, is pending with that reason. A container is opened for a worker after it was
admitted, and closed after its process has ended; its engine is asked in the threads of ``containers.Containers``.

One thread starts, watches and ends all workers. It must be a single one that lives as long as the fleet, because a
worker dies with the *thread* that started it (``PR_SET_PDEATHSIG``); that is how workers end when the server is
killed. Other threads only record requests and wake it.
"""

from __future__ import annotations

import contextlib
import logging
import os
import platform
import select
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from trunkline.drivers.fleets import process_reaper
from trunkline.drivers.fleets.command_groups import CommandGroups
from trunkline.drivers.fleets.images import ImageState
from trunkline.drivers.fleets.process_fields import UNSUPPORTED
from trunkline.drivers.fleets.process_launch import (
    environment,
    how_it_ended,
    memory_limit,
    open_private,
    open_scratch,
)
from trunkline.drivers.fleets.scratch_removal import ABANDONED, ScratchRemoval
from trunkline.drivers.fleets.templates import WorkerProcess, WorkerStarter
from trunkline.errors import InvalidArgument, Unavailable
from trunkline.model import secret_mounts
from trunkline.model.field_support import warnings
from trunkline.model.workers import Machine, WorkerEnding, WorkerPhase, WorkerSighting, WorkerSpec
from trunkline.runtime import failpoints
from trunkline.runtime.supervision import Supervisor, describe

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trunkline.drivers.fleets.containers.containers import Container, Containers
    from trunkline.drivers.fleets.images import ImageEnvironment, ImageEnvironments
    from trunkline.model.field_support import Unsupported
    from trunkline.model.spec import PipelineSpec
    from trunkline.ports import ServerAddress

log = logging.getLogger("trunkline.fleet")

#: Seconds that a fleet that closes waits for the removal of scratch folders.
_REMOVAL_GRACE = 3.0
#: Timeout of the isolation check in seconds, for a busy machine.
_CHECK_SECONDS = 60.0
#: Seconds between two checks of an image that is being built.
_IMAGE_POLL = 0.2
#: Ended workers that ``stop`` has not acknowledged; above this number the oldest are forgotten.
_ENDED_LIMIT = 1000
#: Logs of failed workers that are kept.
_LOGS_LIMIT = 100


class _Worker(Struct):
    """A worker that was requested and is not forgotten yet."""

    spec: WorkerSpec
    phase: WorkerPhase = WorkerPhase.PENDING
    reason: str = ""
    #: Waits for the memory of others.
    queued: bool = False
    #: Set iff running.
    process: WorkerProcess | None = None
    #: Where its commands run; None for the worker's own sandbox. Set when it is admitted.
    container: Container | None = None
    #: How its process ended, while its container is being removed.
    how: str = ""
    #: Monotonic time after which it is killed; set once ``stop`` was called.
    kill_at: float | None = None
    #: Whether it was killed because it did not end in time.
    forced: bool = False


class ProcessFleet:
    """Implements ``ports.Fleet``."""

    startup_prior = 0.5  # a process with its private root

    def __init__(
        self,
        server: ServerAddress,
        folder: str | os.PathLike[str],
        images: ImageEnvironments,
        capacity: int | None = None,
        supervisor: Supervisor | None = None,
        hidden: Sequence[str] = (),
        command_groups: CommandGroups | None = None,
        containers: Containers | None = None,
    ) -> None:
        """Start the fleet's threads; what an earlier server has left in the folder is removed meanwhile.

        Leftovers that cannot be removed are logged and put aside.

        Args:
            server: how workers reach the server.
            folder: for scratch folders and logs; nobody else uses it.
            images: what image names mean.
            capacity: bytes of memory to give to workers; the machine's when None.
            supervisor: restarts the fleet's thread; one of its own when None.
            hidden: folders that commands must not see, such as the server's data.
            command_groups: enforces memory limits; workers poll when None.
            containers: runs the commands of some pipelines; none when None. It is closed with the fleet.
        """
        self.name = "processes" if containers is None else containers.fleet
        self._containers = containers
        self._command_groups = command_groups or CommandGroups()
        self._server = server
        self._hidden = tuple(hidden)
        self._images = images
        self._capacity = _machine_memory() if capacity is None else capacity
        self._machine = Machine(
            name=platform.node() or "localhost",
            kind="local",
            cpu=float(os.cpu_count() or 1),
            memory=self._capacity,
            created=time.time(),
        )
        self._scratch = Path(folder).resolve() / "scratch"
        self._logs = Path(folder).resolve() / "logs"
        for path in (self._scratch, self._logs):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.chmod(0o700)
        self._starter = WorkerStarter(self._logs.parent / "template.log")
        supervisor = supervisor or Supervisor()
        self._removal = ScratchRemoval(supervisor)
        for leftover in self._scratch.iterdir():
            if not leftover.name.startswith(ABANDONED):
                self._tidy(leftover)
        self._lock = threading.Lock()  # guards the three below and every _Worker
        self._workers: dict[str, _Worker] = {}
        #: Workers whose process has ended or never existed, and whose container is being removed.
        self._closing: list[_Worker] = []
        self._closed = False
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._thread = supervisor.thread("process-fleet", self._run)

    def report_isolation(self) -> None:
        """Log which isolation of commands this machine does not allow; takes a tenth of a second."""
        folder = self._scratch / "isolation-check"
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
            checked = subprocess.run(
                [sys.executable, "-P", "-m", "trunkline.worker.isolation_check", str(folder)],
                cwd="/",
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=_CHECK_SECONDS,
                check=False,
            )
            lines = [*checked.stdout.splitlines(), *checked.stderr.splitlines()[-1:]]
        except (OSError, subprocess.SubprocessError) as error:
            lines = [f"the isolation of commands cannot be checked: {describe(error)}"]
        for line in lines:
            log.warning("%s; see docs/operate/security.md", line)
        self._tidy(folder)

    def unsupported(self, spec: PipelineSpec) -> Mapping[str, Unsupported]:
        """Return the fields that are not honoured; see ``ports.Fleet``."""
        if self._containers is not None and self._containers.runs(spec):
            return self._containers.unsupported
        return UNSUPPORTED

    def check(self, spec: WorkerSpec) -> None:
        """Accept every worker whose secrets have a place: the capacity may be raised later; see ``ports.Fleet``."""
        secret_mounts.folders(spec.pipeline_spec)

    def start(self, spec: WorkerSpec) -> None:
        """Request a worker; see ``ports.Fleet``."""
        if spec.memory > self._capacity:
            raise InvalidArgument(
                f"a worker of {spec.project}/{spec.pipeline} asks for {_size(spec.memory)} of memory and this "
                f"server gives {_size(self._capacity)} to all workers together; lower resource_requests.memory "
                f"or raise --capacity-memory"
            )
        with self._lock:
            if self._closed:
                raise Unavailable("the server is shutting down and starts no workers; start it again")
            self._workers.setdefault(
                spec.worker_id, _Worker(spec, reason="its process is about to be started")
            )
        os.eventfd_write(self._wake, 1)

    def stop(self, worker_id: str, grace: float) -> None:
        """Request the end of a worker; see ``ports.Fleet``. One that has ended already is forgotten."""
        with self._lock:
            worker = self._workers.get(worker_id)
            if worker is None:
                return
            if worker.phase is not WorkerPhase.RUNNING:
                del self._workers[worker_id]
                if worker.phase is WorkerPhase.PENDING and worker.container is not None:
                    worker.container.close()
                    self._closing.append(worker)
            elif worker.kill_at is None:
                worker.kill_at = time.monotonic() + grace
                if worker.process is not None:
                    worker.process.terminate()
            else:
                worker.kill_at = min(worker.kill_at, time.monotonic() + grace)
        os.eventfd_write(self._wake, 1)

    def mark(self, worker_id: str, *, busy: bool) -> None:
        """Do nothing: local processes are never evicted; see ``ports.Fleet``."""

    def observe(self) -> Sequence[WorkerSighting]:
        """Return every worker; see ``ports.Fleet``."""
        with self._lock:
            return [
                WorkerSighting(
                    worker_id=worker_id,
                    phase=worker.phase,
                    reason=worker.reason,
                    queued=worker.queued,
                    ending=WorkerEnding.CRASHED if worker.kill_at is None else WorkerEnding.STOPPED,
                    machine=self._machine.name if worker.phase is WorkerPhase.RUNNING else "",
                )
                for worker_id, worker in self._workers.items()
            ]

    def machines(self) -> Sequence[Machine]:
        """Return this machine; see ``ports.Fleet``."""
        return [self._machine]

    def close(self, grace: float) -> None:
        """Let workers finish, kill the remaining ones, and end the fleet's thread; see ``ports.Fleet``."""
        if self._closed:
            return
        for sighting in self.observe():
            self.stop(sighting.worker_id, grace)
        end = time.monotonic() + grace
        while time.monotonic() < end and self._running():
            time.sleep(0.05)
        with self._lock:
            if self._closed:
                return
            self._closed = True
        os.eventfd_write(self._wake, 1)
        self._thread.join()
        if self._containers is not None:
            self._containers.close()
        os.close(self._wake)
        self._removal.close(_REMOVAL_GRACE)

    # the fleet's thread

    def _run(self) -> None:
        while True:
            failpoints.reach("process-fleet.loop")
            self._record_ends()
            if self._closed:
                if not self._running() and not self._closing:
                    self._starter.close()
                    return
                for worker in self._running():
                    self._kill(worker)
            else:
                self._kill_overdue()
                self._admit()
            self._wait()

    def _running(self) -> list[_Worker]:
        with self._lock:
            return [worker for worker in self._workers.values() if worker.process is not None]

    def _wait(self) -> None:
        """Wait until a worker ends, a request arrives, or a timeout expires."""
        poller = select.poll()
        poller.register(self._wake, select.POLLIN)
        limits = []
        with self._lock:
            for worker in self._workers.values():
                if worker.process is not None:
                    poller.register(worker.process.pidfd, select.POLLIN)
                    if worker.kill_at is not None and not self._closed:
                        limits.append(max(0.0, worker.kill_at - time.monotonic()))
                elif worker.phase is WorkerPhase.PENDING:
                    limits.append(_IMAGE_POLL)
        poller.poll(min(limits) * 1000 if limits else None)
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._wake)

    def _record_ends(self) -> None:
        """Record the workers that have ended, and remove their files and leftover processes."""
        for worker in self._running():
            assert worker.process is not None
            code = worker.process.poll()
            if code is None:
                continue
            output = self._logs / f"{worker.spec.worker_id}.log"
            try:
                reason = how_it_ended(code, output)
                if code == 0:
                    output.unlink(missing_ok=True)
            except OSError as error:
                reason = f"ended with code {code}; its output cannot be read ({describe(error)})"
            if worker.forced:
                reason = "was ended by force: it did not go in time"
            with self._lock:
                worker.process, worker.how = None, reason
                if worker.container is not None:
                    worker.container.close()
                    self._closing.append(worker)
                    continue
            self._record_end(worker, reason)
        with self._lock:
            closed = [each for each in self._closing if each.container and each.container.is_closed]
            self._closing = [each for each in self._closing if each not in closed]
        for worker in closed:
            assert worker.container is not None
            self._record_end(worker, worker.container.reason or worker.how)

    def _record_end(self, worker: _Worker, reason: str) -> None:
        """Record that nothing of a worker runs any more; remove its files and leftover processes."""
        self._tidy(self._scratch / worker.spec.worker_id)
        self._command_groups.remove(worker.spec.worker_id)
        with self._lock:
            worker.phase, worker.reason = WorkerPhase.GONE, reason
            ended = [name for name, each in self._workers.items() if each.phase is WorkerPhase.GONE]
            for name in ended[:-_ENDED_LIMIT]:
                del self._workers[name]
        try:
            self._drop_old_logs()
        except OSError as error:
            log.warning("old logs of workers in %s cannot be removed: %s", self._logs, describe(error))

    def _kill_overdue(self) -> None:
        now = time.monotonic()
        for worker in self._running():
            if worker.kill_at is not None and now >= worker.kill_at:
                self._kill(worker)
                worker.kill_at = now + 1.0  # until the kernel has done it

    def _kill(self, worker: _Worker) -> None:
        assert worker.process is not None
        worker.forced = True
        process_reaper.kill_tree(worker.process.pid)

    def _admit(self) -> None:
        """Start the workers that fit, in the order of their requests."""
        with self._lock:
            pending = [worker for worker in self._workers.values() if worker.phase is WorkerPhase.PENDING]
        ahead: _Worker | None = None  # waits for memory; nobody overtakes it
        for worker in pending:
            if worker.container is not None:
                self._follow(worker, worker.container)
                continue
            try:
                image = None if self._in_container(worker) else self._images.resolve(worker.spec.image)
            except Exception as error:
                log.exception(
                    "image %r of worker %s cannot be looked up", worker.spec.image, worker.spec.worker_id
                )
                with self._lock:
                    worker.phase = WorkerPhase.GONE
                    worker.reason = f'image "{worker.spec.image}" cannot be looked up: {describe(error)}'
                continue
            with self._lock:
                if worker.spec.worker_id not in self._workers:
                    continue  # stopped meanwhile
                worker.queued = False
                if image is not None and image.state is ImageState.FAILED:
                    worker.phase = WorkerPhase.GONE
                    fault = f'image "{image.name}" could not be built: {image.reason}'
                    worker.reason = f"{fault}; correct its definition and create it again"
                elif image is not None and image.state is ImageState.BUILDING:
                    worker.reason = f'waits for image "{image.name}" to be built'
                elif ahead is not None:
                    worker.reason = f"waits behind worker {ahead.spec.worker_id[:8]}, which {ahead.reason}"
                    worker.queued = True
                elif lack := self._lack(worker.spec.memory):
                    worker.reason, worker.queued = lack, True
                    ahead = worker
                elif self._in_container(worker):
                    self._open_container(worker)
                else:
                    self._spawn(worker, image)

    def _in_container(self, worker: _Worker) -> bool:
        return self._containers is not None and self._containers.runs(worker.spec.pipeline_spec)

    def _open_container(self, worker: _Worker) -> None:
        assert self._containers is not None
        scratch = self._scratch / worker.spec.worker_id
        worker.container = self._containers.open(
            worker.spec, scratch, lambda: os.eventfd_write(self._wake, 1)
        )
        worker.reason = worker.container.reason

    def _follow(self, worker: _Worker, container: Container) -> None:
        """Start a worker whose container runs, or give up one whose container cannot."""
        with self._lock:
            if worker.spec.worker_id not in self._workers:
                return  # stopped meanwhile
            worker.reason = container.reason
            if container.is_running:
                self._spawn(worker, None)
            elif container.is_closed:
                worker.phase = WorkerPhase.GONE
        if worker.phase is WorkerPhase.GONE:
            self._tidy(self._scratch / worker.spec.worker_id)

    def _lack(self, memory: int) -> str:
        """Return what a worker of this size waits for; empty when it fits."""
        others = [
            worker.spec.memory
            for worker in self._workers.values()
            if worker.phase is not WorkerPhase.GONE
            and (worker.process is not None or worker.container is not None)
        ]
        reserved = sum(others)
        if reserved + memory <= self._capacity:
            return ""
        workers = "1 worker" if len(others) == 1 else f"{len(others)} workers"
        return (
            f"waits for {_size(memory)} of memory: {_size(reserved)} of {_size(self._capacity)} "
            f"{'is' if len(others) == 1 else 'are'} taken by {workers}"
        )

    def _spawn(self, worker: _Worker, image: ImageEnvironment | None) -> None:
        spec = worker.spec
        scratch = self._scratch / spec.worker_id
        limit = memory_limit(spec) if worker.container is None else 0  # a container has a limit of its own
        group = self._command_groups.create(spec.worker_id, limit)
        try:
            scratch.mkdir(mode=0o700, exist_ok=True)
            variables = {
                **environment(self._server, spec, image, scratch, self._hidden),
                "TRUNKLINE_NOTES": "\n".join(
                    warnings(spec.pipeline_spec, self.unsupported(spec.pipeline_spec))
                ),
                "TRUNKLINE_MEMORY_LIMIT": str(limit),
                "TRUNKLINE_COMMAND_GROUP": group,
                **({} if worker.container is None else worker.container.variables),
            }
            with open(self._logs / f"{spec.worker_id}.log", "ab", opener=open_private) as output:
                worker.process = self._starter.start(variables, spec.token, output.fileno())
        except Exception as error:
            log.exception("worker %s cannot be started", spec.worker_id)
            self._command_groups.remove(spec.worker_id)
            worker.reason = worker.how = f"could not be started: {describe(error)}"
            if worker.container is not None:
                worker.container.close()
                self._closing.append(worker)
                worker.phase = WorkerPhase.RUNNING  # until its container is removed
                return
            worker.phase = WorkerPhase.GONE
            return
        worker.phase, worker.reason = WorkerPhase.RUNNING, ""

    def _tidy(self, scratch: Path) -> None:
        """End what runs in a worker's private root, and have its scratch folder removed."""
        try:
            process_reaper.kill_namespace(scratch)
        except Exception:
            log.exception("processes that a worker left cannot be ended; see folder %s", scratch)
        self._removal.add(scratch, open_scratch(scratch.name))

    def _drop_old_logs(self) -> None:
        logs = sorted(self._logs.glob("*.log"), key=lambda log: log.stat().st_mtime)
        for log in logs[:-_LOGS_LIMIT]:
            if log.stem not in self._workers:
                log.unlink(missing_ok=True)


def _machine_memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _size(size_bytes: int) -> str:
    if size_bytes < 1 << 30:
        return f"{size_bytes / (1 << 20):.0f} MiB"
    return f"{size_bytes / (1 << 30):.1f} GiB"
