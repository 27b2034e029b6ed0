"""In-memory cache of the cluster's pods, events and nodes, fed by the informers. Makes no API calls.

The connection's thread writes to it; any thread reads it. One lock guards all of it and is held briefly. It
holds the last known state: nothing is removed because the API server does not answer.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from trunkline.drivers.fleets.kubernetes import machines, pod_status, pods
from trunkline.drivers.fleets.kubernetes.workers import DELETED, Worker, is_marked, is_newer, labels_of
from trunkline.model.workers import Machine, WorkerEnding, WorkerPhase, WorkerSighting

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lightkube.resources.core_v1 import Event, Node, Pod

log = logging.getLogger("trunkline.kubernetes")

#: Ids of stopped workers, so that a create which was answered late leaves no pod, and of workers that vanished
#: and were not acknowledged; beyond, the oldest are forgotten.
STOPPED_LIMIT, ENDED_LIMIT = 20_000, 1000


class PodReference(NamedTuple):
    """Identifies a pod. The id is empty until the API server has reported the pod."""

    name: str
    uid: str


class InformerCache:
    """The copy of the cluster. ``lock`` must be held for ``workers`` and their fields."""

    def __init__(self, wake: Callable[[str], None]) -> None:
        """Begin with nothing.

        Args:
            wake: receives the ids of workers that need a call.
        """
        self.lock = threading.Lock()
        self.workers: dict[str, Worker] = {}
        self._wake = wake
        self._by_pod: dict[str, Worker] = {}
        #: Vanished, and not acknowledged by ``stop`` yet.
        self._ended: OrderedDict[str, WorkerSighting] = OrderedDict()
        self._stopped: OrderedDict[str, None] = OrderedDict()
        self._machines: dict[str, Machine] = {}

    # the desired state; the lock is held

    def request(self, worker_id: str, name: str, pod: Pod) -> bool:
        """Record a worker that must exist.

        Args:
            worker_id: id of the worker.
            name: name of its pod.
            pod: the pod to create.

        Returns:
            Whether the worker is new.
        """
        if worker_id in self.workers:
            return False
        sighting = WorkerSighting(
            worker_id=worker_id, phase=WorkerPhase.PENDING, reason="is about to be created"
        )
        self._add(Worker(worker_id, name, pod, sighting))
        self._ended.pop(worker_id, None)
        self._stopped.pop(worker_id, None)
        return True

    def request_removal(self, worker_id: str, by: float) -> bool:
        """Record that a worker must have ended by a time (monotonic seconds). Returns whether a call is needed."""
        self._ended.pop(worker_id, None)
        worker = self.workers.get(worker_id)
        if worker is None:
            return False
        self._stopped[worker_id] = None
        while len(self._stopped) > STOPPED_LIMIT:
            self._stopped.popitem(last=False)
        # A second is what a pod needs to end at all; asking again for the same costs no call.
        if worker.stop_by is not None and by > worker.stop_by - 1.0:
            return False
        worker.stop_by = by
        if worker.pod is None and not worker.attempted:
            self.forget(worker)
            return False
        return True

    def contains(self, worker: Worker) -> bool:
        """Return whether a worker was not forgotten meanwhile."""
        return self.workers.get(worker.worker_id) is worker

    def forget(self, worker: Worker) -> None:
        """Drop a worker that has no pod any more."""
        if self.contains(worker):
            del self.workers[worker.worker_id]
        if self._by_pod.get(worker.name) is worker:
            del self._by_pod[worker.name]

    def _add(self, worker: Worker) -> None:
        self.workers[worker.worker_id] = self._by_pod[worker.name] = worker

    # questions

    def sightings(self) -> Sequence[WorkerSighting]:
        """Return every worker as it was seen last."""
        with self.lock:
            return [*(worker.sighting for worker in self.workers.values()), *self._ended.values()]

    def pod_of(self, worker_id: str) -> PodReference | None:
        """Return the pod of a worker; None when it is not known, or not any more."""
        with self.lock:
            worker = self.workers.get(worker_id)
            if worker is None:
                return None
            metadata = worker.pod.metadata if worker.pod is not None else None
            return PodReference(worker.name, (metadata.uid if metadata is not None else "") or "")

    def machines(self) -> Sequence[Machine]:
        """Return the machines that workers are on or are promised, by name."""
        with self.lock:
            machines_in_use: dict[str, Machine] = {}
            for worker in self.workers.values():
                name = worker.sighting.machine
                if name and name not in machines_in_use and worker.sighting.phase is not WorkerPhase.GONE:
                    machines_in_use[name] = self._machine_of(name, worker)
            return sorted(machines_in_use.values(), key=lambda machine: machine.name)

    def _machine_of(self, name: str, worker: Worker) -> Machine:
        pod = worker.pod
        machine = self._machines.get(name)
        if machine is None:
            kind = "node"
            if name.startswith("nodeclaim/"):
                kind = "karpenter"
            elif name.startswith("fargate-"):
                kind = "fargate"
            machine = Machine(name=name, kind=kind, ready=worker.sighting.phase is WorkerPhase.RUNNING)
        return machine if pod is None else machines.with_pod(machine, pod)

    # reports of the informers

    def pods_listed(self, names: set[str], requested_at: float) -> None:
        """Remove the workers whose pods are not in a list.

        Args:
            names: the names of all pods in the list.
            requested_at: monotonic time at which the list was requested.
        """
        with self.lock:
            for worker in list(self.workers.values()):
                # A pod that was created after the list was requested may not be in it.
                is_created = worker.pod is not None or 0.0 < worker.done_at < requested_at
                if is_created and worker.name not in names:
                    self._vanished(worker)

    def pod_changed(self, change: str, pod: Pod) -> None:
        """Record a reported state of a pod."""
        worker_id = labels_of(pod).get(pods.WORKER, "")
        if not worker_id or pod.metadata is None:
            return
        now = time.monotonic()
        with self.lock:
            worker = self.workers.get(worker_id)
            if worker is not None and worker.name != pod.metadata.name:
                return  # a copy of a worker's pod, which is not ours
            if change == "DELETED":
                if worker is not None:
                    worker.pod = pod
                    self._vanished(worker)
                return
            if worker is None:
                sighting = WorkerSighting(worker_id=worker_id, phase=WorkerPhase.PENDING)
                worker = Worker(worker_id, pod.metadata.name or "", None, sighting, busy=is_marked(pod))
                self._add(worker)
                if worker_id in self._stopped:  # its create was answered after it was stopped
                    worker.stop_by = now
            if worker.pod is not None and is_newer(worker.pod, pod):
                return  # a list that was answered before the watch reported a change
            worker.record_pod(pod, now, self._machines)
            act = worker.next_action(now) is not None
        if act:
            self._wake(worker_id)

    def event_changed(self, change: str, event: Event) -> None:
        """Record an event about a pod of ours."""
        if change == "DELETED" or not event.reason:
            return
        with self.lock:
            worker = self._by_pod.get(event.involvedObject.name or "")
            if worker is not None:
                worker.record_event(event.reason, pod_status.note(event), self._machines)

    def nodes_listed(self, names: set[str], _requested_at: float) -> None:
        """Remove the nodes that are not in a list."""
        with self.lock:
            self._machines = {name: machine for name, machine in self._machines.items() if name in names}

    def node_changed(self, change: str, node: Node) -> None:
        """Record a reported state of a node."""
        machine = machines.machine(node)
        with self.lock:
            if change == "DELETED":
                self._machines.pop(machine.name, None)
            else:
                self._machines[machine.name] = machine

    def overdue(self, now: float) -> list[str]:
        """Act on what should have happened by now; returns the workers that need a call."""
        with self.lock:
            due = []
            for worker in self.workers.values():
                try:
                    worker.overdue(now)
                    if not worker.acting and worker.next_action(now) is not None:
                        due.append(worker.worker_id)
                except Exception:  # a fault of ours about one worker must not stop the others
                    log.exception(
                        "cannot judge worker %s", worker.worker_id, extra={"worker_id": worker.worker_id}
                    )
            return due

    def _vanished(self, worker: Worker) -> None:
        """Record that a pod does not exist any more."""
        self.forget(worker)
        if worker.stop_by is not None:
            return
        reason, ending = worker.sighting.reason, worker.sighting.ending
        if worker.sighting.phase is not WorkerPhase.GONE:
            worker.leaving_since = worker.leaving_since or time.monotonic()
            reason, ending = worker.ending(self._machines) or DELETED, WorkerEnding.REMOVED
        self._ended[worker.worker_id] = replace(
            worker.sighting,
            phase=WorkerPhase.GONE,
            reason=reason,
            ending=ending,
            unsatisfiable=False,
            queued=False,
        )
        while len(self._ended) > ENDED_LIMIT:
            self._ended.popitem(last=False)
