"""One worker: the state it should have, the last known state of its pod, and the call that follows from both.

Nothing here makes calls or reads a clock; times are monotonic seconds from the caller. The lock of the cache
(``informer_cache``) guards every worker.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Literal

from msgspec import Struct, field
from msgspec.structs import replace

from trunkline.drivers.fleets.kubernetes import pod_status, pods
from trunkline.model.workers import WorkerEnding, WorkerPhase, WorkerSighting

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Mapping

    from lightkube.resources.core_v1 import Pod

    from trunkline.drivers.fleets.kubernetes.pod_status import Note
    from trunkline.model.workers import Machine

#: Seconds that a worker must be idle before its pod is unmarked; doubles with each mark of a pod, so that a
#: worker that gets a datum every so often costs no call for each.
IDLE_SECONDS, LONGEST_IDLE_SECONDS = 5.0, 320.0
#: Seconds after its time until a pod is removed without its node's confirmation, and until it counts as lost.
FORCE_AFTER = 60.0
#: Seconds that a worker has to report its results and exit after the container for commands ended.
COMMAND_GRACE = 30.0
#: Seconds that a pod which no node could take waits for an autoscaler to answer before its wait counts as
#: unsatisfiable. Cluster Autoscaler looks every 10 s, Karpenter sooner.
AUTOSCALER_PATIENCE = 60.0
#: Events about one pod that are remembered, the newest of each reason.
NOTES_LIMIT = 12
DELETED = "its pod was deleted by another user or program"

Action = Literal["create", "delete", "mark"]


class Worker(Struct):
    """A worker: its desired state, and the last known state of its pod."""

    worker_id: str
    #: The pod's.
    name: str
    #: The pod to create; None once it exists.
    to_create: Pod | None
    sighting: WorkerSighting
    #: The last reported state.
    pod: Pod | None = None
    #: Secrets of its pod that must be checked before it is created.
    secrets: set[str] = field(default_factory=set)
    #: A create was sent, and may have succeeded whatever the answer was.
    attempted: bool = False
    #: When a call last succeeded: a list begun later shows what it did.
    done_at: float = 0.0
    #: When it must be gone; None while it is to stay.
    stop_by: float | None = None
    #: The time that the API server was given for that.
    sent_stop_by: float | None = None
    #: Removed without a confirmation of its node.
    force: bool = False
    #: Whether it holds work, and since when it does not.
    busy: bool = True
    idle_since: float = 0.0
    #: How often its mark was set or removed.
    marks: int = 0
    #: A task makes calls for it.
    acting: bool = False
    #: Ends a pause between two tries.
    poke: asyncio.Event | None = None
    #: Since when its pod is being deleted, and its container for commands ended; 0 for not.
    leaving_since: float = 0.0
    command_ended_at: float = 0.0
    #: Since when no node could take its pod and no autoscaler adds one.
    lacking_since: float | None = None
    #: The newest event of each reason.
    notes: OrderedDict[str, Note] = field(default_factory=OrderedDict)

    def next_action(self, now: float) -> Action | None:
        """Return the next call for it."""
        if self.stop_by is not None:
            sent = self.sent_stop_by
            return "delete" if sent is None or self.stop_by < sent else None
        if self.pod is None:
            return "create" if self.to_create is not None else None
        if self.leaving_since or self.sighting.phase is WorkerPhase.GONE or self.busy == is_marked(self.pod):
            return None
        return "mark" if self.busy or now >= self._idle_until() else None

    def _idle_until(self) -> float:
        return self.idle_since + min(LONGEST_IDLE_SECONDS, IDLE_SECONDS * 2.0 ** min(self.marks, 10))

    def record_pod(self, pod: Pod, now: float, machines: Mapping[str, Machine]) -> None:
        """Record a reported state of its pod.

        Args:
            pod: the pod as the API server reports it.
            now: monotonic seconds.
            machines: the cluster's nodes by name.
        """
        self.pod = pod
        self.to_create = None
        if pod.metadata is not None and pod.metadata.deletionTimestamp is not None and not self.leaving_since:
            self.leaving_since = now
        if pod_status.command_ended(pod) and not self.command_ended_at:
            self.command_ended_at = now
        self.update_sighting(machines)

    def record_event(self, reason: str, note: Note, machines: Mapping[str, Machine]) -> None:
        """Record an event about its pod.

        Args:
            reason: the event's key; see ``pod_status.key``.
            note: the event.
            machines: the cluster's nodes by name.
        """
        key = pod_status.key(reason, note)
        earlier = self.notes.get(key)
        if earlier is not None and earlier.at > note.at:
            return
        self.notes[key] = note
        self.notes.move_to_end(key)
        while len(self.notes) > NOTES_LIMIT:
            self.notes.popitem(last=False)
        if self.pod is not None and self.sighting.phase is WorkerPhase.PENDING:
            self.update_sighting(machines)

    def update_sighting(self, machines: Mapping[str, Machine]) -> None:
        """Derive its sighting from its pod."""
        pod = self.pod
        assert pod is not None
        phase, why = WorkerPhase.RUNNING, pod_status.WaitReason("")
        if pod_status.ended(pod):
            phase, why = WorkerPhase.GONE, pod_status.WaitReason(self.ending(machines))
        elif pod.status is None or pod.status.phase in (None, "", "Pending"):
            phase = WorkerPhase.PENDING
            why = (
                pod_status.WaitReason("is being removed")
                if self.leaving_since
                else pod_status.waiting(pod, self.notes, machines)
            )
        if not why.lacks_machine:
            self.lacking_since = None
        self.sighting = WorkerSighting(
            worker_id=self.worker_id,
            phase=phase,
            reason=why.sentence,
            unsatisfiable=why.unsatisfiable or (why.lacks_machine and self.sighting.unsatisfiable),
            lacks_machine=why.lacks_machine,
            queued=why.queued,
            machine=node_of(pod) or pod_status.nominated(pod, self.notes),
            ending=self.ending_kind(machines),
        )

    def ending(self, machines: Mapping[str, Machine]) -> str:
        """Explain how it ended."""
        if self.pod is None:
            return DELETED
        node = machines.get(node_of(self.pod))
        if reason := pod_status.disruption(self.pod, node):
            return reason
        if self.leaving_since and self.stop_by is None:
            return DELETED
        return pod_status.ending(self.pod, node)

    def ending_kind(self, machines: Mapping[str, Machine]) -> WorkerEnding:
        """Return whether an end of it now is a crash, a removal by others, or an answer to ``stop``."""
        if self.stop_by is not None:
            return WorkerEnding.STOPPED
        if self.pod is None or self.leaving_since:
            return WorkerEnding.REMOVED
        disrupted = pod_status.disruption(self.pod, machines.get(node_of(self.pod)))
        return WorkerEnding.REMOVED if disrupted else WorkerEnding.CRASHED

    def overdue(self, now: float) -> None:
        """Act on what should have happened by now: remove by force, count as lost, or give up a wait."""
        sent = self.sent_stop_by
        if sent is not None and now > max(sent, self.done_at) + FORCE_AFTER and self.pod is not None:
            self.force, self.sent_stop_by, self.stop_by = True, None, now
        if self.sighting.lacks_machine and not self.sighting.unsatisfiable:
            self.lacking_since = now if self.lacking_since is None else self.lacking_since
            if now - self.lacking_since >= AUTOSCALER_PATIENCE:
                self.sighting = replace(self.sighting, unsatisfiable=True)
        if self.sighting.phase is not WorkerPhase.RUNNING or self.pod is None:
            return
        metadata = self.pod.metadata
        grace = (metadata.deletionGracePeriodSeconds if metadata is not None else 0) or 0
        reason, ending = "", WorkerEnding.CRASHED
        if self.leaving_since and now > self.leaving_since + grace + FORCE_AFTER:
            reason = f"was lost with its node {self.sighting.machine}, which does not answer"
            ending = WorkerEnding.REMOVED
        elif self.command_ended_at and now > self.command_ended_at + COMMAND_GRACE:
            reason = pod_status.ending(self.pod)
        if reason:
            self.sighting = replace(self.sighting, phase=WorkerPhase.GONE, reason=reason, ending=ending)


def labels_of(pod: Pod) -> Mapping[str, str]:
    """Return a pod's labels."""
    return (pod.metadata.labels if pod.metadata else None) or {}


def node_of(pod: Pod) -> str:
    """Return the name of the node that a pod is on, or nothing."""
    return (pod.spec.nodeName if pod.spec else "") or ""


def is_marked(pod: Pod) -> bool:
    """Return whether a pod is marked as busy."""
    annotations = (pod.metadata.annotations if pod.metadata else None) or {}
    return any(annotations.get(name) == value for name, value in pods.BUSY.items())


def is_newer(pod: Pod, other: Pod) -> bool:
    """Return whether ``pod`` is a later version than ``other``. Versions count upwards in every API server."""
    if pod.metadata is None or other.metadata is None or pod.metadata.uid != other.metadata.uid:
        return False
    versions = [metadata.resourceVersion or "" for metadata in (pod.metadata, other.metadata)]
    return all(version.isdigit() for version in versions) and int(versions[0]) > int(versions[1])
