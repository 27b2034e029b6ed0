"""What every benchmark needs: a server of its own, access to it with little overhead, and tables that print ratios.

A benchmark measures Trunkline and its peer (or the physical limit) in the same run, in turns, and prints
medians and their ratio; machines are shared and noisy, so single figures mean little. Peers that cannot be
installed from a registry (Pachyderm itself) appear in the tables as recorded figures, marked ``recorded``.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from trunkline.client.channel import Channel
from trunkline.rpc.gen import pfs_pb2, pps_pb2

TRUNKLINE = str(Path(sys.executable).with_name("trunkline"))
# An installed program has its bytecode beside it; compiling it at each start is not what is measured.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
#: Runnable processes of other work when the benchmark began.
LOAD = round(os.getloadavg()[0], 1)
SCRATCH = Path(os.environ.get("TRUNKLINE_BENCH_DIR", tempfile.gettempdir()))


@dataclass
class Server:
    """A running server and a channel to it."""

    address: str
    data: Path
    process: subprocess.Popen[str]
    #: Seconds from the start of the process to its ready line.
    ready_after: float
    channel: Channel = field(init=False)

    def __post_init__(self) -> None:
        self.channel = Channel(self.address)

    def call(self, method: str, request, answer=None, timeout: float | None = 120.0):
        """Call a unary RPC of pfs or pps by its message classes."""
        service = "pps_v2" if type(request).__module__.endswith("pps_pb2") else "pfs_v2"
        raw = self.channel.unary(f"/{service}.API/{method}", request.SerializeToString(), timeout)
        return answer.FromString(raw) if answer is not None else raw

    def create_repo(self, name: str) -> None:
        self.call("CreateRepo", pfs_pb2.CreateRepoRequest(repo=repo(name)))

    def create_pipeline(
        self, name: str, cmd: list[str], source: str, *, glob: str = "/*", **spec: object
    ) -> None:
        whole = {
            "pipeline": {"name": name},
            "transform": {"cmd": cmd, "image": spec.pop("image", "")},
            "input": {"pfs": {"repo": source, "glob": glob}},
            **spec,
        }
        self.call(
            "CreatePipelineV2",
            pps_pb2.CreatePipelineV2Request(create_pipeline_request_json=json.dumps(whole)),
        )

    def start_commit(self, name: str, branch: str = "master") -> pfs_pb2.Commit:
        request = pfs_pb2.StartCommitRequest(branch=pfs_pb2.Branch(repo=repo(name), name=branch))
        return self.call("StartCommit", request, pfs_pb2.Commit)

    def finish_commit(self, commit: pfs_pb2.Commit) -> None:
        self.call("FinishCommit", pfs_pb2.FinishCommitRequest(commit=commit))

    def put(self, commit: pfs_pb2.Commit, files: Iterable[tuple[str, bytes]]) -> None:
        """Write files in one stream."""
        self.put_frames(modify_frames(commit, files))

    def put_frames(self, frames: Iterable[bytes]) -> None:
        """Send the encoded messages of one ModifyFile stream."""
        self.channel.client_stream("/pfs_v2.API/ModifyFile", frames, 600)

    def wait_job(self, pipeline: str, job_id: str) -> pps_pb2.JobInfo:
        request = pps_pb2.InspectJobRequest(
            job=pps_pb2.Job(pipeline=pps_pb2.Pipeline(name=pipeline), id=job_id), wait=True
        )
        info = self.call("InspectJob", request, pps_pb2.JobInfo, 600)
        if info.state != pps_pb2.JOB_SUCCESS:
            raise SystemExit(f"job {pipeline}@{job_id}: {pps_pb2.JobState.Name(info.state)} {info.reason}")
        return info

    def workers(self, pipeline: str) -> int:
        request = pps_pb2.InspectPipelineRequest(pipeline=pps_pb2.Pipeline(name=pipeline), details=True)
        return self.call("InspectPipeline", request, pps_pb2.PipelineInfo).details.workers_available

    def await_workers(self, pipeline: str, count: int, limit: float = 60.0) -> None:
        end = time.monotonic() + limit
        while self.workers(pipeline) != count:
            if time.monotonic() > end:
                raise SystemExit(f"pipeline {pipeline} did not come to {count} workers in {limit:.0f} s")
            time.sleep(0.02)


@contextlib.contextmanager
def server(
    *options: str, program: Iterable[str] = (TRUNKLINE,), prepare: Callable[[Path], None] = lambda _: None
) -> Iterator[Server]:
    """Run a server on a free port with its data in a folder of its own.

    Args:
        options: of ``serve``.
        program: what takes ``serve``.
        prepare: fills the data folder before the server starts.
    """
    data = Path(tempfile.mkdtemp(prefix="trunkline-bench-", dir=SCRATCH))
    prepare(data / "data")
    begun = time.perf_counter()
    process = subprocess.Popen(
        [*program, "serve", "--data", str(data / "data"), "--listen", "127.0.0.1:0", *options],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        yield Server(ready["grpc"], data, process, time.perf_counter() - begun)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        shutil.rmtree(data, ignore_errors=True)


def repo(name: str) -> pfs_pb2.Repo:
    return pfs_pb2.Repo(name=name, type="user", project=pfs_pb2.Project(name="default"))


def modify_frames(commit: pfs_pb2.Commit, files: Iterable[tuple[str, bytes]]) -> Iterator[bytes]:
    """Yield the encoded messages of a ModifyFile stream."""
    yield pfs_pb2.ModifyFileRequest(set_commit=commit).SerializeToString()
    for path, data in files:
        message = pfs_pb2.ModifyFileRequest()
        message.add_file.path = path
        message.add_file.raw.value = data
        yield message.SerializeToString()


def cpu_seconds(process_id: int | None) -> float:
    """Return the processor time that a process has used, which depends least on other work of the machine."""
    fields = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def timed(fn: Callable[[], object]) -> float:
    """Return the seconds that a call takes."""
    begun = time.perf_counter()
    fn()
    return time.perf_counter() - begun


def median(values: Iterable[float]) -> float:
    return statistics.median(list(values))


def spread(values: list[float], scale: float = 1000.0, digits: int = 1) -> str:
    """Return ``median (min - max)``, by default of seconds in milliseconds."""
    low, mid, high = min(values) * scale, median(values) * scale, max(values) * scale
    return f"{mid:.{digits}f} ({low:.{digits}f} - {high:.{digits}f})"


def table(title: str, head: list[str], rows: list[list[str]]) -> None:
    """Print a result as Markdown, with date and machine, and keep it where ``scripts/bench`` says.

    Args:
        title: of the table, from which pages name the result (``result_name``).
        head: of the columns.
        rows: their cells, the first of which names the row.
    """
    cpu = next(
        (
            line.split(":")[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.machine(),
    )
    day = date.today().isoformat()
    machine = f"{os.cpu_count()} cores ({cpu}), Python {platform.python_version()}"
    print(f"\n### {title}\n")
    print(f"{day}, {machine}\n")
    print("| " + " | ".join(head) + " |")
    print("|" + "---|" * len(head))
    for row in rows:
        print("| " + " | ".join(row) + " |")
    sys.stdout.flush()
    if folder := os.environ.get("TRUNKLINE_BENCH_RESULTS"):
        facts = {"title": title, "date": day, "machine": machine, "commit": _commit(), "load": LOAD}
        write_result(Path(folder) / f"{result_name(Path(sys.argv[0]).stem, title)}.json", facts, head, rows)


def result_name(program: str, title: str) -> str:
    """Return the name of a result: that of the benchmark, and the words of the title before its first comma.

    Args:
        program: name of the benchmark.
        title: of the table; numbers are part of the name, so that a run with fewer files has another one.
    """
    words = re.split(r"[;:(]|,(?!\d)", title.lower())[0].replace(",", "").replace("'", "")
    slug = re.sub(r"[^a-z0-9]+", "-", words).strip("-")
    return program if slug == program else f"{program}-{slug}"


def write_result(path: Path, facts: dict[str, object], head: list[str], rows: list[list[str]]) -> None:
    """Write a result as JSON, with one row on a line so that differences of runs can be read.

    Args:
        path: of the file.
        facts: when, where and of what the figures are.
        head: of the columns.
        rows: their cells.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [f'  "{key}": {json.dumps(value, ensure_ascii=False)},' for key, value in facts.items()]
    lines.append(f'  "head": {json.dumps(head, ensure_ascii=False)},')
    lines.append('  "rows": [')
    lines.append(",\n".join(f"    {json.dumps(row, ensure_ascii=False)}" for row in rows))
    path.write_text("\n".join(["{", *lines, "  ]", "}", ""]), encoding="utf-8")


def _commit() -> str:
    run = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=Path(__file__).parent, capture_output=True, text=True
    )
    return run.stdout.strip()
