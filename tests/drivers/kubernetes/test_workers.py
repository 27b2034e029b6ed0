"""What follows for one worker from what is wanted, what is known and how late it is."""

from __future__ import annotations

import pytest
from lightkube.resources.core_v1 import Pod

from trunkline.drivers.fleets.kubernetes import pods
from trunkline.drivers.fleets.kubernetes.pod_status import Note
from trunkline.drivers.fleets.kubernetes.workers import NOTES_LIMIT, Worker
from trunkline.model.workers import WorkerPhase, WorkerSighting

WAITING = WorkerSighting(worker_id="w", phase=WorkerPhase.PENDING)


def a_pod(phase: str = "Running", marked: bool = True, user: dict | None = None, **metadata) -> Pod:
    status = {"phase": phase}
    if user is not None:
        common = {"image": "i", "imageID": "", "ready": False, "restartCount": 0}
        status["containerStatuses"] = [{"name": "user", "state": user, **common}]
    annotations = dict(pods.BUSY) if marked else {}
    return Pod.from_dict(
        {
            "metadata": {"name": "p", "annotations": annotations, **metadata},
            "spec": {"containers": [], "nodeName": "node-1"},
            "status": status,
        }
    )


def running(**pod) -> Worker:
    worker = Worker("w", "p", None, WAITING)
    worker.record_pod(a_pod(**pod), 1.0, {})
    return worker


def test_a_pod_is_created_until_it_exists_and_deleted_once():
    worker = Worker("w", "p", a_pod(), WAITING)
    assert worker.next_action(0.0) == "create"

    worker.record_pod(a_pod("Pending"), 1.0, {})
    assert worker.next_action(1.0) is None
    worker.stop_by = 10.0
    assert worker.next_action(2.0) == "delete"
    worker.sent_stop_by = 10.0

    assert worker.next_action(3.0) is None


def test_an_idle_worker_is_unmarked_later_each_time_and_a_busy_one_marked_at_once():
    worker = running()
    pauses = []
    for _ in range(4):
        worker.busy, worker.idle_since = False, 100.0
        assert worker.next_action(100.0) is None
        pauses.append(next(t for t in range(1, 100) if worker.next_action(100.0 + t) == "mark"))
        worker.record_pod(a_pod(marked=False), 0.0, {})
        worker.marks += 1
        worker.busy = True
        assert worker.next_action(100.0) == "mark"
        worker.record_pod(a_pod(marked=True), 0.0, {})

    assert pauses == [5, 10, 20, 40]


def test_a_worker_that_is_leaving_or_has_ended_is_not_marked():
    for pod in (
        {"deletionTimestamp": "2026-01-01T00:00:00Z"},
        {"phase": "Succeeded"},
    ):
        worker = running(**pod)
        worker.busy = False

        assert worker.next_action(1000.0) is None


def test_a_pod_whose_node_does_not_end_it_is_removed_by_force_after_a_minute():
    worker = running()
    worker.stop_by = worker.sent_stop_by = 30.0
    worker.done_at = 1.0

    worker.overdue(89.0)
    assert worker.next_action(89.0) is None
    worker.overdue(91.0)

    assert worker.force
    assert worker.next_action(91.0) == "delete"


def test_a_worker_whose_node_does_not_answer_is_lost_after_its_grace_and_a_minute():
    worker = running()
    leaving = a_pod(deletionTimestamp="2026-01-01T00:00:00Z", deletionGracePeriodSeconds=30)
    worker.record_pod(leaving, 100.0, {})

    worker.overdue(189.0)
    assert worker.sighting.phase is WorkerPhase.RUNNING
    worker.overdue(191.0)

    assert worker.sighting.phase is WorkerPhase.GONE
    assert worker.sighting.reason == "was lost with its node node-1, which does not answer"


def test_a_worker_without_its_commands_container_has_time_to_hand_in_and_is_gone_then():
    worker = running()
    out_of_memory = {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}
    worker.record_pod(a_pod(user=out_of_memory), 100.0, {})

    worker.overdue(129.0)
    assert worker.sighting.phase is WorkerPhase.RUNNING
    worker.overdue(131.0)

    assert worker.sighting.phase is WorkerPhase.GONE
    assert worker.sighting.reason.startswith("container user ran out of memory")


def test_only_the_newest_event_of_each_reason_is_kept_and_not_too_many():
    worker = Worker("w", "p", None, WAITING)

    worker.record_event("Pulling", Note("new", 20.0, ""), {})
    worker.record_event("Pulling", Note("old", 10.0, ""), {})
    assert worker.notes["Pulling"].message == "new"
    for number in range(100):
        worker.record_event(f"Reason{number}", Note("", 0.0, ""), {})

    assert len(worker.notes) == NOTES_LIMIT


@pytest.mark.parametrize("phase", ["Pending", "", None])
def test_a_pod_without_a_phase_is_pending(phase):
    assert running(phase=phase).sighting.phase is WorkerPhase.PENDING
