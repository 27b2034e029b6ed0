"""An API server that is away, slow to agree or far gone: what was known holds, and all is made up for."""

from __future__ import annotations

import json

import pytest
import yaml
from kubernetes_world import make_fleet, sighting, wait_until, worker
from lightkube import KubeConfig

from trunkline.drivers.fleets.kubernetes import client as kube
from trunkline.drivers.fleets.kubernetes.client import Connection
from trunkline.drivers.fleets.kubernetes.workers import DELETED
from trunkline.errors import FailedPrecondition, Unavailable
from trunkline.model.workers import WorkerPhase


@pytest.fixture
def api(fake_api):
    return fake_api


def test_while_the_api_is_away_the_last_known_truth_holds_and_afterwards_all_is_done(api, fleet):
    existing, stopped, new = worker(), worker(), worker()
    fleet.start(existing)
    fleet.start(stopped)
    wait_until(lambda: len(api.pods()) == 2)
    for pod in api.pods():
        api.bind(pod["metadata"]["name"], "node-1")
        api.set_status(pod["metadata"]["name"], {"phase": "Running"})
    wait_until(lambda: {each.phase for each in fleet.observe()} == {WorkerPhase.RUNNING})

    api.away = True
    api.cut_watches()
    fleet.start(new)
    fleet.stop(stopped.worker_id, 30)
    wait_until(lambda: "does not answer" in sighting(fleet, new).reason)
    assert sighting(fleet, existing).phase is WorkerPhase.RUNNING
    assert sighting(fleet, new).phase is WorkerPhase.PENDING
    assert not sighting(fleet, new).unsatisfiable
    api.away = False

    wait_until(lambda: len(api.pods()) == 3)
    wait_until(lambda: sum("deletionTimestamp" in pod["metadata"] for pod in api.pods()) == 1)
    assert sighting(fleet, existing).phase is WorkerPhase.RUNNING


def test_what_happened_while_nobody_watched_is_seen_by_the_list(api, fleet):
    ended, deleted = worker(), worker()
    fleet.start(ended)
    fleet.start(deleted)
    wait_until(lambda: len(fleet._cache.workers) == 2 and all(w.pod for w in fleet._cache.workers.values()))
    names = {pod["metadata"]["labels"]["trunkline.dev/worker"]: pod["metadata"]["name"] for pod in api.pods()}

    api.away = True
    api.cut_watches()
    api.set_status(names[ended.worker_id], {"phase": "Failed", "reason": "Evicted", "message": "full"})
    api.delete_pod(names[deleted.worker_id])
    api.compact()
    api.away = False

    wait_until(lambda: {each.phase for each in fleet.observe()} == {WorkerPhase.GONE})
    assert sighting(fleet, ended).reason == "was evicted from its node: full"
    assert sighting(fleet, deleted).reason == DELETED


def test_a_quota_is_waited_for(api, fleet):
    message = 'pods "x" is forbidden: exceeded quota: q, requested: pods=1, used: pods=5, limited: pods=5'
    api.refusal = (403, "Forbidden", message)
    spec = worker()
    fleet.start(spec)
    wait_until(lambda: sighting(fleet, spec).reason.startswith("waits for the quota of namespace work"))
    assert sighting(fleet, spec).queued
    assert not sighting(fleet, spec).unsatisfiable

    api.refusal = None

    wait_until(lambda: len(api.pods()) == 1)
    wait_until(lambda: "quota" not in sighting(fleet, spec).reason)
    assert not sighting(fleet, spec).queued


@pytest.mark.parametrize("fault", [500, 503, 429, "drop", "lose"])
def test_a_call_that_fails_is_made_again_until_it_is_so(api, fleet, fault):
    spec = worker()
    api.faults += [fault, fault]
    fleet.start(spec)
    wait_until(lambda: len(api.pods()) == 1)
    wait_until(lambda: sighting(fleet, spec).reason == "was created and waits to be placed on a node")

    api.faults += [fault, fault]
    fleet.stop(spec.worker_id, 0)

    wait_until(lambda: api.pods() == [] and fleet.observe() == [])


def test_a_pod_of_another_worker_under_its_name_is_not_taken_for_its_own(api, fleet):
    spec = worker()
    name = f"default-edges-{spec.worker_id[:12]}"
    api.add("pods", "work", {"metadata": {"name": name, "labels": {}}, "spec": {"containers": []}})

    fleet.start(spec)

    wait_until(lambda: "already exists" in sighting(fleet, spec).reason)
    api.remove("pods", "work", name)
    wait_until(lambda: api.pods() and api.pods()[0]["metadata"]["labels"])


def test_an_api_that_does_not_answer_at_the_start_is_told(api):
    api.away = True

    with pytest.raises(Unavailable, match=r"the Kubernetes API at http://127.0.0.1:\d+ does not answer"):
        make_fleet(api)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "no usable Kubernetes configuration was found: Configuration file .* not found"),
        ("{", "is not YAML"),
        ("[]", "no usable Kubernetes configuration"),
        ("{}", "no usable Kubernetes configuration"),
        ('{"clusters": [], "contexts": [], "current-context": "x"}', "Context 'x' not found"),
        (
            json.dumps(
                {
                    "clusters": [
                        {"name": "c", "cluster": {"server": "https://x", "certificate-authority": "/no/file"}}
                    ],
                    "contexts": [{"name": "c", "context": {"cluster": "c"}}],
                    "current-context": "c",
                }
            ),
            "for https://x cannot be used: .*No such file",
        ),
    ],
)
def test_a_wrong_kubeconfig_is_told_in_one_sentence(content, sentence, tmp_path, monkeypatch):
    path = tmp_path / "config"
    if content is not None:
        path.write_text(content)
    monkeypatch.setenv("KUBECONFIG", str(path))

    with pytest.raises(FailedPrecondition, match=sentence) as raised:
        Connection()

    assert "\n" not in raised.value.message


def test_a_token_that_was_renewed_in_its_file_is_read_again(api, tmp_path):
    token = tmp_path / "token"
    token.write_text("old")
    config = api.kubeconfig()
    config["users"][0]["user"] = {"tokenFile": str(token)}
    (tmp_path / "config").write_text(yaml.safe_dump(config))
    api.tokens = {"old"}
    connection = Connection("", KubeConfig.from_file(tmp_path / "config").get())
    try:
        assert connection.run(connection.may("list", "pods"))
        api.tokens = {"new"}
        token.write_text("new")
        from lightkube.resources.core_v1 import Node

        async def count() -> int:
            return len([node async for node in connection.client.list(Node)])

        assert connection.run(count()) == 0
    finally:
        connection.close()


def test_the_server_is_given_the_time_it_asks_for():
    import httpx2

    request = httpx2.Request("GET", "http://x")
    response = httpx2.Response(429, headers={"Retry-After": "7"}, request=request)

    assert kube.retry_after(httpx2.HTTPStatusError("slow down", request=request, response=response)) == 7.0
