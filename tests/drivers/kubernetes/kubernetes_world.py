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
from trunkline.ports import ServerAddress


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
        server=ServerAddress("trunkline:30650"),
        worker_image="trunkline/worker:1",
        config=config or WorkerConfig(),
    )
    return KubernetesFleet(connect(api, user, namespace), settings)


def worker(**fields) -> WorkerSpec:
    return WorkerSpec(
        worker_id=uuid.uuid4().hex,
        token="secret",
        project="default",
        pipeline="edges",
        version=3,
        pipeline_spec=PipelineSpec(**({"transform": Transform(image="pachyderm/opencv")} | fields)),
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


def name_of(api, spec) -> str:
    return next(
        pod["metadata"]["name"]
        for pod in api.pods()
        if pod["metadata"]["labels"]["trunkline.dev/worker"] == spec.worker_id
    )


def containers(state: dict, **others: dict) -> list[dict]:
    """Statuses of the pod's containers, all in one state but for those named."""
    return [
        {
            "name": name,
            "image": "i",
            "imageID": "",
            "ready": False,
            "restartCount": 0,
            "state": others.get(name, state),
        }
        for name in ("user", "worker")
    ]


def run(api, spec) -> str:
    name = name_of(api, spec)
    api.bind(name, "node-1")
    running = {"running": {"startedAt": "2026-01-01T00:00:00Z"}}
    api.set_status(name, {"phase": "Running", "containerStatuses": containers(running)})
    return name


def exited(code: int, reason: str = "Error", message: str = "") -> dict:
    return {"terminated": {"exitCode": code, "reason": reason, "message": message}}
