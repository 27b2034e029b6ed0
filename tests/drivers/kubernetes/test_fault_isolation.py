"""An error about one object or one call stays with it: every loop of the fleet goes on and serves the others."""

from __future__ import annotations

import asyncio
import logging

import pytest
from kubernetes_world import sighting, wait_until, worker
from lightkube.resources.core_v1 import Pod

from trunkline.drivers.fleets.kubernetes.informer import Informer
from trunkline.model.workers import WorkerPhase


@pytest.fixture
def api(fake_api):
    return fake_api


class Failing:
    """The library's client, whose calls of some kinds raise what no caller expects."""

    def __init__(self, client, *calls: str, times: int) -> None:
        self._client = client
        self._remaining = dict.fromkeys(calls, times)

    def __getattr__(self, name):
        if self._remaining.get(name, 0) > 0:
            self._remaining[name] -= 1
            raise RuntimeError(f"injected into {name}")
        return getattr(self._client, name)


def place(api, spec) -> None:
    """Let the only pod of a worker run on a node."""
    [name] = [
        pod["metadata"]["name"]
        for pod in api.pods()
        if pod["metadata"]["labels"]["trunkline.dev/worker"] == spec.worker_id
    ]
    api.bind(name, "node-1")
    api.set_status(name, {"phase": "Running"})


def test_a_worker_whose_create_and_delete_raise_anything_is_created_and_deleted(api, fleet, caplog):
    fleet.connection.client = Failing(fleet.connection.client, "create", "delete", times=3)
    broken, other = worker(), worker()

    fleet.start(broken)
    fleet.start(other)
    wait_until(lambda: len(api.pods()) == 2)
    for spec in (broken, other):
        fleet.stop(spec.worker_id, 0)

    wait_until(lambda: api.pods() == [] and fleet.observe() == [])
    assert {each.worker_id for each in caplog.records if hasattr(each, "worker_id")} <= {
        broken.worker_id,
        other.worker_id,
    }
    assert [each for each in caplog.records if getattr(each, "action", "") == "pod_create_error"]


def test_a_worker_that_the_server_cannot_create_carries_the_reason(api, fleet):
    fleet.connection.client = Failing(fleet.connection.client, "create", times=1_000_000)
    spec = worker()

    fleet.start(spec)

    wait_until(lambda: sighting(fleet, spec).unsatisfiable)
    assert "RuntimeError" in sighting(fleet, spec).reason


def test_informers_that_fail_are_started_again(api, fleet, caplog):
    fleet.connection.client = client = Failing(fleet.connection.client, "watch", times=3)
    for informer in (fleet._pods, fleet._events, fleet._nodes):
        informer._client = client
    spec = worker()

    api.cut_watches()
    wait_until(lambda: sum(client._remaining.values()) == 0)
    fleet.start(spec)
    wait_until(lambda: len(api.pods()) == 1)
    place(api, spec)

    wait_until(lambda: sighting(fleet, spec).phase is WorkerPhase.RUNNING)
    assert [each for each in caplog.records if getattr(each, "action", "") == "service_restarted"]


@pytest.mark.parametrize("first", ["list", "watch"])
def test_an_object_that_cannot_be_processed_does_not_hide_the_others(api, fleet, caplog, first):
    """The informer is the fleet's; its reader raises for one object."""
    seen: dict[str, str] = {}

    def changed(change: str, pod: Pod) -> None:
        if pod.metadata.name == "broken":
            raise KeyError("injected")
        seen[pod.metadata.name] = change

    informer = Informer(fleet.connection, Pod, namespace="work", changed=changed, failed=print)
    if first == "watch":
        fleet.connection.run(informer.list())
    for name in ("broken", "whole"):
        api.add("pods", "work", {"metadata": {"name": name}, "spec": {"containers": []}})
    with caplog.at_level(logging.ERROR):
        following = asyncio.run_coroutine_threadsafe(informer.follow(), fleet.connection._loop)
        wait_until(lambda: "whole" in seen)
    following.cancel()

    assert "broken" not in seen
    assert [each.object for each in caplog.records if hasattr(each, "object")] == ["broken"]


@pytest.mark.usefixtures("soon_idle")
def test_a_worker_that_cannot_be_judged_does_not_stop_the_timer(api, fleet):
    broken, idle = worker(), worker()
    for spec in (broken, idle):
        fleet.start(spec)
    wait_until(lambda: len(api.pods()) == 2)
    for spec in (broken, idle):
        place(api, spec)
    wait_until(lambda: {each.phase for each in fleet.observe()} == {WorkerPhase.RUNNING})

    fleet._cache.workers[broken.worker_id].sent_stop_by = "not a time"
    fleet.mark(idle.worker_id, busy=False)

    safe = "cluster-autoscaler.kubernetes.io/safe-to-evict"
    wait_until(lambda: [pod for pod in api.pods() if pod["metadata"]["annotations"][safe] == "true"])
