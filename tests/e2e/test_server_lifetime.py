"""Whole servers that lose a service, are stopped while they work, or find something wrong when they start."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import grpc
import pytest
from pachyderm_sdk.api import pfs, pps
from servers import BROKEN, Server, ended, make_pipeline, make_repo, put, until

from trunkline.rpc.gen import health_pb2

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
#: Exit codes of docs/reference/cli/index.md.
CONFLICT, UNAVAILABLE, SERVICE_LOST = 4, 6, 8
#: Seconds after which systemd or Kubernetes would end a server by force; ours must not need them.
GRACE = 30


@pytest.fixture
def make_server(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Make servers on one data folder, with the given fail points."""
    servers: list[Server] = []

    def make(failpoints: str = "", **options: object) -> Server:
        environment = {"TRUNKLINE_FAILPOINTS": failpoints}
        servers.append(Server(tmp_path / "data", environment=environment, **options))  # type: ignore[arg-type]
        return servers[-1]

    yield make
    for server in servers:
        server.close()


def refused(data: Path, *options: str, prefix: Sequence[str] = ()) -> tuple[int, str]:
    """Run a server that is to refuse to start; return its exit code and what it says."""
    serve = [sys.executable, "-m", "trunkline.cli", "serve", "--data", str(data), "--listen", "127.0.0.1:0"]
    command = [*prefix, *serve]
    done = subprocess.run([*command, *options], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    return done.returncode, done.stderr


def health(server: Server, name: str) -> int:
    with grpc.insecure_channel(server.address) as channel:
        check = channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
            response_deserializer=health_pb2.HealthCheckResponse.FromString,
        )
        return int(check(health_pb2.HealthCheckRequest(service=name)).status)


def test_the_health_service_shows_each_part_by_name_and_a_part_that_fails(
    make_server: Callable[..., Server], tmp_path: Path
) -> None:
    broken = tmp_path / "broken"
    server = make_server(f"controller.leases=raise@{broken}").start()
    names = [
        f"trunkline/{part}"
        for part in ("pipelines", "leases", "sweep", "crons", "process-fleet", "meta-write")
    ]
    before = [health(server, name) for name in names]

    broken.touch()
    until(lambda: health(server, "trunkline/leases") == NOT_SERVING, "the failure to show")
    broken.unlink()
    until(lambda: health(server, "trunkline/leases") == SERVING, "the recovery to show")

    assert before == [SERVING] * len(names)
    assert health(server, "") == SERVING


def test_a_server_that_loses_a_part_for_good_exits_with_a_code_of_its_own(
    make_server: Callable[..., Server], tmp_path: Path
) -> None:
    broken = tmp_path / "broken"
    server = make_server(f"meta.write=raise@{broken}").start()
    client = server.client()
    before = make_repo(client, "before")
    broken.touch()
    with contextlib.suppress(*BROKEN):
        while True:  # the write during which the thread fails is answered yet
            put(client, before, {"/a": b"1"})

    code = server.wait()
    broken.unlink()
    server.start()

    assert code == SERVICE_LOST
    assert "meta-write" in server.log.read_text()
    assert "before" in [info.repo.name for info in server.client().pfs.list_repo(type="user")]


@pytest.fixture
def computing(make_server: Callable[..., Server], tmp_path: Path) -> Server:
    """A server whose threads compute without end, as a huge plan does."""
    busy = tmp_path / "busy"
    server = make_server(f"plan=spin@{busy}").start()
    client = server.client()
    images = make_repo(client, "images")
    busy.touch()
    make_pipeline(client, "edges", "true", "images")
    put(client, images, {"/a": b"1"})
    starting = pps.JobState.JOB_STARTING
    until(lambda: any(job.state == starting for job in client.pps.list_job()), "the plan to begin")
    return server


def test_a_server_that_computes_ends_within_its_grace_when_it_is_told_to(computing: Server) -> None:
    assert computing.process is not None
    computing.process.terminate()

    assert computing.process.wait(GRACE) == 0


def test_a_second_signal_ends_the_server_at_once(computing: Server) -> None:
    assert computing.process is not None
    computing.process.terminate()
    until(lambda: health_is_gone(computing), "the first signal to be heard")

    computing.process.terminate()

    assert computing.process.wait(GRACE) == 128 + signal.SIGTERM


def health_is_gone(server: Server) -> bool:
    try:
        return health(server, "") != SERVING
    except grpc.RpcError:
        return True


def test_a_server_that_stops_while_workers_wait_for_work_logs_no_error(
    make_server: Callable[..., Server],
) -> None:
    server = make_server().start()
    client = server.client()
    images = make_repo(client, "images")
    spec = pps.ParallelismSpec(constant=2)
    edges = make_pipeline(client, "edges", "true", "images", autoscaling=False, parallelism_spec=spec)
    ended(client, edges, put(client, images, {"/a": b"1"}))

    code = server.terminate()

    assert code == 0
    assert "Traceback" not in server.log.read_text()
    assert "ERROR" not in server.log.read_text()


def test_data_is_readable_by_the_servers_user_alone(
    make_server: Callable[..., Server], tmp_path: Path
) -> None:
    (tmp_path / "data").mkdir(mode=0o755)
    server = make_server().start()
    put(server.client(), make_repo(server.client(), "images"), {"/large": os.urandom(1 << 20)})

    files = [path for path in (tmp_path / "data").rglob("*") if "scratch" not in path.parts]

    assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700
    assert any("packs" in path.parts for path in files)
    assert [path for path in files if path.stat().st_mode & 0o077] == []


def test_a_port_that_is_in_use_is_reported_in_one_line(
    make_server: Callable[..., Server], tmp_path: Path
) -> None:
    server = make_server()
    server.start()

    code, sentence = refused(tmp_path / "other", "--listen", server.address)

    assert code == UNAVAILABLE
    assert sentence.count("\n") == 1
    assert server.address in sentence


def test_a_folder_whose_lock_file_was_removed_is_still_locked(
    make_server: Callable[..., Server], tmp_path: Path
) -> None:
    make_server().start()
    (tmp_path / "data" / "lock").unlink()

    code, sentence = refused(tmp_path / "data")

    assert code == CONFLICT
    assert "in use by another server" in sentence


@pytest.fixture
def full(make_server: Callable[..., Server], tmp_path: Path) -> Path:
    """The data folder of a server that has stored something and stopped."""
    server = make_server().start()
    put(server.client(), make_repo(server.client(), "images"), {"/large": os.urandom(1 << 20)})
    assert server.terminate() == 0
    return tmp_path / "data"


@pytest.mark.parametrize("marked", [True, False], ids=["store with its mark", "store of an earlier version"])
def test_an_empty_database_beside_a_full_store_is_refused(full: Path, *, marked: bool) -> None:
    for file in full.glob("trunkline.db*"):
        file.unlink()
    if not marked:
        (full / "objects" / "installation").unlink()

    first, second = refused(full), refused(full)

    assert first[0] == second[0] == CONFLICT
    assert "is empty but the object store holds" in first[1]


def test_the_database_of_another_installation_is_refused(full: Path, tmp_path: Path) -> None:
    other = Server(tmp_path / "other").start()
    assert other.terminate() == 0
    for file in full.glob("trunkline.db*"):
        file.unlink()
    shutil.copy(tmp_path / "other" / "trunkline.db", full)

    code, sentence = refused(full)

    assert code == CONFLICT
    assert "belongs to installation" in sentence


@pytest.mark.parametrize("name", ["trunkline.db", "trunkline.db-wal", "fleet"])
def test_what_the_servers_user_may_not_write_is_named_and_works_again_when_it_may(
    full: Path, make_server: Callable[..., Server], name: str
) -> None:
    path = full / name
    if name == "trunkline.db-wal":
        path.touch()
    before = path.stat().st_mode & 0o777
    path.chmod(before & ~0o222)
    # root is given the rights of other users: without these capabilities permissions bind it
    prefix = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []

    code, sentence = refused(full, prefix=prefix)
    path.chmod(before)
    client = make_server().start().client()

    assert code == UNAVAILABLE
    assert str(path) in sentence
    assert sentence.count("\n") == 1
    put(client, pfs.Branch.from_uri("images@master"), {"/more": b"x"})


@pytest.mark.parametrize("fate", ["removed", "replaced"])
def test_a_server_whose_database_file_is_gone_ends_before_it_acknowledges_anything_more(
    make_server: Callable[..., Server], tmp_path: Path, fate: str
) -> None:
    server = make_server().start()
    client = server.client()
    make_repo(client, "images")
    file = tmp_path / "data" / "trunkline.db"
    backup = shutil.copy(file, tmp_path / "kept.db")
    if fate == "removed":
        file.unlink()
    else:
        os.replace(backup, file)

    with pytest.raises(grpc.RpcError) as failed:
        make_repo(client, "lost")
    code = server.wait()

    assert failed.value.code() is grpc.StatusCode.UNAVAILABLE
    assert code == UNAVAILABLE
    assert str(file) in server.log.read_text()
    assert "Traceback" not in server.log.read_text()
    assert file.exists() == (fate == "replaced")


@pytest.mark.parametrize("damage", ["cut in half", "overwritten"])
def test_a_damaged_database_file_is_named_in_one_sentence(full: Path, damage: str) -> None:
    file = full / "trunkline.db"
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2] if damage == "cut in half" else os.urandom(len(content)))

    code, sentence = refused(full)

    assert code != 0
    assert str(file) in sentence
    assert sentence.count("\n") == 1


def test_an_address_that_others_reach_is_refused_without_insecure_and_warned_of_with_it(
    make_server: Callable[..., Server], tmp_path: Path
) -> None:
    code, sentence = refused(tmp_path / "data", "--listen", "0.0.0.0:0")
    server = make_server(options=("--insecure",), listen="0.0.0.0:0").start()

    assert code == CONFLICT
    assert "--insecure" in sentence
    assert "--insecure" in server.log.read_text()
