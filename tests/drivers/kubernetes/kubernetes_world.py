"""Fleets and workers for tests, on whichever API server."""

from __future__ import annotations

import threading
import time
import uuid

from lightkube import KubeConfig

from trunkline.drivers.fleets.kubernetes.client import Connection
from trunkline.drivers.fleets.kubernetes.fleet import KubernetesFleet
from trunkline.drivers.fleets.kubernetes.pods import PodSettings, WorkerConfig
from trunkline.model.spec import PipelineSpec, Transform
from trunkline.model.workers import WorkerSpec


def connect(api, user: str = "server", namespace: str = "") -> Connection:
    return Connection(namespace, KubeConfig.from_dict(api.kubeconfig(user)).get())


def make_fleet(
    api,
    user: str = "server",
    cluster: str = "c1",
    namespace: str = "work",
    config: WorkerConfig | None = None,
) -> KubernetesFleet:
    settings = PodSettings(
        cluster=cluster,
        namespace=namespace,
        server="trunkline:30650",
        worker_image="trunkline/worker:1",
        config=config or WorkerConfig(),
    )
    return KubernetesFleet(connect(api, user, namespace), settings)


def worker(**wanted) -> WorkerSpec:
    return WorkerSpec(
        worker_id=uuid.uuid4().hex,
        token="secret",
        project="default",
        pipeline="edges",
        version=3,
        wanted=PipelineSpec(**({"transform": Transform(image="pachyderm/opencv")} | wanted)),
        memory=256 << 20,
    )


def wait_until(condition, seconds: float = 30.0) -> None:
    """Poll: a fleet is observed, it does not call back."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not reached within {seconds} s"
        threading.Event().wait(0.01)


def sighting(fleet, spec):
    return next((each for each in fleet.observe() if each.worker_id == spec.worker_id), None)
