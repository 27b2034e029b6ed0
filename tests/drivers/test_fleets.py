"""The process fleet and image environments, with real worker processes and a real (local) package."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import textwrap
import threading
import time
import uuid
from pathlib import Path

import psutil
import pytest
from msgspec.structs import replace
from processes import WORKER_MODULES, command_of, is_running, is_template

from trunkline.drivers.fleets import process_launch, process_reaper
from trunkline.drivers.fleets.images import ImageEnvironments, ImageState
from trunkline.drivers.fleets.process import ProcessFleet
from trunkline.errors import InvalidArgument, Unavailable
from trunkline.model.spec import DEFAULT_IMAGE, PipelineSpec, Transform
from trunkline.model.workers import WorkerEnding, WorkerPhase, WorkerSpec
from trunkline.ports import ServerAddress
from trunkline.runtime import failpoints
from trunkline.worker.template import WORKER_NAME

sys.path.append(str(Path(__file__).parents[1] / "worker"))
from fake_server import FakeServer, assignment
from package_index import make_wheel

PENDING, RUNNING, GONE = WorkerPhase.PENDING, WorkerPhase.RUNNING, WorkerPhase.GONE
GIB = 1 << 30


@pytest.fixture
def server():
    server = FakeServer()
    server.retire_when_empty = False
    yield server
    server.close()


@pytest.fixture
def images(tmp_path):
    images = ImageEnvironments(tmp_path / "images")
    yield images
    images.close()


@pytest.fixture
def fleet(server, images, tmp_path):
    fleet = ProcessFleet(ServerAddress(server.address), tmp_path / "fleet", images, capacity=20 * GIB)
    yield fleet
    fleet.close(0.0)


def spec(number: int, memory: int = 0, image: str = "") -> WorkerSpec:
    return WorkerSpec(
        worker_id=f"{number:032x}",
        token="t",
        project="default",
        pipeline="edges",
        version=1,
        pipeline_spec=PipelineSpec(transform=Transform(image=image)),
        memory=memory,
    )


@pytest.mark.parametrize(("image", "name"), [(DEFAULT_IMAGE, ""), ("acme/tools", "acme/tools")])
def test_a_worker_says_nothing_of_an_image_that_no_spec_names(image, name, tmp_path):
    variables = process_launch.environment(
        ServerAddress("127.0.0.1:1"), spec(1, image=image), None, tmp_path, []
    )

    assert variables["TRUNKLINE_IMAGE"] == name


def sighting(fleet: ProcessFleet, number: int) -> tuple[WorkerPhase, str] | None:
    for each in fleet.observe():
        if each.worker_id == f"{number:032x}":
            return each.phase, each.reason
    return None


def wait_until(condition, seconds: float = 60.0) -> None:
    """Poll: a fleet is observed, it does not call back."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not reached within {seconds} s"
        threading.Event().wait(0.01)


# the fleet


def test_a_worker_is_pending_then_running_then_gone(server, fleet, tmp_path):
    server.retire_when_empty = True

    fleet.start(spec(1))

    wait_until(lambda: sighting(fleet, 1) == (GONE, "ended as asked"))
    assert len(server.registered) == 1
    wait_until(lambda: not list((tmp_path / "fleet" / "scratch").iterdir()))
    assert list((tmp_path / "fleet" / "logs").iterdir()) == []


def test_later_workers_are_copies_of_a_template_whose_end_ends_no_worker(server, fleet):
    us = psutil.Process()
    fleet.start(spec(1))
    server.wait_until(lambda: server.claims == 1)
    count = itertools.count(2)

    def is_copied() -> bool:
        """Start a worker, and return whether it is a copy; the template needs a moment to be ready."""
        number = next(count)
        fleet.start(spec(number))
        server.wait_until(lambda: server.claims == number)
        return any(child.name() == WORKER_NAME for child in us.children())

    wait_until(is_copied)
    [template] = [child for child in us.children() if is_template(child)]
    template.kill()
    wait_until(lambda: template.status() == psutil.STATUS_ZOMBIE)
    is_copied()

    assert {each.phase for each in fleet.observe()} == {RUNNING}
    fleet.close(5.0)
    assert [child for child in us.children() if WORKER_MODULES & set(command_of(child))] == []


def test_starting_a_worker_twice_starts_it_once(server, fleet):
    fleet.start(spec(1))
    fleet.start(spec(1))

    server.wait_until(lambda: server.claims == 1)

    assert [each.phase for each in fleet.observe()] == [RUNNING]


def test_a_worker_that_does_not_fit_waits_and_says_for_what(server, fleet):
    for number in range(4):
        fleet.start(spec(number, 4 * GIB))
    server.wait_until(lambda: server.claims == 4)

    fleet.start(spec(4, 5 * GIB))
    fleet.start(spec(5, GIB))

    wait_until(lambda: sighting(fleet, 5) != (PENDING, "its process is about to be started"))
    reason = "waits for 5.0 GiB of memory: 16.0 GiB of 20.0 GiB are taken by 4 workers"
    assert sighting(fleet, 4) == (PENDING, reason)
    assert sighting(fleet, 5) == (PENDING, f"waits behind worker 00000000, which {reason}")


def test_waiting_workers_start_when_there_is_room_again(server, fleet):
    fleet.start(spec(1, 20 * GIB))
    fleet.start(spec(2, 20 * GIB))
    server.wait_until(lambda: server.claims == 1)

    fleet.stop(f"{1:032x}", grace=10)

    wait_until(lambda: sighting(fleet, 2) == (RUNNING, ""))


def test_a_worker_that_can_never_fit_is_refused(fleet):
    with pytest.raises(
        InvalidArgument, match=r"asks for 21.0 GiB of memory and this server gives 20.0 GiB to all"
    ):
        fleet.start(spec(1, 21 * GIB))


def test_an_idle_worker_that_is_stopped_goes_at_once_and_is_then_forgotten(server, fleet):
    fleet.start(spec(1))
    server.wait_until(lambda: server.claims == 1)

    fleet.stop(f"{1:032x}", grace=30)

    wait_until(lambda: sighting(fleet, 1) == (GONE, "ended as asked"))
    assert [each.ending for each in fleet.observe()] == [WorkerEnding.STOPPED]
    fleet.stop(f"{1:032x}", grace=0)
    assert fleet.observe() == []


def test_a_worker_that_does_not_go_in_time_is_ended_with_its_command(server, fleet):
    mark = f"sleep 1000.{uuid.uuid4().int}"
    assignment(server, {"in": {"/f": b""}}, ["sh", "-c", f"setsid {mark} & {mark}"])
    fleet.start(spec(1))
    wait_until(lambda: is_running(mark))

    fleet.stop(f"{1:032x}", grace=0.1)

    wait_until(lambda: sighting(fleet, 1) == (GONE, "was ended by force: it did not go in time"))
    wait_until(lambda: not is_running(mark))  # the kernel ends the command of a worker that it has killed


def test_a_stranger_in_a_namespace_of_the_same_number_is_left_alone(tmp_path):
    """The kernel gives the number of a namespace that is gone to the next one."""
    scratch = tmp_path / f"{1:032x}"
    scratch.mkdir()
    become_other = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--mount"]
    with subprocess.Popen([*become_other, "cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as stranger:
        stranger.stdin.write(b"ready\n")
        stranger.stdin.flush()
        if stranger.stdout.readline() != b"ready\n":
            pytest.skip("namespaces are forbidden here")
        (scratch / "namespace").write_text(os.readlink(f"/proc/{stranger.pid}/ns/mnt"))

        process_reaper.kill_namespace(scratch)

        answer, _ = stranger.communicate(b"alive\n", timeout=30)
    assert answer == b"alive\n"


def test_what_a_killed_worker_leaves_running_is_ended(server, fleet, tmp_path):
    """As the kernel does when memory runs out: the worker has no chance to tidy up."""
    mark = f"sleep 1000.{uuid.uuid4().int}"
    assignment(server, {"in": {"/f": b""}}, ["sh", "-c", f"setsid {mark} & {mark}"])
    fleet.start(spec(1))
    wait_until(lambda: is_running(mark))

    os.kill(server.registered[0], 9)

    wait_until(lambda: (sighting(fleet, 1) or (None,))[0] is GONE)
    assert sighting(fleet, 1)[1].startswith("was killed by SIGKILL (out of memory?)")
    assert [each.ending for each in fleet.observe()] == [WorkerEnding.CRASHED]
    wait_until(lambda: not is_running(mark))
    wait_until(lambda: not list((tmp_path / "fleet" / "scratch").iterdir()))


def test_a_worker_that_fails_leaves_its_last_words(server, fleet, tmp_path):
    server.knows_worker = False

    fleet.start(spec(1))

    words = "ended with exit code 1; the last line of its output: worker: the server does not know this worker any more"
    wait_until(lambda: sighting(fleet, 1)[0] is GONE)
    assert sighting(fleet, 1)[1] == words
    assert len(list((tmp_path / "fleet" / "logs").iterdir())) == 1


def test_a_closed_fleet_has_no_workers_and_takes_none(server, fleet):
    fleet.start(spec(1))
    server.wait_until(lambda: server.claims == 1)

    fleet.close(0.0)

    assert not os.path.exists(f"/proc/{server.registered[0]}")
    with pytest.raises(Unavailable, match="shutting down"):
        fleet.start(spec(2))


def test_workers_end_with_the_server_and_the_next_one_cleans_up(server, images, tmp_path):
    mark = f"sleep 1000.{uuid.uuid4().int}"
    assignment(server, {"in": {"/f": b""}}, ["sh", "-c", f"setsid {mark} & {mark}"])
    script = textwrap.dedent(f"""
        import sys
        from trunkline.drivers.fleets.images import ImageEnvironments
        from trunkline.drivers.fleets.process import ProcessFleet
        from trunkline.ports import ServerAddress
        from trunkline.model.spec import PipelineSpec
        from trunkline.model.workers import WorkerSpec
        images = ImageEnvironments({str(tmp_path / "i")!r})
        fleet = ProcessFleet(ServerAddress({server.address!r}), {str(tmp_path / "fleet")!r}, images)
        fleet.start(WorkerSpec(worker_id="1" * 32, token="t", project="p", pipeline="q", version=1,
            pipeline_spec=PipelineSpec(), memory=0))
        sys.stdin.read()
    """)
    crashing = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE)
    wait_until(lambda: is_running(mark))

    crashing.kill()
    crashing.communicate()
    wait_until(lambda: not os.path.exists(f"/proc/{server.registered[0]}") and not is_running(mark))
    next_fleet = ProcessFleet(ServerAddress(server.address), tmp_path / "fleet", images)

    assert next_fleet.observe() == []
    next_fleet.close(0.0)
    wait_until(lambda: not list((tmp_path / "fleet" / "scratch").iterdir()))


# image environments


def test_what_an_earlier_server_left_and_cannot_be_removed_does_not_stop_a_start(
    server, images, tmp_path, caplog
):
    if os.geteuid() != 0:
        pytest.skip("only root can make a mount that resists")
    stuck = tmp_path / "fleet" / "scratch" / f"{1:032x}" / "mounted"
    stuck.mkdir(parents=True)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "x", stuck], check=False)
    if mounted.returncode:
        pytest.skip("this machine allows no mounts")
    try:
        fleet = ProcessFleet(ServerAddress(server.address), tmp_path / "fleet", images, capacity=20 * GIB)
        fleet.start(spec(1))
        wait_until(lambda: sighting(fleet, 1) == (RUNNING, ""))
        fleet.close(0.0)
    finally:
        for leftover in (tmp_path / "fleet" / "scratch").rglob("mounted"):
            subprocess.run(["umount", leftover], check=True)

    assert [leftover.name for leftover in (tmp_path / "fleet" / "scratch").iterdir()] == [
        f"abandoned-{1:032x}"
    ]
    assert f"abandoned-{1:032x}" in caplog.text


def test_a_deep_tree_that_a_worker_left_is_removed(server, images, tmp_path):
    leftover = tmp_path / "fleet" / "scratch" / f"{1:032x}"
    leftover.mkdir(parents=True)
    parent = os.open(leftover, os.O_RDONLY)
    for _ in range(1_500):
        os.mkdir("deep", dir_fd=parent)
        inner = os.open("deep", os.O_RDONLY, dir_fd=parent)
        os.close(parent)
        parent = inner
    os.close(parent)

    fleet = ProcessFleet(ServerAddress(server.address), tmp_path / "fleet", images, capacity=20 * GIB)
    fleet.close(0.0)

    wait_until(lambda: not list((tmp_path / "fleet" / "scratch").iterdir()))


def test_nobody_else_may_enter_the_folders_of_the_fleet(server, fleet, tmp_path):
    fleet.start(spec(1))
    wait_until(lambda: sighting(fleet, 1) == (RUNNING, ""))

    folders = (
        tmp_path / "fleet" / "scratch",
        tmp_path / "fleet" / "logs",
        *(tmp_path / "fleet" / "scratch").iterdir(),
    )
    logs = (tmp_path / "fleet" / "logs").iterdir()

    assert {path.stat().st_mode & 0o077 for path in (*folders, *logs)} == {0}


def test_the_environment_of_a_worker_does_not_hold_its_token(server, fleet, tmp_path):
    fleet.start(replace(spec(1), token="hush-hush-token"))
    server.wait_until(lambda: server.registered)

    environment = Path(f"/proc/{server.registered[0]}/environ").read_bytes()

    assert b"hush-hush-token" not in environment
    assert server.metadata[0]["worker-token"] == "hush-hush-token"


def test_a_command_runs_with_the_packages_and_files_of_its_image(server, fleet, images, index):
    server.retire_when_empty = True
    images.create("my/image", "hello==1.0\n", [("/greet.sh", b'hello > "$PFS_ROOT/out/greeting"', 0o644)])
    script = 'sh /greet.sh && python3 -c "import hello; hello.main()"'
    assignment(server, {"in": {"/f": b""}}, ["sh", "-c", script])

    fleet.start(spec(1, image="my/image"))

    wait_until(lambda: (sighting(fleet, 1) or (None,))[0] is GONE)
    assert server.outputs() == {(0, "/greeting"): b"hello from the image\n"}
    assert server.log() == [b"hello from the image"]
    assert server.log(system=True) == []


def test_a_worker_waits_while_its_image_is_built_and_lets_others_pass(server, fleet, images, index):
    index.held.clear()
    images.create("slow", "hello\n", [])
    fleet.start(spec(1, image="slow"))
    fleet.start(spec(2))

    server.wait_until(lambda: server.claims == 1)

    assert sighting(fleet, 1) == (PENDING, 'waits for image "slow" to be built')
    assert sighting(fleet, 2) == (RUNNING, "")
    index.held.set()
    wait_until(lambda: sighting(fleet, 1) == (RUNNING, ""))


def test_a_failed_build_gives_its_reason_and_can_be_tried_again(server, fleet, images, index):
    index.packages.clear()
    images.create("broken", "hello\n", [])
    fleet.start(spec(1, image="broken"))

    wait_until(lambda: (sighting(fleet, 1) or (None,))[0] is GONE)
    image = images.wait("broken", 30)

    assert image.state is ImageState.FAILED
    assert "No matching distribution" in image.reason
    assert sighting(fleet, 1)[1].startswith('image "broken" could not be built: exit code 1: ')
    index.packages["hello-1.0-py3-none-any.whl"] = make_wheel()
    assert images.create("broken", "hello\n", []).state is ImageState.BUILDING
    assert images.wait("broken", 60).state is ImageState.READY


@pytest.mark.parametrize("place", ["process-fleet.loop", "process-fleet.tidy"])
def test_an_error_in_the_fleets_thread_does_not_stop_later_workers(fleet, server, place):
    with failpoints.armed(place, failpoints.failing(2)):
        for number in (1, 2):
            fleet.start(spec(number))
            wait_until(lambda number=number: sighting(fleet, number) == (RUNNING, ""))
            fleet.stop(f"{number:032x}", 0.0)
            wait_until(lambda number=number: sighting(fleet, number)[0] is GONE)


def test_an_image_that_cannot_be_looked_up_ends_its_worker_and_no_other(fleet, monkeypatch, images):
    unreadable = images.resolve

    def resolve(name: str):
        if name == "bad":
            raise OSError("file name too long")
        return unreadable(name)

    monkeypatch.setattr(images, "resolve", resolve)

    fleet.start(spec(1, image="bad"))
    fleet.start(spec(2))

    wait_until(lambda: sighting(fleet, 2) == (RUNNING, ""))
    phase, reason = sighting(fleet, 1)
    assert phase is GONE
    assert "file name too long" in reason


def test_a_fleet_starts_although_an_earlier_one_left_what_it_cannot_remove(server, images, tmp_path):
    leftover = tmp_path / "fleet" / "scratch" / "left"
    leftover.mkdir(parents=True)
    with failpoints.armed("process-fleet.tidy", failpoints.failing()):
        fleet = ProcessFleet(ServerAddress(server.address), tmp_path / "fleet", images, capacity=20 * GIB)
        wait_until(leftover.with_name("abandoned-left").exists)

    fleet.start(spec(1))

    wait_until(lambda: sighting(fleet, 1) == (RUNNING, ""))
    fleet.close(0.0)


def test_a_tree_that_takes_long_to_remove_delays_no_worker(server, images, tmp_path):
    leftover = tmp_path / "fleet" / "scratch" / "left"
    leftover.mkdir(parents=True)
    removing = threading.Event()
    with failpoints.armed("process-fleet.tidy", lambda: removing.wait(60)):
        fleet = ProcessFleet(ServerAddress(server.address), tmp_path / "fleet", images, capacity=20 * GIB)
        fleet.start(spec(1))
        wait_until(lambda: sighting(fleet, 1) == (RUNNING, ""))
        fleet.stop(f"{1:032x}", 0.0)
        wait_until(lambda: sighting(fleet, 1)[0] is GONE)
        remaining = leftover.exists()
        removing.set()
        fleet.close(0.0)

    assert remaining
    wait_until(lambda: not list((tmp_path / "fleet" / "scratch").iterdir()))
