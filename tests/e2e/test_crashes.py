"""Whatever is killed, whenever: what was committed stays readable, and every job comes to its right end."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest
from blake3 import blake3
from pachyderm_sdk.api import pfs, pps
from servers import BROKEN, ENDS, Notes, Server, ended, files_of, make_pipeline, make_repo, put, until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pachyderm_sdk import Client

NUMBERS = [f"/{number:02}" for number in range(12)]


@pytest.fixture
def notes(tmp_path: Path) -> Notes:
    return Notes(tmp_path)


def test_a_server_killed_during_ingest_keeps_what_was_acknowledged_and_nothing_else(server: Server) -> None:
    client = server.client()
    images = make_repo(client, "images")
    put(client, images, {"/before": b"1"})
    commit = client.pfs.start_commit(branch=images)
    client.pfs.put_file_from_bytes(commit=commit, path="/acknowledged", data=b"2")
    sent, killed = threading.Event(), threading.Event()

    def stream() -> Iterator[pfs.ModifyFileRequest]:
        yield pfs.ModifyFileRequest(set_commit=commit)
        for number in range(20):
            yield pfs.ModifyFileRequest(add_file=pfs.AddFile(path=f"/lost{number}", raw=os.urandom(1 << 20)))
        sent.set()
        killed.wait(60)

    def write() -> None:
        with pytest.raises(BROKEN):
            client.pfs.modify_file(stream())

    writer = threading.Thread(target=write)
    writer.start()
    assert sent.wait(60)
    server.kill()
    killed.set()
    writer.join()
    server.start()
    client = server.client()

    during = files_of(client, "images@master^")
    client.pfs.put_file_from_bytes(commit=commit, path="/later", data=b"3")
    client.pfs.finish_commit(commit=commit)

    assert during == {"/before": b"1"}
    assert files_of(client, "images@master") == {"/before": b"1", "/acknowledged": b"2", "/later": b"3"}


def test_a_server_killed_again_and_again_during_a_job_still_ends_it_right(
    server: Server, notes: Notes
) -> None:
    client = server.client()
    images = make_repo(client, "images")
    edges = make_pipeline(
        client, "edges", notes.script, "images", parallelism_spec=pps.ParallelismSpec(constant=2)
    )
    notes.hold_from(1)
    commit = put(client, images, {path: path.encode() for path in NUMBERS})

    for number, following in ((1, 4), (4, 8), (8, 1000)):
        until(lambda: len(notes.runs()) >= number, f"{number} runs")  # noqa: B023 - called at once
        server.kill()
        notes.hold_from(following)
        server.start()
    job = ended(server.client(), edges, commit)

    assert job.state == pps.JobState.JOB_SUCCESS
    assert (job.data_total, job.data_processed, job.data_failed) == (12, 12, 0)
    assert files_of(server.client(), "edges@master") == {path: path.encode() for path in NUMBERS}
    assert set(notes.runs()) == {path[1:] for path in NUMBERS}


def test_a_server_killed_while_finishing_a_commit_has_finished_it_or_not(tmp_path: Path) -> None:
    """It dies before the files are prepared, before and inside the transaction that records them, and after it."""
    points = {
        "commit.finish": False,
        "commit.prepared": False,
        "commit.record": False,
        "commit.finished": True,
    }
    armed = {point: tmp_path / point for point in points}
    environment = {"TRUNKLINE_FAILPOINTS": ";".join(f"{point}=kill@{armed[point]}" for point in points)}
    server = Server(tmp_path / "data", environment=environment)
    finished: dict[str, bool] = {}
    expected: dict[str, bytes] = {}
    try:
        images = make_repo(server.start().client(), "images")
        for point, file in armed.items():
            client = server.client()
            added = {f"/{point}/{number:03}": b"%d" % number for number in range(100)}
            commit = client.pfs.start_commit(branch=images)
            requests = [
                pfs.ModifyFileRequest(add_file=pfs.AddFile(path=p, raw=data)) for p, data in added.items()
            ]
            client.pfs.modify_file(iter([pfs.ModifyFileRequest(set_commit=commit), *requests]))
            file.touch()
            with pytest.raises(BROKEN):
                client.pfs.finish_commit(commit=commit)
            assert server.wait() == -signal.SIGKILL
            file.unlink()

            client = server.start().client()
            finished[point] = client.pfs.inspect_commit(commit=commit).finished.timestamp() > 0
            if not finished[point]:
                client.pfs.finish_commit(commit=commit)

            expected |= {path: blake3(data).digest() for path, data in added.items()}
            assert hashes_of(client, "images@master") == expected
        assert finished == points
    finally:
        server.close()


@pytest.mark.slow  # the rule is that of any write; four starts of a server
def test_a_server_killed_while_finishing_a_transaction_has_done_all_of_it_or_nothing(tmp_path: Path) -> None:
    """It dies inside the write that does the requests, and after it."""
    points = {"transaction.done": False, "transaction.finished": True}
    armed = {point: tmp_path / point for point in points}
    environment = {"TRUNKLINE_FAILPOINTS": ";".join(f"{point}=kill@{armed[point]}" for point in points)}
    server = Server(tmp_path / "data", environment=environment)
    repos = {point: pfs.Repo.from_uri(point.replace(".", "-")) for point in points}
    finished: dict[str, bool] = {}
    try:
        server.start()
        for point, file in armed.items():
            client = server.client()
            transaction = client.transaction.start_transaction()
            client.pfs.create_repo(repo=repos[point])
            commit = client.pfs.start_commit(branch=pfs.Branch(repo=repos[point], name="master"))
            client.pfs.finish_commit(commit=commit)
            file.touch()
            with pytest.raises(BROKEN):
                client.transaction.finish_transaction(transaction=transaction)
            assert server.wait() == -signal.SIGKILL
            file.unlink()

            client = server.start().client()
            finished[point] = client.pfs.repo_exists(repos[point])
            assert client.transaction.transaction_exists(transaction) is not finished[point]
            if not finished[point]:
                client.transaction.finish_transaction(transaction=transaction)

            assert client.pfs.commit_exists(commit)
        assert finished == points
    finally:
        server.close()


def test_a_server_killed_around_the_end_of_a_job_settles_it_once(tmp_path: Path, notes: Notes) -> None:
    """It dies where the controller settles, and in and after the transaction of a completion that ends its job."""
    armed = tmp_path / "armed"
    by_controller = "completion.settle=raise;"
    points = (
        by_controller + "controller.settle",
        by_controller + "controller.settled",
        "completion.settled",
        "completion.recorded",
    )
    for number, point in enumerate(points):
        server = Server(tmp_path / "data", environment={"TRUNKLINE_FAILPOINTS": f"{point}=kill@{armed}"})
        try:
            client = server.start().client()
            if number == 0:
                make_repo(client, "images")
                make_pipeline(client, "edges", notes.script, "images")
                until(lambda: all(job.state in ENDS for job in client.pps.list_job()), "the empty job to end")  # noqa: B023
            images = pfs.Branch(repo=pfs.Repo.from_uri("images"), name="master")
            edges = pps.Pipeline(name="edges")
            armed.touch()
            commit = put(client, images, {f"/{number}": b"%d" % number})
            killed = server.wait()
            armed.unlink()
            client = server.start().client()

            info = ended(client, edges, commit)

            assert killed == -signal.SIGKILL
            assert info.state == pps.JobState.JOB_SUCCESS
            assert (info.data_total, info.data_processed, info.data_skipped) == (number + 1, 1, number)
            whole = {f"/{before}": b"%d" % before for before in range(number + 1)}
            assert files_of(client, "edges@master") == whole
        finally:
            server.close()
    # The third was not recorded before the server died.
    assert sorted(notes.runs()) == ["0", "1", "2", "2", "3"]


def test_a_server_told_to_stop_lets_its_workers_finish_and_exits_with_0(server: Server, notes: Notes) -> None:
    client = server.client()
    images = make_repo(client, "images")
    edges = make_pipeline(client, "edges", notes.script, "images")
    notes.hold_from(1)
    commit = put(client, images, {"/a": b"1", "/b": b"2", "/c": b"3"})
    until(notes.runs, "the first run")
    children = server.descendants()

    assert server.process is not None
    server.process.terminate()
    until(lambda: "stopping" in server.log.read_text(), "the stop to begin")
    notes.release()
    code = server.wait()
    running = [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]
    server.start()
    job = ended(server.client(), edges, commit)

    assert code == 0
    assert running == []
    assert job.state == pps.JobState.JOB_SUCCESS
    assert sorted(notes.runs()) == ["a", "b", "c"], (
        "the running datum was finished and recorded, not run again"
    )
    assert files_of(server.client(), "edges@master") == {"/a": b"1", "/b": b"2", "/c": b"3"}


def test_an_idle_server_stops_at_once_on_either_signal(server: Server) -> None:
    assert server.process is not None
    server.process.send_signal(signal.SIGINT)
    first = server.wait()
    server.start()
    second = server.terminate()

    assert (first, second) == (0, 0)


def test_a_second_server_on_the_same_folder_is_refused_with_a_sentence(server: Server) -> None:
    command = [
        sys.executable,
        "-m",
        "trunkline.cli",
        "serve",
        "--data",
        str(server.data),
        "--listen",
        "127.0.0.1:0",
    ]

    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode not in (0, 2)
    assert done.stdout == ""
    assert done.stderr == (
        f"trunkline: the data folder '{server.data}' is in use by another server (process {server.pid});"
        " stop that one or name another folder with --data\n"
    )


def test_a_worker_killed_in_the_middle_of_a_datum_costs_time_and_nothing_else(
    server: Server, notes: Notes
) -> None:
    client = server.client()
    images = make_repo(client, "images")
    edges = make_pipeline(client, "edges", notes.script, "images")
    notes.hold_from(1)
    commit = put(client, images, {"/a": b"1", "/b": b"2", "/c": b"3"})
    until(notes.runs, "the first run")

    [worker, *_] = server.worker_processes()
    worker.kill()
    notes.release()
    job = ended(client, edges, commit)

    assert job.state == pps.JobState.JOB_SUCCESS
    assert job.data_processed == 3
    assert files_of(client, "edges@master") == {"/a": b"1", "/b": b"2", "/c": b"3"}


@pytest.mark.slow
def test_a_frozen_worker_is_stopped_and_replaced(server: Server, notes: Notes) -> None:
    client = server.client()
    images = make_repo(client, "images")
    edges = make_pipeline(client, "edges", notes.script, "images")
    notes.hold_from(1)
    commit = put(client, images, {"/a": b"1"})
    until(notes.runs, "the first run")

    frozen = server.worker_processes()
    for process in frozen:
        process.suspend()
    notes.release()
    job = ended(client, edges, commit)

    assert job.state == pps.JobState.JOB_SUCCESS
    until(lambda: not any(process.is_running() for process in frozen), "the frozen worker to be gone")
    assert files_of(client, "edges@master") == {"/a": b"1"}


@pytest.mark.slow
def test_a_datum_whose_workers_are_killed_three_times_fails(server: Server, notes: Notes) -> None:
    client = server.client()
    images = make_repo(client, "images")
    edges = make_pipeline(client, "edges", notes.script, "images")
    notes.hold_from(1)
    commit = put(client, images, {"/a": b"1"})

    for number in (1, 2, 3):
        until(lambda: len(notes.runs()) == number, f"run {number}")  # noqa: B023 - called at once
        for worker in server.worker_processes():
            worker.kill()
    job = ended(client, edges, commit)

    assert job.state == pps.JobState.JOB_FAILURE
    assert job.reason.startswith("/a: 3 workers in a row ended")
    assert "SIGKILL" in job.reason


def python_of_nobody() -> tuple[list[str], dict[str, str]] | None:
    """Return how to run Python as nobody and with which variables; None when nobody may run none."""
    become = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    # An interpreter below root's home is no use to others; that of the system can use the same packages.
    variables = {"PYTHONPATH": os.pathsep.join(path for path in sys.path if os.path.isdir(path))}
    twice = "import subprocess, sys, trunkline; sys.exit(subprocess.call([sys.executable, '-c', '']))"
    for python in (sys.executable, f"/usr/bin/python3.{sys.version_info.minor}"):
        with contextlib.suppress(OSError):
            command = [*become, python]
            done = subprocess.run(
                [*command, "-c", twice], env=os.environ | variables, cwd="/", capture_output=True, check=False
            )
            if done.returncode == 0:
                return command, variables
    return None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_everything_works_for_a_user_who_is_not_root() -> None:
    interpreter = python_of_nobody()
    if interpreter is None:
        pytest.skip("no Python that user nobody may run has what this one has")
    python, variables = interpreter
    folder = Path(tempfile.mkdtemp(prefix="trunkline-nobody-"))
    os.chown(folder, 65534, 65534)
    server = Server(folder / "data", python=python, environment={"HOME": str(folder), **variables})
    try:
        client = server.start().client()
        images = make_repo(client, "images")
        edges = make_pipeline(client, "edges", "ls /pfs >/pfs/out/folders", "images", "/")

        job = ended(client, edges, put(client, images, {"/a": b"1"}))

        assert (job.state, job.reason) == (pps.JobState.JOB_SUCCESS, "")
        assert files_of(client, "edges@master") == {"/folders": b"images\nout\n"}
        assert (folder / "data").stat().st_uid == 65534
    finally:
        server.close()
        shutil.rmtree(folder)


def hashes_of(client: Client, uri: str) -> dict[str, bytes]:
    """Return the hash of each file; that of a small file is the BLAKE3 of its content."""
    walked = client.pfs.walk_file(file=pfs.File.from_uri(f"{uri}:/"))
    return {info.file.path: info.hash for info in walked if info.file_type == pfs.FileType.FILE}
