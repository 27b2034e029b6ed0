"""The process fleet with containers keeps the promises of all fleets, on a real engine."""

from __future__ import annotations

import os
import shutil
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import podman
import pytest
from fake_server import FakeServer
from fleet_contract import FleetContract, is_away, phase, run, sighting, wait_until

from trunkline.drivers.fleets.containers.containers import Containers
from trunkline.drivers.fleets.containers.engine import Engine, device_request, find_engine
from trunkline.drivers.fleets.images import ImageEnvironments
from trunkline.drivers.fleets.process import ProcessFleet
from trunkline.errors import FailedPrecondition, InvalidArgument, Unavailable
from trunkline.model.field_support import Treatment, Unsupported
from trunkline.model.spec import DEFAULT_IMAGE, PipelineSpec, SecretMount, Transform
from trunkline.model.workers import WorkerEnding, WorkerPhase, WorkerSpec
from trunkline.ports import ServerAddress

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trunkline.ports import Fleet

CLUSTER = "c1"
#: The library leaves a socket open when a connection fails.
pytestmark = pytest.mark.filterwarnings(
    "ignore:Exception ignored in. <socket.socket:pytest.PytestUnraisableExceptionWarning"
)


def new_spec(image: str = podman.BUSYBOX, **transform: Any) -> WorkerSpec:
    return WorkerSpec(
        worker_id=uuid.uuid4().hex,
        token="t",
        project="default",
        pipeline="edges",
        version=1,
        pipeline_spec=PipelineSpec(transform=Transform(image=image, **transform)),
        memory=1 << 20,
    )


@dataclass
class InContainers:
    fleet: Fleet
    server: FakeServer
    engine: podman.Podman

    def spec(self) -> WorkerSpec:
        return new_spec()

    def let_run(self, spec: WorkerSpec) -> None: ...

    def let_go(self) -> None: ...

    def end(self, spec: WorkerSpec) -> None:  # noqa: ARG002 - the newest
        self.server.wait_until(lambda: self.server.registered)
        os.kill(self.server.registered[-1], 9)


def containers(engine: podman.Podman) -> Containers:
    return Containers(engine.engine(), engine.launcher, CLUSTER, "containers", None)


@pytest.fixture
def subject(engine: podman.Podman, tmp_path: Path) -> Iterator[InContainers]:
    server = FakeServer()
    server.retire_when_empty = False
    images = ImageEnvironments(tmp_path / "images")
    fleet = ProcessFleet(
        ServerAddress(server.address), tmp_path / "fleet", images, containers=containers(engine)
    )
    yield InContainers(fleet, server, engine)
    fleet.close(0.0)
    images.close()
    server.close()
    assert engine.containers() == []


class TestContainers(FleetContract):
    pass


def test_folders_of_secrets_are_in_memory_and_go_with_the_container(subject):
    spec = new_spec(secrets=(SecretMount(name="db", mount_path="/secrets/db"),))
    folder = Path("/dev/shm") / f"trunkline-secrets-{CLUSTER}-{spec.worker_id}"

    subject.fleet.start(spec)
    wait_until(lambda: phase(subject.fleet, spec) is WorkerPhase.RUNNING)
    mode = folder.stat().st_mode & 0o777
    subject.fleet.stop(spec.worker_id, 0.0)
    wait_until(lambda: is_away(subject, spec))

    assert mode == 0o700
    assert not folder.exists()


def test_folders_of_secrets_of_a_killed_server_are_removed_by_the_next_one(engine):
    leftover = Path("/dev/shm") / f"trunkline-secrets-{CLUSTER}-w1"
    stranger = Path("/dev/shm") / "trunkline-secrets-other-w1"
    for folder in (leftover, stranger):
        (folder / "0").mkdir(parents=True)

    containers(engine).close()

    assert not leftover.exists()
    assert stranger.exists()
    shutil.rmtree(stranger)


def test_an_engine_that_gives_no_devices_refuses_gpus_with_its_version(engine):
    connection = engine.engine()
    lack = connection.lacks_devices
    chosen = Containers(connection, engine.launcher, CLUSTER, "containers", None)

    unsupported = chosen.unsupported

    chosen.close()
    refused = [name for name, each in unsupported.items() if each.treatment is Treatment.REFUSE]
    assert refused == (["resource_requests.gpu", "resource_limits.gpu"] if lack else [])
    assert lack in unsupported.get("resource_limits.gpu", Unsupported(Treatment.REFUSE, "")).why


@pytest.mark.parametrize(
    ("kind", "podman", "fields"),
    [
        ("nvidia.com/gpu", False, {"Driver": "", "Count": 2, "DeviceIDs": [], "Capabilities": [["gpu"]]}),
        ("nvidia.com/gpu", True, {"Driver": "cdi", "DeviceIDs": ["nvidia.com/gpu=0", "nvidia.com/gpu=1"]}),
        ("amd.com/gpu", False, {"Driver": "cdi", "DeviceIDs": ["amd.com/gpu=0", "amd.com/gpu=1"]}),
    ],
)
def test_gpus_are_requested_as_the_engine_knows_them(kind, podman, fields):
    request = device_request(kind, 2, podman=podman)

    assert {name: request[name] for name in fields} == fields


def test_a_worker_has_one_container_and_the_container_goes_with_it(subject):
    spec = run(subject)
    during = subject.engine.containers()

    subject.fleet.stop(spec.worker_id, 0.0)
    wait_until(lambda: is_away(subject, spec))

    assert during == [f"trunkline-{spec.worker_id}"]
    assert subject.engine.containers() == []


def test_an_image_that_cannot_be_pulled_ends_the_worker_with_the_engines_reason(subject):
    spec = new_spec("localhost:1/nobody/nothing:1")

    subject.fleet.start(spec)
    wait_until(lambda: phase(subject.fleet, spec) is WorkerPhase.GONE)
    seen = sighting(subject.fleet, spec)

    assert seen is not None
    assert seen.ending is WorkerEnding.CRASHED
    assert 'image "localhost:1/nobody/nothing:1" cannot be pulled' in seen.reason
    assert "connection refused" in seen.reason


def test_a_worker_that_is_stopped_while_its_image_is_pulled_is_forgotten(subject):
    spec = new_spec("localhost:1/nobody/nothing:2")
    subject.fleet.start(spec)
    wait_until(lambda: "pulled" in getattr(sighting(subject.fleet, spec), "reason", ""))

    subject.fleet.stop(spec.worker_id, 0.0)

    assert sighting(subject.fleet, spec) is None


def test_a_container_that_the_engine_refuses_ends_the_worker_with_its_reason(subject):
    spec = new_spec(user="nobody-of-that-name")

    subject.fleet.start(spec)
    wait_until(lambda: phase(subject.fleet, spec) is WorkerPhase.GONE)

    assert "nobody-of-that-name" in getattr(sighting(subject.fleet, spec), "reason", "")


def test_a_container_that_is_killed_for_good_is_the_reason_of_its_workers_end(subject):
    spec = run(subject)
    name = f"trunkline-{spec.worker_id}"
    subject.server.wait_until(lambda: subject.server.registered)

    subject.engine.run("kill", name)  # by hand: the engine does not start it again
    os.kill(subject.server.registered[-1], 9)
    wait_until(lambda: phase(subject.fleet, spec) is WorkerPhase.GONE)

    assert "its container was killed by SIGKILL" in getattr(sighting(subject.fleet, spec), "reason", "")


def test_the_next_server_removes_the_containers_that_one_left_and_no_others(engine):
    first = containers(engine)
    engine.run("create", "--name", "stranger", podman.BUSYBOX, "true")
    engine.run(
        "create", "--name", "leftover", "--label", f"trunkline.dev/cluster={CLUSTER}", podman.BUSYBOX, "true"
    )
    first.close()

    second = containers(engine)

    second.close()
    assert engine.containers() == ["stranger"]
    engine.run("rm", "--force", "stranger")


def test_with_auto_only_images_without_an_environment_run_in_containers(engine):
    chosen = Containers(engine.engine(), engine.launcher, CLUSTER, "auto", lambda name: name == "environment")

    runs = [
        chosen.runs(new_spec(image).pipeline_spec)
        for image in ("", DEFAULT_IMAGE, "environment", podman.BUSYBOX)
    ]

    chosen.close()
    assert runs == [False, False, False, True]


def test_a_launcher_that_is_no_program_is_refused(engine, tmp_path):
    with pytest.raises(FailedPrecondition):
        Containers(engine.engine(), tmp_path / "launcher", CLUSTER, "containers", None)


def test_an_engine_that_does_not_answer_is_unavailable(tmp_path):
    with pytest.raises(Unavailable):
        Engine(f"unix://{tmp_path}/nothing.sock", 1)


def test_an_engine_on_another_machine_is_refused():
    with pytest.raises(InvalidArgument):
        find_engine({"DOCKER_HOST": "tcp://192.0.2.1:2375"})
