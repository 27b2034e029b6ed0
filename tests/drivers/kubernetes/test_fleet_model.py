"""No pod is leaked and none is doubled, whatever API, watches and servers do: random stories on the fake.

The model is the set of workers that were asked for and not stopped. Once the trouble ends, the cluster has
exactly one pod for each of them that nobody else has ended, and the fleet tells of exactly those.
"""

from __future__ import annotations

from collections import Counter

import pytest
from fake_api import FakeApi, Refused
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from kubernetes_world import make_fleet, wait_until, worker

from trunkline.model.workers import WorkerPhase

LABEL = "trunkline.dev/worker"
SAFE = "cluster-autoscaler.kubernetes.io/safe-to-evict"


def worker_of(pod: dict) -> str:
    return pod["metadata"]["labels"][LABEL]


class Stories(RuleBasedStateMachine):
    @initialize()
    def begin(self):
        self.api = FakeApi()
        self.fleet = make_fleet(self.api)
        self.requested = {}  # worker id -> spec
        self.stopped = set()
        self.ended = set()  # whose pod somebody else has ended

    def teardown(self):
        if not hasattr(self, "api"):
            return
        try:
            self.settle()
        finally:
            self.fleet.close(0.0)
            self.api.close()

    def settle(self):
        """The trouble ends, the controller compares, and all comes right."""
        self.api.faults.clear()
        self.api.refusal = None
        self.api.away = False
        for spec in self.requested.values():
            if spec.worker_id not in self.ended:
                self.fleet.start(spec)  # a restart may have lost it

        def right() -> bool:
            for pod in self.api.pods():
                if pod["metadata"].get("deletionTimestamp"):
                    self.api.finish_deletion(pod["metadata"]["name"])
            for each in self.fleet.observe():
                if each.worker_id not in self.requested or each.worker_id in self.ended:
                    self.fleet.stop(each.worker_id, 0)
            living = self.requested.keys() - self.ended
            return (
                Counter(map(worker_of, self.api.pods())) == Counter(living)
                and {each.worker_id for each in self.fleet.observe()} == living
                and all("about to be" not in each.reason for each in self.fleet.observe())
            )

        try:
            wait_until(right, 60)
        except AssertionError:
            pods = [
                (pod["metadata"]["name"], pod["metadata"].get("deletionTimestamp")) for pod in self.api.pods()
            ]
            raise AssertionError(
                f"{pods=} {self.fleet.observe()=} {self.requested.keys() - self.ended=}"
            ) from None

    @invariant()
    def no_worker_has_two_pods(self):
        if hasattr(self, "api"):
            assert max(Counter(map(worker_of, self.api.pods())).values(), default=0) <= 1

    @invariant()
    def nobody_is_told_gone_who_is_there(self):
        if not hasattr(self, "api"):
            return
        for each in self.fleet.observe():
            if each.phase is WorkerPhase.GONE:
                assert each.worker_id in self.ended | self.stopped, each

    @rule(number=st.integers(1, 5))
    def start(self, number):
        for _ in range(number):
            spec = worker()
            self.requested[spec.worker_id] = spec
            self.fleet.start(spec)

    @rule(data=st.data(), grace=st.sampled_from([0, 1, 30]))
    def stop(self, data, grace):
        if self.requested:
            worker_id = data.draw(st.sampled_from(sorted(self.requested)))
            del self.requested[worker_id]
            self.stopped.add(worker_id)
            self.fleet.stop(worker_id, grace)

    @rule(data=st.data(), busy=st.booleans())
    def mark(self, data, busy):
        if self.requested:
            self.fleet.mark(data.draw(st.sampled_from(sorted(self.requested))), busy=busy)

    @rule(data=st.data())
    def a_pod_gets_a_node_and_runs(self, data):
        if pods := [pod for pod in self.api.pods() if "nodeName" not in pod["spec"]]:
            name = data.draw(st.sampled_from([pod["metadata"]["name"] for pod in pods]))
            try:
                self.api.bind(name, "node-1")
                self.api.set_status(name, {"phase": "Running"})
            except Refused:  # it was deleted meanwhile
                assert name not in [pod["metadata"]["name"] for pod in self.api.pods()]

    @rule(data=st.data())
    def somebody_deletes_a_pod(self, data):
        if pods := self.api.pods():
            pod = data.draw(st.sampled_from(pods))
            self.ended.add(worker_of(pod))
            self.api.remove("pods", "work", pod["metadata"]["name"])

    @rule()
    def the_kubelet_ends_what_is_being_deleted(self):
        for pod in self.api.pods():
            if pod["metadata"].get("deletionTimestamp"):
                self.api.finish_deletion(pod["metadata"]["name"])

    @rule(faults=st.lists(st.sampled_from([500, 429, 409, 503, "drop", "lose"]), max_size=4))
    def calls_fail(self, faults):
        self.api.faults.extend(faults)

    @rule()
    def watches_break(self):
        self.api.cut_watches()

    @rule()
    def watches_expire(self):
        self.api.expire_watches()

    @rule()
    def history_is_compacted_and_watches_break(self):
        self.api.compact()
        self.api.cut_watches()

    @rule()
    def bookmarks_come(self):
        self.api.bookmark()

    @rule(away=st.booleans())
    def the_api_comes_and_goes(self, away):
        self.api.away = away
        if away:
            self.api.cut_watches()

    @rule()
    def the_server_is_killed_and_started(self):
        """What the old one had under way is lost, or is done all the same."""
        self.api.away = False
        self.fleet.close(0.0)
        self.fleet = make_fleet(self.api)
        for spec in self.requested.values():
            if spec.worker_id not in self.ended:
                self.fleet.start(spec)

    @rule()
    def all_comes_right(self):
        self.settle()


Stories.TestCase.settings = settings(
    max_examples=12,
    stateful_step_count=15,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
TestStories = pytest.mark.timeout(600)(Stories.TestCase)
