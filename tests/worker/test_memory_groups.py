"""A worker with a control group for its commands."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from control_groups import new_group
from fake_server import assignment
from worker_processes import NOBODY

from trunkline.linux import cgroups
from trunkline.rpc.gen import worker_api_pb2 as pb

if TYPE_CHECKING:
    from pathlib import Path

SUCCESS, FAILED = pb.DatumResult.SUCCESS, pb.DatumResult.FAILED
LIMIT = 100 << 20
GREEDY = [sys.executable, "-c", f"x = b'x' * {3 * LIMIT}"]


def use(workers, group: Path) -> None:
    """Give the workers a group, as the fleet does."""
    workers.extra |= {"TRUNKLINE_MEMORY_LIMIT": str(LIMIT), "TRUNKLINE_COMMAND_GROUP": str(group)}


def run(server, workers, script: str, **command):
    assignment(server, {"in": {"/f": b""}}, ["sh", "-c", script], **command)
    workers.run()
    [result] = server.results()
    return result


@pytest.fixture
def imitation(open_folder) -> Path:
    """The files of a group, without the kernel's behaviour."""
    folder = open_folder / "group"
    folder.mkdir()
    (folder / "cgroup.procs").write_text("")
    (folder / "memory.events").write_text("oom 7\noom_kill 7\n")
    return folder


def test_each_command_joins_the_group_before_its_program_runs(server, make_workers, imitation):
    workers = make_workers("no namespaces")
    use(workers, imitation)

    result = run(server, workers, f'cat {imitation}/cgroup.procs > "$PFS_ROOT/out/procs"')

    assert result.state == SUCCESS
    assert server.outputs()[0, "/procs"] == b"0"


def test_a_kill_by_the_kernel_for_lack_of_memory_has_the_reason_that_polling_gives(
    server, make_workers, imitation
):
    workers = make_workers("no namespaces")
    use(workers, imitation)

    result = run(server, workers, f"echo oom_kill 8 > {imitation}/memory.events; kill -KILL $$")

    assert result.state == FAILED
    assert "ran out of memory" in result.reason
    assert "its limit was 100 MiB" in result.reason


def test_another_kill_is_not_taken_for_a_lack_of_memory(server, make_workers, imitation):
    workers = make_workers("no namespaces")
    use(workers, imitation)

    result = run(server, workers, "kill -KILL $$")

    assert result.state == FAILED
    assert "SIGKILL" in result.reason
    assert "memory" not in result.reason


def test_a_command_that_cannot_be_started_in_a_group_has_the_usual_reason(server, make_workers, imitation):
    workers = make_workers("no namespaces")
    use(workers, imitation)
    assignment(server, {"in": {"/f": b""}}, ["no-such-program"])

    workers.run()

    [result] = server.results()
    assert "was not found" in result.reason


def test_a_worker_whose_group_is_gone_polls(server, make_workers, open_folder):
    workers = make_workers("no namespaces")
    use(workers, open_folder / "removed")
    code = "import time\nx = []\nwhile True: x.append(bytearray(20 << 20)); time.sleep(0.02)"
    assignment(server, {"in": {"/f": b""}}, [sys.executable, "-c", code])

    workers.run()

    [result] = server.results()
    assert "ran out of memory" in result.reason


def test_a_command_cannot_leave_its_group_even_as_root(server, workers):
    with new_group() as group:
        use(workers, group)
        script = f"""
        for folder in {group} {group.parent}; do echo 0 > $folder/cgroup.procs && echo left; done
        mkdir {group}/inner && echo made
        mount -o remount,rw {group.parent} && echo remounted
        """

        result = run(server, workers, f'exec > "$PFS_ROOT/out/report"\n{script}\ntrue')

    assert result.reason == ""
    assert server.outputs()[0, "/report"] == b""


# where a memory controller of version 2 exists


@pytest.fixture
def limited(workers):
    with new_group("memory") as group:
        cgroups.limit_memory(str(group), LIMIT)
        use(workers, group)
        yield group


def test_the_kernel_ends_a_command_that_takes_more_memory_than_its_limit(server, workers, limited):
    assignment(server, {"in": {"/1": b"", "/2": b""}}, GREEDY)

    workers.run()

    reasons = [result.reason for result in server.results()]
    assert len(reasons) == 2
    assert all("its limit was 100 MiB" in reason for reason in reasons)


def test_the_kernel_ends_what_a_command_of_another_user_starts(server, workers, limited, ordinary_user):
    script = f"(head -c {3 * LIMIT} /dev/zero | tail) & sleep 60 & wait"  # tail holds a line in memory

    result = run(server, workers, script, user=str(NOBODY))

    assert "its limit was 100 MiB" in result.reason


def test_a_command_within_its_limit_succeeds_in_its_group(server, workers, limited):
    result = run(server, workers, 'grep -o "[^/]*$" /proc/self/cgroup > "$PFS_ROOT/out/group"')

    assert result.reason == ""
    assert server.outputs()[0, "/group"].decode().split() == [limited.name]
