"""What a command must not see or do: the server's folder, the worker, other processes, devices, privileges."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from fake_server import assignment
from worker_processes import NOBODY

from trunkline.rpc.gen import worker_api_pb2 as pb

if TYPE_CHECKING:
    from pathlib import Path

SUCCESS, FAILED = pb.DatumResult.SUCCESS, pb.DatumResult.FAILED
BOTH_USERS = pytest.mark.parametrize("world", ["own user", "ordinary user"])


def sh(script: str) -> list[str]:
    return ["sh", "-c", script]


def report(server, workers, script: str, **command) -> list[str]:
    """Run the script and return the lines that it wrote to $PFS_ROOT/out/report."""
    assignment(
        server, {"in": {"/f": b""}}, sh(f'exec > "$PFS_ROOT/out/report" 2>&1\n{script}\ntrue'), **command
    )
    workers.run()
    assert [result.reason for result in server.results()] == [""]
    return server.outputs()[0, "/report"].decode().splitlines()


def hide_data(workers, folder: Path) -> Path:
    """Make the server's folder around the worker's scratch, with a secret in it."""
    secret = folder / "objects" / "secret"
    secret.parent.mkdir()
    secret.write_text("canary")
    for path in (folder, secret.parent, secret):
        os.chown(path, workers.user, -1)
    workers.extra["TRUNKLINE_HIDDEN"] = str(folder)
    return secret


@BOTH_USERS
def test_a_command_sees_nothing_of_the_servers_folder_but_its_own_temporary_files(
    server, make_workers, world, open_folder
):
    workers = make_workers(world)
    secret = hide_data(workers, open_folder)
    root = str(open_folder)
    script = (
        f"cat {secret}; grep -rc canary {root} | grep -v ':0'; umount {root} && echo uncovered; "
        f"touch {root}/planted && echo planted; echo own > $TMPDIR/x && cat $TMPDIR/x; "
        f"unshare -Urm sh -c 'umount {root}; cat {secret}'"
    )

    lines = report(server, workers, script)

    assert "own" in lines
    assert not {"canary", "uncovered", "planted"} & set(lines)
    assert secret.read_text() == "canary"


@BOTH_USERS
def test_an_image_stays_readable_although_it_lies_in_the_servers_folder(
    server, make_workers, world, open_folder
):
    workers = make_workers(world)
    hide_data(workers, open_folder)
    tool = open_folder / "images" / "venv" / "tool"
    tool.parent.mkdir(parents=True)
    tool.write_text("tool of the image")
    workers.extra["TRUNKLINE_READABLE"] = str(tool.parent)

    lines = report(server, workers, f"cat {tool}; echo; echo x > {tool} || echo refused")

    assert lines[0] == "tool of the image"
    assert lines[-1] == "refused"
    assert tool.read_text() == "tool of the image"


@BOTH_USERS
def test_a_command_sees_no_processes_but_its_own_and_cannot_stop_its_worker(server, make_workers, world):
    server_pid = os.getpid()
    script = f"""
    echo parent $PPID
    ls /proc | grep -c '^[0-9]'
    kill -0 {server_pid} && echo signals-the-server
    cat /proc/$PPID/environ > /dev/null && echo reads-the-worker
    echo x > /proc/$PPID/fd/2 && echo writes-the-workers-log
    ls /proc/$PPID/cwd/ && echo sees-other-datums
    kill -9 $PPID; kill -STOP $PPID
    """

    lines = report(server, make_workers(world), script)

    assert lines[0] == "parent 1"
    assert int(lines[1]) <= 5  # the worker, the shell, ls and grep
    assert not {
        "signals-the-server",
        "reads-the-worker",
        "writes-the-workers-log",
        "sees-other-datums",
    } & set(lines)


@BOTH_USERS
def test_commands_have_a_private_dev_with_harmless_devices(server, make_workers, world):
    script = (
        "ls /dev; echo x > /dev/null; head -c 3 /dev/zero | wc -c; echo shared > /dev/shm/x && cat /dev/shm/x"
    )

    lines = report(server, make_workers(world), script)

    *devices, count, shared = lines
    assert {"null", "zero", "random", "urandom", "fd", "stdin", "shm"} <= set(devices)
    assert set(devices) <= {
        *("null", "zero", "full", "random", "urandom", "tty", "fd", "stdin", "stdout", "stderr"),
        *("shm", "pts", "ptmx", "dri", "kfd"),
        *(name for name in devices if name.startswith(("nvidia", "accel"))),
    }
    assert (count, shared) == ("3", "shared")


@BOTH_USERS
def test_commands_cannot_mount_trace_or_make_devices_even_as_root(server, make_workers, world):
    script = """
    grep NoNewPrivs /proc/self/status
    umount -l /pfs && echo unmounted
    mount -t tmpfs x /pfs/out && echo mounted
    mknod $TMPDIR/device c 1 1 && echo device
    grep CapBnd /proc/self/status
    grep CapEff /proc/self/status
    """

    lines = report(server, make_workers(world), script)

    status = dict(line.split(":\t") for line in lines if ":\t" in line)
    assert not {"unmounted", "mounted", "device"} & set(lines)
    assert status["NoNewPrivs"] == "1"
    # SYS_ADMIN, SYS_PTRACE, DAC_READ_SEARCH, MKNOD, SYS_MODULE
    forbidden = sum(1 << number for number in (21, 19, 2, 27, 16))
    assert int(status["CapEff"], 16) & forbidden == 0
    assert int(status["CapBnd"], 16) & forbidden == 0


def test_a_worker_is_told_its_token_by_standard_input(server, workers):
    workers.token_by_pipe = True

    lines = report(server, workers, "cat; tr '\\0' '\\n' < /proc/self/environ | grep -ci token")

    assert lines == ["0"]
    assert server.metadata[0]["worker-token"] == "hush-hush"


@pytest.fixture
def secret_of_root(open_folder):
    """A file and a folder that only root may read, where any user may come by."""
    if os.geteuid() != 0:
        pytest.skip("only root has something to hide from a guest")
    folder = open_folder / "root-only"
    folder.mkdir(mode=0o700)
    (folder / "secret").write_text("canary")
    (folder / "secret").chmod(0o600)
    return folder / "secret"


@pytest.mark.parametrize("world", ["own user", "no namespaces"])
@pytest.mark.parametrize("target", ["{secret}", "{folder}", "/proc/self/environ", "/proc/{server}/environ"])
def test_a_link_is_followed_with_the_permissions_of_the_commands_user(
    server, make_workers, world, secret_of_root, target, open_folder
):
    workers = make_workers(world)
    workers.extra["TRUNKLINE_OPEN_SCRATCH"] = str(open_folder / "open")
    target = target.format(secret=secret_of_root, folder=secret_of_root.parent, server=os.getpid())
    assignment(server, {"in": {"/f": b""}}, sh(f'ln -s {target} "$PFS_ROOT/out/link"'), user=str(NOBODY))

    workers.run()

    assert [result.state for result in server.results()] == [FAILED]
    assert server.outputs() == {}


@pytest.mark.parametrize(
    "target",
    [
        "/proc/self/environ",
        "/proc/self/fd/2",
        "/proc/1/environ",
        "/proc/self/root/etc",
        "/proc/self/cwd/stage-1",
    ],
)
def test_a_link_into_proc_does_not_show_the_worker(server, workers, target):
    assignment(server, {"in": {"/f": b""}}, sh(f"ln -s {target} /pfs/out/link"))

    workers.run()

    assert [result.state for result in server.results()] == [FAILED]
    assert "which cannot be followed" in server.results()[0].reason


@pytest.mark.parametrize("world", ["own user", "no namespaces"])
def test_what_another_user_writes_is_handed_in_also_when_it_is_large(
    server, make_workers, world, open_folder
):
    if os.geteuid() != 0:
        pytest.skip("only root may run commands as another user")
    workers = make_workers(world)
    workers.extra["TRUNKLINE_OPEN_SCRATCH"] = str(open_folder / "open")
    script = (
        'cd "$PFS_ROOT/out"; id -u > id; cat $in > copy; head -c 5000000 /dev/zero > large; '
        "echo own > $TMPDIR/own; ln -s $TMPDIR/own link"
    )
    assignment(server, {"in": {"/f": b"input"}}, sh(script), user=str(NOBODY))

    workers.run()

    outputs = server.outputs()
    assert [result.reason for result in server.results()] == [""]
    assert outputs[0, "/id"] == str(NOBODY).encode() + b"\n"
    assert (outputs[0, "/copy"], outputs[0, "/link"]) == (b"input", b"own\n")
    assert len(outputs[0, "/large"]) == 5_000_000
