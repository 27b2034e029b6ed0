"""The kubelet of simulated machines: a worker's pod becomes a real worker process of this computer.

The process gets the environment of the pod's container ``worker``, except that it has no launcher beside it: it
runs commands itself, in a private root, with the image environment that the test has made for the pod's image. So
whole pipelines really run, while the cluster sees pods that pull, run, end and disappear.

A machine that disappears ends its processes at once; a pod that is deleted has its grace period.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from standins.api import Loop, Recorder, condition, is_ready, now_text, path_of
from trunkline.drivers.fleets import process_reaper

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from standins.api import Api, Mirror, Object
    from trunkline.drivers.fleets.images import ImageEnvironments

#: Seconds between looks at processes, which no watch tells of.
PERIOD = 0.05
_INHERITED = ("PATH", "HOME", "LANG", "PYTHONPATH", "LD_LIBRARY_PATH")


@dataclass(slots=True)
class Life:
    """When what happened to a pod, in seconds since the epoch; 0 for not yet."""

    name: str
    namespace: str
    pipeline: str
    #: First seen, given a machine, begun, ended or asked to go, removed from the cluster.
    seen: float
    placed: float = 0.0
    running: float = 0.0
    leaving: float = 0.0
    removed: float = 0.0
    node: str = ""


@dataclass(slots=True)
class _Process:
    process: subprocess.Popen[bytes]
    scratch: Path
    #: When it is killed; 0 as long as it may stay.
    kill_at: float = 0.0


@dataclass(slots=True)
class _Fixed:
    """What was decided about a pod once."""

    ready_at: float
    begun: bool = False


class Kubelet:
    """All kubelets of all pretended nodes."""

    def __init__(
        self,
        api: Api,
        pods: Mirror,
        nodes: Mirror,
        folder: Path,
        *,
        images: ImageEnvironments | None = None,
        pull: Callable[[Object], float] = lambda _: 0.0,
    ) -> None:
        """Begin.

        Args:
            api: the API server.
            pods: a copy of all pods.
            nodes: a copy of all nodes.
            folder: for scratch folders and logs of workers.
            images: what image names mean to processes.
            pull: the seconds that a pod's image takes to its node.
        """
        self._api = api
        self._pods = pods
        self._nodes = nodes
        self._folder = folder
        self._images = images
        self._pull = pull
        self._recorder = Recorder(api, "kubelet")
        self._processes: dict[str, _Process] = {}
        self._fixed: dict[str, _Fixed] = {}
        #: Of all pods of workers, by uid.
        self.lives: dict[str, Life] = {}
        # A worker dies with the thread that has started it: one thread starts them all.
        self._loop = Loop("kubelet", self.step, PERIOD)
        pods.tell(self._loop.wake)
        nodes.tell(self._loop.wake)
        self._loop.start()

    def log_of(self, pod: str) -> str:
        """Return what the worker of a pod has written."""
        return (self._folder / f"{pod}.log").read_text(errors="replace")

    def lives_in(self, namespace: str) -> list[Life]:
        """Return what happened to the workers' pods of a namespace, the first seen first."""
        lives = [life for life in list(self.lives.values()) if life.namespace == namespace]
        return sorted(lives, key=lambda life: life.seen)

    def step(self) -> None:
        """Look at every pod on a pretended node and do what a kubelet would."""
        nodes = self._nodes.named()
        present = set()
        for pod in self._pods.all():
            uid = pod["metadata"]["uid"]
            present.add(uid)
            self._note_life(pod)
            name = pod["spec"].get("nodeName", "")
            node = nodes.get(name)
            if not name or (node is not None and not is_acted(node)):
                continue
            if node is None:
                self._kill(uid)  # the machine is gone, and what ran on it
            elif "deletionTimestamp" in pod["metadata"]:
                self._let_go(pod)
            elif uid in self._processes and self._processes[uid].process.poll() is not None:
                self._tell_end(pod)
            elif is_ready(node):
                self._bring_up(pod)
        for uid in [uid for uid in self._processes if uid not in present]:
            self._kill(uid)
        for uid, life in self.lives.items():
            if uid not in present and not life.removed:
                life.removed = time.time()
                life.leaving = life.leaving or life.removed

    def _note_life(self, pod: Object) -> None:
        labels = pod["metadata"].get("labels", {})
        uid = pod["metadata"]["uid"]
        if labels.get("app.kubernetes.io/managed-by") != "trunkline":
            return
        life = self.lives.get(uid)
        if life is None:
            pipeline = labels.get("trunkline.dev/pipeline", "")
            life = self.lives[uid] = Life(
                pod["metadata"]["name"], pod["metadata"]["namespace"], pipeline, time.time()
            )
        if not life.placed and pod["spec"].get("nodeName"):
            life.placed, life.node = time.time(), pod["spec"]["nodeName"]
        if not life.leaving and (
            "deletionTimestamp" in pod["metadata"] or pod["status"].get("phase") in ("Succeeded", "Failed")
        ):
            life.leaving = time.time()

    # --- up ------------------------------------------------------------------------------------------------------

    def _bring_up(self, pod: Object) -> None:
        if pod["status"].get("phase") not in (None, "Pending"):
            return
        uid = pod["metadata"]["uid"]
        fixed = self._fixed.get(uid)
        image = pod["spec"]["containers"][0].get("image", "")
        if fixed is None:
            fixed = self._fixed[uid] = _Fixed(time.time() + self._pull(pod))
            self._recorder.event(pod, "Pulling", f'Pulling image "{image}"')
        if fixed.begun or time.time() < fixed.ready_at:
            return
        fixed.begun = True
        self._recorder.event(pod, "Pulled", f'Successfully pulled image "{image}"')
        if "trunkline.dev/worker" in pod["metadata"].get("labels", {}):
            self._spawn(pod)
        self._api.merge(f"{path_of(pod)}/status", {"status": running_status(pod)})
        if uid in self.lives:
            self.lives[uid].running = time.time()

    def _spawn(self, pod: Object) -> None:
        name = pod["metadata"]["name"]
        scratch = self._folder / name
        scratch.mkdir(mode=0o755)
        with open(self._folder / f"{name}.log", "ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "trunkline.worker"],
                cwd="/",
                env=self._environment(pod, scratch),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._processes[pod["metadata"]["uid"]] = _Process(process, scratch)

    def _environment(self, pod: Object, scratch: Path) -> dict[str, str]:
        worker = next(each for each in pod["spec"]["containers"] if each["name"] == "worker")
        variables = {each["name"]: each.get("value", "") for each in worker["env"]}
        variables.pop("TRUNKLINE_LAUNCHER")
        image = self._images.resolve(variables["TRUNKLINE_IMAGE"]) if self._images is not None else None
        return {
            **{name: os.environ[name] for name in _INHERITED if name in os.environ},
            **variables,
            "TRUNKLINE_WORKER_TOKEN_FILE": str(self._project_token(pod)),
            "TRUNKLINE_SCRATCH": str(scratch),
            "TRUNKLINE_IMAGE_DESCRIPTION": "" if image is None else image.description,
            "TRUNKLINE_PARENT": str(os.getpid()),
        }

    def _project_token(self, pod: Object) -> Path:
        """Ask for the token of a pod's projected volume, as the kubelet does; it outlives every test."""
        [volume] = [each for each in pod["spec"]["volumes"] if each["name"] == "identity"]
        projection = volume["projected"]["sources"][0]["serviceAccountToken"]
        metadata = pod["metadata"]
        account = (
            f"/api/v1/namespaces/{metadata['namespace']}/serviceaccounts/{pod['spec']['serviceAccountName']}"
        )
        request = {
            "audiences": [projection["audience"]],
            "expirationSeconds": projection["expirationSeconds"],
            "boundObjectRef": {
                "apiVersion": "v1",
                "kind": "Pod",
                "name": metadata["name"],
                "uid": metadata["uid"],
            },
        }
        answer = self._api.create(f"{account}/token", {"spec": request})
        path = self._folder / f"{metadata['name']}.token"
        path.write_text(answer["status"]["token"])
        return path

    # --- down ----------------------------------------------------------------------------------------------------

    def _let_go(self, pod: Object) -> None:
        process = self._processes.get(pod["metadata"]["uid"])
        if process is None:
            self._api.delete(path_of(pod), grace=0)
            return
        if not process.kill_at:
            process.kill_at = time.monotonic() + pod["metadata"].get("deletionGracePeriodSeconds", 30)
            process.process.terminate()
        if process.process.poll() is None and time.monotonic() >= process.kill_at:
            process_reaper.kill_tree(process.process.pid)
        if process.process.poll() is not None:
            self._tell_end(pod)
            self._api.delete(path_of(pod), grace=0)

    def _tell_end(self, pod: Object) -> None:
        uid = pod["metadata"]["uid"]
        process = self._processes.pop(uid)
        process_reaper.kill_namespace(process.scratch)
        code = process.process.wait()
        self._api.merge(f"{path_of(pod)}/status", {"status": ended_status(pod, code)})

    def _kill(self, uid: str) -> None:
        process = self._processes.pop(uid, None)
        if process is None:
            return
        process_reaper.kill_tree(process.process.pid)
        process.process.wait()
        process_reaper.kill_namespace(process.scratch)

    def close(self) -> None:
        """End all workers."""
        self._loop.close()
        for uid in list(self._processes):
            self._kill(uid)


def is_acted(node: Object) -> bool:
    """Return whether a node is one of a machine that does not exist."""
    annotations: dict[str, str] = node["metadata"].get("annotations", {})
    return annotations.get("kwok.x-k8s.io/node") == "fake"


def running_status(pod: Object) -> Object:
    """Return the status of a pod all of whose containers run."""
    begun = now_text()
    return {
        "phase": "Running",
        "startTime": begun,
        "conditions": [
            condition(kind, "True")
            for kind in (
                "PodScheduled",
                "Initialized",
                "ContainersReady",
                "Ready",
                "PodReadyToStartContainers",
            )
        ],
        "initContainerStatuses": [
            _container(each, {"terminated": {"exitCode": 0, "reason": "Completed", "finishedAt": begun}})
            for each in pod["spec"].get("initContainers", [])
        ],
        "containerStatuses": [
            _container(each, {"running": {"startedAt": begun}}) for each in pod["spec"]["containers"]
        ],
    }


def ended_status(pod: Object, code: int) -> Object:
    """Return the status of a worker's pod whose worker has ended with a code; a signal is negative."""
    code = code if code >= 0 else 128 - code
    reason = "Error" if code else "Completed"
    codes = {"worker": code}
    return {
        "phase": "Failed" if code else "Succeeded",
        "containerStatuses": [
            _container(
                each,
                {
                    "terminated": {
                        "exitCode": codes.get(each["name"], 0),
                        "reason": reason if each["name"] == "worker" else "Completed",
                        "finishedAt": now_text(),
                    }
                },
            )
            for each in pod["spec"]["containers"]
        ],
    }


def _container(container: Object, state: Object) -> Object:
    return {
        "name": container["name"],
        "image": container.get("image", ""),
        "imageID": "",
        "restartCount": 0,
        "ready": "running" in state,
        "started": "running" in state,
        "state": state,
    }
