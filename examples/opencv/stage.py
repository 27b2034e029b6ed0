"""Helpers of the demos: a server in a process of its own, commands that are printed as they run, a watcher.

The watcher reads the server's state ten times a second during the whole demo, so that the figures do not depend
on what is drawn. A terminal shows the picture of ``trunkline top``; elsewhere each change is printed as a line.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import queue
import re
import shutil
import subprocess
import sys
import textwrap
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from rich.live import Live
from rich.text import Text

from trunkline.cli.commands import top
from trunkline.cli.invocation import Invocation
from trunkline.rpc.gen import control_pb2, pfs_pb2, pps_pb2

if TYPE_CHECKING:
    from rich.console import Console

LOOK_EVERY = 0.1  # seconds
READY_WITHIN = 30.0  # seconds
BUILT_WITHIN = 600.0  # seconds; a slow package index
DONE_WITHIN = 300.0  # seconds
#: Seconds that a pipeline may be crashing: a few starts of a worker.
CRASHING_WITHIN = 10.0
#: Bytes: five workers request 4 GiB each, and the one of montage the default of 0.25 GiB.
MEMORY_NEEDED = 21 << 30


class Broken(Exception):
    """Something that the demo needs does not work."""


@dataclass
class Job:
    """The counters of a job."""

    total: int
    processed: int
    skipped: int


@dataclass
class Part:
    """The result of one commit."""

    jobs: dict[str, Job]
    #: Seconds from the commit to the end of its last job.
    seconds: float
    #: Most workers of the edges pipeline that existed at a time.
    peak: int
    #: The first scaling decision, as the server explains it.
    decision: str

    def job(self, pipeline: str) -> Job:
        """Return the job of a pipeline."""
        return self.jobs[pipeline]

    @property
    def processed(self) -> int:
        """Datums that ran, in all jobs."""
        return sum(job.processed for job in self.jobs.values())

    @property
    def skipped(self) -> int:
        """Datums that were skipped, in all jobs."""
        return sum(job.skipped for job in self.jobs.values())


@dataclass
class WorkerCount:
    """Number of workers at a moment."""

    at: float
    number: int


@dataclass
class Watcher:
    """Reads the server's state all the time, in a thread."""

    address: str
    snapshots: queue.SimpleQueue[top.Snapshot] = field(default_factory=queue.SimpleQueue)
    counts: list[WorkerCount] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread."""
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        with connected(self.address) as invocation:
            while not self._stop.wait(LOOK_EVERY):
                snapshot = top.read_state(invocation)
                count = sum(
                    number
                    for (name, state), number in snapshot.workers.items()
                    if name == "edges" and state in ("starting", "idle", "busy")
                )
                self.counts.append(WorkerCount(time.monotonic(), count))
                self.snapshots.put(snapshot)


@contextlib.contextmanager
def connected(address: str) -> Any:
    """Yield a connection to a server, as commands have it."""
    options = SimpleNamespace(
        address=f"grpc://{address}",  # PACH_CA_CERTS may be set for another server
        ca=None,
        context=None,
        project="default",
        quiet=True,
        all_projects=False,
        timeout=None,
    )
    with Invocation(options, "demo") as invocation:
        yield invocation


class Server:
    """The demo's server."""

    def __init__(self, data: Path, console: Console, *options: str) -> None:
        """Describe a server that ``start`` starts.

        Args:
            data: its data folder.
            console: where commands and their output are printed.
            options: further options of ``trunkline serve``.
        """
        self._data = data
        self._options = options
        self._console = console
        self._process: subprocess.Popen[str] | None = None
        self._watcher: Watcher | None = None
        self._printed: dict[str, str] = {}
        self.address = ""

    def check_not_running(self) -> None:
        """Check that no server of an earlier demo has the data folder.

        Raises:
            Broken: one has.
        """
        lock = self._data / "lock"
        if not lock.exists():
            return
        with open(lock) as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                owner = handle.read().strip()
                raise Broken(
                    f"the server of an earlier demo is still running; stop it with: kill {owner}"
                ) from None

    @property
    def pid(self) -> int:
        """The server's process."""
        assert self._process is not None
        return self._process.pid

    @property
    def workers_seen(self) -> int:
        """Most workers that existed at a time since the start."""
        assert self._watcher is not None
        return max((count.number for count in self._watcher.counts), default=0)

    def start(self) -> None:
        """Start it on a free port and wait until it is ready."""
        begun = time.monotonic()
        command = ["serve", "--data", displayed_path(self._data), "--listen", "127.0.0.1:0", *self._options]
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        if not shutil.which("trunkline"):
            self._console.print(f"The commands below are run as {displayed_path(Path(trunkline()))}.")
        if memory < MEMORY_NEEDED:
            command += ["--capacity-memory", f"{MEMORY_NEEDED >> 30}Gi"]
            self._console.print(
                f"This machine has {memory / (1 << 30):.0f} GiB of memory, and five workers request 4 GiB each but"
                " use less; --capacity-memory lets all of them start."
            )
        self._show(command)
        self._data.mkdir(parents=True)
        with open(self._data.parent / "server.log", "w") as log:
            self._process = subprocess.Popen(
                [trunkline(), *command],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,  # Ctrl-C reaches only the demo, which then stops the server
            )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise Broken(
                f"the server did not start: {(self._data.parent / 'server.log').read_text().strip()}"
            )
        self.address = json.loads(line)["grpc"]
        self._say(f"ready on {self.address} after {time.monotonic() - begun:.1f} s")
        self._watcher = Watcher(self.address)
        self._watcher.start()

    def end(self) -> None:
        """Stop the server, check that no process is left, and remove its data."""
        if self._watcher is not None:
            self._watcher.stop()
        if self._process is None:
            return
        children = descendants(self._process.pid)
        self._process.terminate()
        try:
            code = self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise Broken("the server did not stop within 30 s and was killed") from None
        remaining = [pid for pid in children if Path(f"/proc/{pid}").exists()]
        if code or remaining:
            raise Broken(f"the server ended with exit code {code} and left {len(remaining)} processes")
        for rest in (self._data, self._data.parent / "pictures", self._data.parent / "server.log"):
            shutil.rmtree(rest) if rest.is_dir() else rest.unlink(missing_ok=True)
        self._say("the server has stopped, nothing is left running, and its data is removed")

    # --- commands ---------------------------------------------------------------------------------------

    def run(self, *arguments: str) -> str:
        """Print a command, run it, and print its output."""
        self._show(arguments)
        done = subprocess.run(
            [trunkline(), *arguments],
            env=os.environ | {"PACHD_ADDRESS": f"grpc://{self.address}"},
            text=True,
            capture_output=True,
        )
        text = (done.stdout + done.stderr).strip()
        if done.returncode:
            raise Broken(f"trunkline {' '.join(arguments)} ended with exit code {done.returncode}: {text}")
        for line in text.splitlines():
            self._say(line)
        return done.stdout.strip()

    def put(self, repo: str, folder: Path) -> str:
        """Put the files of a folder into a repo as one commit; return its id."""
        self.run("put", "file", "-r", f"{repo}@master:/", "-f", displayed_path(folder))
        return self.head(repo)

    def until_image_is_ready(self, name: str) -> None:
        """Wait until an image is built, and print how long it took."""
        begun = time.monotonic()
        with connected(self.address) as server, self._waiting(f"pip builds {name} …"):
            while True:
                images = {
                    image.name: image for image in server.control.ListImage(control_pb2.ListImageRequest())
                }
                image = images[name]
                if image.state == "ready":
                    break
                if image.state == "failed":
                    raise Broken(f"image {name} could not be built: {image.reason}")
                if time.monotonic() - begun > BUILT_WITHIN:
                    raise Broken(f"image {name} was not built within {BUILT_WITHIN:.0f} s")
                time.sleep(0.2)
        self._say(f"image {name} is ready after {time.monotonic() - begun:.1f} s")

    # --- watching ---------------------------------------------------------------------------------------

    def watch(self, commit: str) -> Part:
        """Show the pipelines until the jobs of a commit have ended and all workers have stopped."""
        begun = time.monotonic()
        self.until_idle()
        assert self._watcher is not None
        with connected(self.address) as server:
            request = pps_pb2.InspectJobSetRequest(job_set=pps_pb2.JobSet(id=commit), wait=True)
            infos = {info.job.pipeline.name: info for info in server.pps.InspectJobSet(request, 10.0)}
            finished = self._finished(server, commit)
            explained = server.control.ExplainPipeline(
                control_pb2.ExplainPipelineRequest(project="default", pipeline="edges", number=100)
            )
            decisions = [decision for decision in explained if decision.at.ToNanoseconds() / 1e9 >= finished]
        for name, info in infos.items():
            if info.state != pps_pb2.JOB_SUCCESS:
                state = pps_pb2.JobState.Name(info.state).removeprefix("JOB_").lower()
                raise Broken(f"the job of {name} ended as {state}: {info.reason}")
        jobs = {
            name: Job(info.data_total, info.data_processed, info.data_skipped) for name, info in infos.items()
        }
        end = max(info.finished.ToNanoseconds() for info in infos.values()) / 1e9
        return Part(
            jobs,
            end - finished,
            max((count.number for count in self._watcher.counts if count.at >= begun), default=0),
            decisions[-1].sentence if decisions else "",
        )

    def until_idle(self) -> None:
        """Show the pipelines until all are in standby."""
        assert self._watcher is not None
        end = time.monotonic() + DONE_WITHIN
        last_healthy = time.monotonic()
        while not self._watcher.snapshots.empty():
            self._watcher.snapshots.get()  # from before
        with self._picture() as show:
            while True:
                try:
                    snapshot = self._watcher.snapshots.get(timeout=READY_WITHIN)
                except queue.Empty:
                    raise Broken("the server has stopped answering") from None
                show(snapshot)
                if snapshot.idle and all(pipeline.state == "standby" for pipeline in snapshot.pipelines):
                    return
                crashing = [pipeline for pipeline in snapshot.pipelines if pipeline.state == "crashing"]
                if not crashing:
                    last_healthy = time.monotonic()
                elif time.monotonic() - last_healthy > CRASHING_WITHIN:
                    raise Broken(f"pipeline {crashing[0].name} does not run: {crashing[0].reason}")
                if time.monotonic() > end:
                    raise Broken(f"not done within {DONE_WITHIN:.0f} s")

    @contextlib.contextmanager
    def _picture(self) -> Any:
        if not self._console.is_terminal:
            yield self._lines
            return
        with Live(console=self._console, auto_refresh=False) as screen:
            yield lambda snapshot: screen.update(top.picture(snapshot), refresh=True)

    def _lines(self, snapshot: top.Snapshot) -> None:
        for subject, text in top.lines(snapshot):
            if self._printed.get(subject) != text:
                self._printed[subject] = text
                self._say(text)

    # --- reads ------------------------------------------------------------------------------------------

    def head(self, repo: str) -> str:
        """Return the id of the newest commit on master."""
        with connected(self.address) as server:
            info = server.pfs.InspectCommit(
                pfs_pb2.InspectCommitRequest(commit=server.commit(f"{repo}@master"))
            )
        return str(info.commit.id)

    def hashes(self, commit: str) -> dict[str, bytes]:
        """Return the files of a commit with the hashes of their content."""
        with connected(self.address) as server:
            file, _ = server.file(f"{commit}:/")
            infos = list(server.pfs.WalkFile(pfs_pb2.WalkFileRequest(file=file)))
        return {info.file.path: info.hash for info in infos if info.file_type == pfs_pb2.FILE}

    def storage(self) -> Any:
        """Return the store's counters."""
        with connected(self.address) as server:
            return server.control.InspectStorage(control_pb2.InspectStorageRequest())

    def _finished(self, server: Any, commit: str) -> float:
        info = server.pfs.InspectCommit(
            pfs_pb2.InspectCommitRequest(commit=server.commit(f"images@{commit}"))
        )
        return float(info.finished.ToNanoseconds() / 1e9)

    def _show(self, arguments: Any) -> None:
        self._console.print(Text.assemble(("$ ", "dim"), (f"trunkline {' '.join(arguments)}", "cyan")))

    def _say(self, text: str) -> None:
        """Print a line, wrapped at words and indented to where its last column begins."""
        begins = max((gap.end() + 2 for gap in re.finditer(r"\S {2,}", text)), default=2)
        folded = textwrap.wrap(
            f"  {text}",
            self._console.width,
            subsequent_indent=" " * (begins if begins < self._console.width / 2 else 2),
            break_on_hyphens=False,
            break_long_words=False,
        )
        for line in folded if self._console.is_terminal and folded else [f"  {text}"]:
            self._console.print(line, markup=False, soft_wrap=True)

    def _waiting(self, text: str) -> Any:
        if self._console.is_terminal:
            return self._console.status(text)
        self._say(text)
        return contextlib.nullcontext()


def trunkline() -> str:
    """Return the command of the environment that the demo runs in."""
    return str(Path(sys.prefix, "bin", "trunkline"))


def displayed_path(path: Path) -> str:
    """Return a path relative to the working directory, as one types it."""
    return os.path.relpath(path)


def descendants(pid: int) -> list[int]:
    """Return the ids of all descendants of a process."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                parents.setdefault(int(fields[1]), []).append(int(entry.name))
    ids: list[int] = []
    pending = [pid]
    while pending:
        children = parents.get(pending.pop(), [])
        ids += children
        pending += children
    return ids


def png_size(file: Path) -> tuple[int, int] | None:
    """Return width and height of a PNG picture; None when the file is not one."""
    head = file.read_bytes()[:24]
    if head[:8] != b"\x89PNG\r\n\x1a\n":
        return None
    return int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")
