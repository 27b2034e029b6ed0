"""Whole servers for tests: the command people type, in a process of its own, with real workers."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import grpc
import psutil
from pachyderm_sdk import Client
from pachyderm_sdk.api import pfs, pps
from processes import WORKER_MODULES, command_of, is_template

from trunkline.client.channel import Channel
from trunkline.client.stubs import Client as OwnClient
from trunkline.client.stubs import Service

if TYPE_CHECKING:
    from pathlib import Path

T = TypeVar("T")
#: Seconds that a test waits for a state. Two cores that others use too need some.
PATIENCE = 60.0
#: Seconds that a server may take to get ready. One that waits for another starts long before that one ends.
START = 120.0
#: What a call of the SDK raises whose server dies: the second one when it is to connect again.
BROKEN = (grpc.RpcError, ConnectionError)
ENDS = (
    pps.JobState.JOB_SUCCESS,
    pps.JobState.JOB_FAILURE,
    pps.JobState.JOB_KILLED,
    pps.JobState.JOB_UNRUNNABLE,
)


class Server:
    """``trunkline serve`` on a free port."""

    def __init__(
        self,
        data: Path,
        *,
        python: Sequence[str] = (sys.executable,),
        environment: dict[str, str] | None = None,
        options: Sequence[str] = (),
        listen: str = "127.0.0.1:0",
    ) -> None:
        self.data = data
        self._options = tuple(options)
        self._python = tuple(python)
        self.environment = environment or {}
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self.process: subprocess.Popen[str] | None = None
        self.address = ""
        self._listen = listen
        self._clients: list[Client] = []
        self._channels: list[Channel] = []

    def start(self) -> Server:
        """Start it and wait until it says that it is ready. A second start keeps the address."""
        command = [*self._python, "-m", "trunkline.cli", "serve", "--data", str(self.data)]
        command += ["--listen", self._listen, "--capacity-memory", "64Gi", *self._options]
        with open(self.log, "a") as log:
            self.process = subprocess.Popen(
                command,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=os.environ | self.environment,
            )
        threading.Thread(target=self._read, args=(self.process,), daemon=True).start()
        try:
            line = self._lines.get(timeout=START)
        except queue.Empty:
            line = ""
        if not line:
            raise AssertionError(f"the server did not get ready: {self.log.read_text()}")
        ready = json.loads(line)
        assert ready["ready"] is True
        self.address = self._listen = ready["grpc"]
        return self

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        with process.stdout:
            for line in process.stdout:
                self._lines.put(line)
        self._lines.put("")

    @property
    def log(self) -> Path:
        return self.data.parent / f"{self.data.name}.log"

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def client(self) -> Client:
        """Return a client of the published SDK."""
        host, _, port = self.address.rpartition(":")
        client = Client(host, int(port))
        self._clients.append(client)
        return client

    def control(self) -> Service:
        """Return a stub of what Trunkline offers beyond the Pachyderm API."""
        channel = Channel(self.address)
        self._channels.append(channel)
        return OwnClient(channel).control

    def kill(self) -> None:
        """End it as a power cut would: it and all its workers at once."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.wait()

    def terminate(self) -> int:
        """Ask it to stop; return its exit code."""
        assert self.process is not None
        self.process.terminate()
        return self.wait()

    def wait(self) -> int:
        assert self.process is not None
        code = self.process.wait(PATIENCE)
        self._lines.get(timeout=PATIENCE)  # the end of its output
        return code

    def close(self) -> None:
        for client in self._clients:
            client._channel.close()
        for channel in self._channels:
            channel.close()
        if self.process is not None and self.process.poll() is None:
            self.kill()

    def descendants(self) -> list[psutil.Process]:
        return psutil.Process(self.pid).children(recursive=True)

    def worker_processes(self) -> list[psutil.Process]:
        """Return the processes of its workers, not those of their commands."""
        return [
            child
            for child in self.descendants()
            if WORKER_MODULES & set(command_of(child)) and not is_template(child)
        ]


def until(
    look: Callable[[], T | None],
    what: str,
    seconds: float = PATIENCE,
    not_yet: type[Exception] | tuple[type[Exception], ...] = (),
) -> T:
    """Ask again until the answer is true.

    Args:
        look: returns the answer, or something false as long as there is none.
        what: what the test waits for.
        seconds: how long it waits.
        not_yet: errors of ``look`` that mean that there is no answer yet; others end the wait.

    Raises:
        AssertionError: there was no answer in time; the message says what ``look`` gave last.
    """
    end = time.monotonic() + seconds
    while True:
        last: object
        try:
            value = look()
        except not_yet as error:
            last = error
        else:
            if value:
                return value
            last = value
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds:.0f} s for {what}; the last look gave {last!r}")
        time.sleep(0.02)


# --- the same few steps in every test -----------------------------------------------------------------------


def shell(script: str) -> pps.Transform:
    """Return a transform that runs a shell script on the machine's own tools."""
    return pps.Transform(cmd=["sh", "-e", "-c", script])


def pfs_input(repo: str, glob: str = "/*") -> pps.Input:
    return pps.Input(pfs=pps.PfsInput(repo=repo, glob=glob))


def make_repo(client: Client, name: str) -> pfs.Branch:
    repo = pfs.Repo.from_uri(name)
    client.pfs.create_repo(repo=repo)
    return pfs.Branch(repo=repo, name="master")


def make_pipeline(
    client: Client, name: str, script: str, repo: str, glob: str = "/*", **spec: Any
) -> pps.Pipeline:
    pipeline = pps.Pipeline(name=name)
    spec.setdefault("autoscaling", True)
    spec.setdefault("transform", shell(script))
    client.pps.create_pipeline(pipeline=pipeline, input=pfs_input(repo, glob), **spec)
    return pipeline


def put(client: Client, branch: pfs.Branch, files: dict[str, bytes], delete: Sequence[str] = ()) -> str:
    """Make one commit; return its id."""
    with client.pfs.commit(branch=branch) as commit:
        for path in delete:
            commit.delete_file(path=path)
        for path, data in files.items():
            commit.put_file_from_bytes(path=path, data=data)
    return commit.id


def job_of(pipeline: pps.Pipeline, commit_id: str) -> pps.Job:
    return pps.Job(pipeline=pipeline, id=commit_id)


def ended(client: Client, pipeline: pps.Pipeline, commit_id: str) -> pps.JobInfo:
    """Wait until a job has ended; when it does not, say what it and its pipeline say."""
    job = job_of(pipeline, commit_id)

    def look() -> pps.JobInfo | None:
        info = client.pps.inspect_job(job=job, details=True)
        return info if info.state in ENDS else None

    try:
        return until(look, f"job {pipeline.name}@{commit_id} to end")
    except AssertionError as error:
        info = client.pps.inspect_job(job=job, details=True)
        done = f"{info.data_processed + info.data_skipped + info.data_failed} of {info.data_total} datums"
        job_state = f"{pps.JobState(info.state).name}, {done}: {info.reason}"
        pipeline_info = client.pps.inspect_pipeline(pipeline=pipeline)
        state = pps.PipelineState(pipeline_info.state).name
        raise AssertionError(
            f"{error}; the job is {job_state}; the pipeline is {state}: {pipeline_info.reason}"
        ) from None


def files_of(client: Client, uri: str) -> dict[str, bytes]:
    """Return the files of a commit such as ``edges@master``."""
    contents: dict[str, bytes] = {}
    for info in client.pfs.walk_file(file=pfs.File.from_uri(f"{uri}:/")):
        if info.file_type == pfs.FileType.FILE:
            with client.pfs.pfs_file(info.file) as file:
                contents[info.file.path] = file.read()
    return contents


def refusal(call: Callable[[], object]) -> grpc.RpcError:
    """Return the error that a call ends with."""
    try:
        answer = call()
        if isinstance(answer, Iterator):
            list(answer)
    except grpc.RpcError as error:
        return error
    raise AssertionError("the call was not refused")


class Notes:
    """Where commands note each of their runs, outside of everything versioned, and where a test lets them wait."""

    def __init__(self, folder: Path) -> None:
        self._notes = folder / "notes"
        self._limit = folder / "limit"

    @property
    def script(self) -> str:
        """A script that notes each run, waits while the test holds it, and copies its input."""
        return f"""
for file in /pfs/images/*; do
    echo "$(basename "$file")" >>{self._notes}
    while [ "$(wc -l <{self._notes})" -ge "$(cat {self._limit} 2>/dev/null)" ] 2>/dev/null; do sleep 0.02; done
    cat "$file" >>/pfs/out/"$(basename "$file")"
done
"""

    def runs(self) -> list[str]:
        return self._notes.read_text().split() if self._notes.exists() else []

    def hold_from(self, number: int) -> None:
        """Let commands wait once there have been so many runs."""
        fresh = self._limit.with_suffix(".new")
        fresh.write_text(str(number))
        fresh.replace(self._limit)  # a command reads the whole number

    def release(self) -> None:
        """Let all commands go on."""
        self._limit.unlink()
