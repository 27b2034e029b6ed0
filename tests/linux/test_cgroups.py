"""Control groups: in a folder that imitates them, and in the real hierarchy of this machine where it may be used."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from control_groups import new_group

from trunkline.linux import cgroups
from trunkline.linux.cgroups import LEAF, Delegation, MemoryGroup, NotDelegated

MOUNTS = """\
24 29 0:22 / /proc rw,nosuid shared:12 - proc proc rw
30 24 0:26 / /sys/fs/cgroup rw,nosuid,nodev,noexec shared:4 - cgroup2 cgroup2 rw,nsdelegate
"""
HYBRID = "30 24 0:26 / /sys/fs/cgroup/unified rw shared:4 - cgroup2 cgroup2 rw\n"
PART = "30 24 0:26 /docker/abc /sys/fs/cgroup\\040here rw - cgroup2 cgroup rw\n"


# finding the own group


@pytest.mark.parametrize(
    ("groups", "mounts", "folder"),
    [
        ("0::/system.slice/t.service\n", MOUNTS, "/sys/fs/cgroup/system.slice/t.service"),
        ("0::/\n", MOUNTS, "/sys/fs/cgroup"),
        ("4:memory:/elsewhere\n0::/here\n", HYBRID, "/sys/fs/cgroup/unified/here"),
        ("0::/docker/abc/inner\n", PART, "/sys/fs/cgroup here/inner"),
        ("0::/docker/abc\n", PART, "/sys/fs/cgroup here"),
    ],
)
def test_the_own_group_is_found_below_its_mount(groups, mounts, folder):
    assert cgroups.find_group(groups, mounts) == folder


@pytest.mark.parametrize(
    ("groups", "mounts"),
    [
        pytest.param("4:memory:/\n1:cpu:/\n", MOUNTS, id="version 1 alone"),
        pytest.param("0::/here\n", "24 29 0:22 / /proc rw - proc proc rw\n", id="not mounted"),
        pytest.param("0::/elsewhere\n", PART, id="another part is mounted"),
    ],
)
def test_a_group_that_cannot_be_reached_is_reported(groups, mounts):
    with pytest.raises(NotDelegated):
        cgroups.find_group(groups, mounts)


# a folder that imitates a group: files alone, no behaviour of the kernel


def imitate(folder: Path, controllers: str = "cpu memory pids", pids: str = "") -> Path:
    folder.mkdir(exist_ok=True)
    files = {
        "cgroup.controllers": controllers,
        "cgroup.procs": pids,
        "cgroup.subtree_control": "",
        "memory.max": "max",
        "memory.swap.max": "max",
        "memory.oom.group": "0",
        "memory.events": "low 0\nhigh 0\nmax 0\noom 0\noom_kill 3\noom_group_kill 1\n",
    }
    for name, text in files.items():
        (folder / name).write_text(text + "\n")
    return folder


@pytest.fixture
def own(tmp_path) -> Path:
    """This process's group, with room for its leaf and one more group."""
    folder = imitate(tmp_path / "own", pids=str(os.getpid()))
    imitate(folder / LEAF)
    imitate(folder / "commands")
    return folder


def test_the_process_moves_into_a_leaf_before_it_enables_the_controller(own):
    Delegation(str(own), "memory")

    assert (own / LEAF / "cgroup.procs").read_text() == str(os.getpid())
    assert (own / "cgroup.subtree_control").read_text() == "+memory"


def test_a_process_in_its_leaf_uses_the_group_above(own):
    (own / "cgroup.subtree_control").write_text("memory\n")

    delegation = Delegation(str(own / LEAF), "memory")

    assert delegation.folder == str(own)
    assert (own / LEAF / "cgroup.procs").read_text() == "\n"


def test_a_limit_kills_the_whole_group_and_allows_no_swap(own):
    group = Delegation(str(own), "memory").create("commands")

    cgroups.limit_memory(group, 64 << 20)

    names = ("memory.max", "memory.swap.max", "memory.oom.group")
    assert [Path(group, name).read_text() for name in names] == [str(64 << 20), "0", "1"]


def test_a_kernel_that_does_not_count_swap_limits_memory_alone(own):
    (own / "commands" / "memory.swap.max").unlink()

    cgroups.limit_memory(str(own / "commands"), 1 << 20)

    assert (own / "commands" / "memory.max").read_text() == str(1 << 20)
    assert not (own / "commands" / "memory.swap.max").exists()


def test_a_kill_for_lack_of_memory_is_reported_once(own):
    folder = own / "commands"
    with contextlib.closing(MemoryGroup(str(folder))) as group:
        before = group.has_killed()

        (folder / "memory.events").write_text("low 0\nhigh 0\nmax 9\noom 1\noom_kill 4\noom_group_kill 2\n")

        assert (before, group.has_killed(), group.has_killed()) == (False, True, False)


def test_a_group_without_the_controller_is_refused_with_those_that_it_has(tmp_path):
    folder = imitate(tmp_path / "own", controllers="hugetlb", pids=str(os.getpid()))

    with pytest.raises(NotDelegated, match="hugetlb"):
        Delegation(str(folder), "memory")

    assert not (folder / LEAF).exists()


def test_processes_that_others_started_are_not_moved(tmp_path):
    folder = imitate(tmp_path / "own", pids=f"{os.getpid()}\n{os.getppid()}")

    with pytest.raises(NotDelegated):
        Delegation(str(folder), "memory")

    assert not (folder / LEAF).exists()
    assert (folder / "cgroup.subtree_control").read_text() == "\n"


def test_a_group_that_may_not_be_written_is_refused(tmp_path):
    folder = imitate(tmp_path / "own", pids=str(os.getpid()))
    (folder / "cgroup.subtree_control").unlink()

    with pytest.raises(NotDelegated):
        Delegation(str(folder), "memory")

    assert not (folder / LEAF).exists()


@pytest.mark.parametrize("marked", [False, True])
def test_a_unit_of_systemd_is_used_only_if_it_is_delegated(tmp_path, marked):
    (tmp_path / "user@1000.service").mkdir()
    folder = imitate(tmp_path / "user@1000.service" / "trunkline.service", pids=str(os.getpid()))
    imitate(folder / LEAF)
    if marked:
        try:
            os.setxattr(folder, "user.delegate", b"1")
        except OSError as error:
            pytest.skip(f"this file system has no extended attributes: {error.strerror}")

    refusal = "" if marked else "systemd has not delegated"
    try:
        Delegation(str(folder), "memory")
        answer = ""
    except NotDelegated as error:
        answer = str(error)

    assert answer.startswith(refusal)
    assert bool(answer) is not marked


# the kernel's own


def run_in(group: Path, script: str) -> dict[str, object]:
    """Run a Python script as the only process of a group; return what it prints as JSON."""
    command = ["sh", "-c", f'echo 0 > {group}/cgroup.procs && exec "$@"', "-", sys.executable, "-c"]
    ran = subprocess.run(
        [*command, textwrap.dedent(script)], check=False, capture_output=True, text=True, timeout=60
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


DELEGATE = """
import json, os, subprocess, sys
from trunkline.linux import cgroups
from trunkline.linux.cgroups import Delegation, NotDelegated
own = cgroups.own_group()
controller = open(f"{own}/cgroup.controllers").read().split()[0]
def group_of(pid): return open(f"/proc/{pid}/cgroup").read().split("0::")[1].strip().rpartition("/")[2]
"""


def test_the_kernel_lets_a_process_delegate_create_and_remove_groups():
    script = """
    child = subprocess.Popen(["sleep", "60"])
    delegation = Delegation(own, controller)
    again = Delegation(cgroups.own_group(), controller)
    commands = delegation.create("commands")
    cgroups.remove(delegation.create("empty"))
    stray = subprocess.Popen(
        ["sh", "-c", f"mkdir {commands}/inner; echo 0 > {commands}/inner/cgroup.procs; echo in; exec sleep 60"],
        stdout=subprocess.PIPE,
    )
    stray.stdout.readline()
    facts = {
        "own": group_of(os.getpid()), "child": group_of(child.pid), "stray": group_of(stray.pid),
        "enabled": controller in open(f"{commands}/cgroup.controllers").read().split(),
        "same": again.folder == delegation.folder,
    }
    cgroups.remove(commands)
    cgroups.remove(commands)
    facts |= {"left": delegation.names(), "stray ended by": stray.wait()}
    child.kill()
    print(json.dumps(facts))
    """

    with new_group() as group:
        facts = run_in(group, DELEGATE + textwrap.dedent(script))

    assert facts == {
        "own": LEAF,
        "child": LEAF,
        "stray": "inner",
        "enabled": True,
        "same": True,
        "left": [],
        "stray ended by": -9,
    }


def test_the_kernel_shows_a_process_that_another_one_started():
    script = """
    try:
        Delegation(own, controller)
        refused = False
    except NotDelegated:
        refused = True
    print(json.dumps({"refused": refused, "groups": sum(e.is_dir() for e in os.scandir(own))}))
    """

    with new_group() as group:
        other = subprocess.Popen(
            ["sh", "-c", f"echo 0 > {group}/cgroup.procs; echo in; exec sleep 60"], stdout=-1
        )
        assert other.stdout is not None
        with other, other.stdout:
            other.stdout.readline()
            facts = run_in(group, DELEGATE + textwrap.dedent(script))
            other.kill()

    assert facts == {"refused": True, "groups": 0}


def test_the_kernel_kills_all_processes_of_a_group_beyond_its_limit():
    """Runs only where a memory controller of version 2 exists."""
    script = """
    import signal
    delegation = Delegation(own, "memory")
    folder = delegation.create("commands")
    cgroups.limit_memory(folder, 64 << 20)
    group = cgroups.MemoryGroup(folder)
    quiet = subprocess.Popen(["sleep", "60"], preexec_fn=group.join)
    before = group.has_killed()
    greedy = subprocess.run([sys.executable, "-c", "x = b'x' * (200 << 20)"], preexec_fn=group.join)
    facts = {"before": before, "killed": group.has_killed(), "greedy": greedy.returncode, "quiet": quiet.wait()}
    cgroups.remove(folder)
    print(json.dumps(facts))
    """

    with new_group("memory") as group:
        facts = run_in(group, DELEGATE + textwrap.dedent(script))

    assert facts == {"before": False, "killed": True, "greedy": -9, "quiet": -9}
