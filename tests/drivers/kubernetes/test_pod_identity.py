"""Workers prove who they are by the token of their own pod, checked without a call of the Kubernetes API."""

from __future__ import annotations

import time

import jwt
import pytest
from kubernetes_world import make_fleet, wait_until, worker
from msgspec.structs import replace

from trunkline.drivers.fleets.kubernetes.pod_identity import PodIdentity
from trunkline.drivers.fleets.kubernetes.pods import WorkerConfig
from trunkline.errors import FailedPrecondition, Unauthenticated, Unavailable

ACCOUNT = WorkerConfig(defaults={"spec": {"serviceAccountName": "workers"}})


def identity_of(fleet, namespace: str = "work") -> PodIdentity:
    return PodIdentity(fleet.connection, fleet.cache, namespace)


def started(api, fleet, spec) -> dict:
    """Start a worker; returns its pod once the fleet has seen it."""
    fleet.start(spec)
    wait_until(lambda: (fleet.cache.pod_of(spec.worker_id) or (0, ""))[1])
    [pod] = [pod for pod in api.pods() if pod["metadata"]["labels"]["trunkline.dev/worker"] == spec.worker_id]
    return pod


async def test_a_token_that_kubernetes_gives_a_pod_proves_its_worker_and_no_other(api):
    fleet = make_fleet(api, config=ACCOUNT)
    try:
        first, other = worker(), worker()
        pods = [started(api, fleet, spec) for spec in (first, other)]
        tokens = [token_of(api, pod) for pod in pods]
        identity = identity_of(fleet)
        calls = fleet.connection.calls

        await identity.verify(first.worker_id, tokens[0])
        await identity.verify(other.worker_id, tokens[1])
        with pytest.raises(Unauthenticated):
            await identity.verify(first.worker_id, tokens[1])

        assert fleet.connection.calls == calls
    finally:
        fleet.close(0.0)


def token_of(api, pod: dict) -> str:
    """Return the token that the kubelet would ask for and put into the pod."""
    if not api.real:
        return api.keys.token(pod)
    metadata = pod["metadata"]
    bound = {"apiVersion": "v1", "kind": "Pod", "name": metadata["name"], "uid": metadata["uid"]}
    request = {"spec": {"audiences": ["trunkline"], "boundObjectRef": bound}}
    path = "/api/v1/namespaces/work/serviceaccounts/workers/token"
    return api.call("POST", path, request)["status"]["token"]


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": ["https://kubernetes.default.svc"]},
        {"aud": None},
        {"exp": 1.0},
        {"exp": None},
        {"iss": "https://somewhere.else"},
        {"kubernetes.io": None},
        {"kubernetes.io": {"namespace": "work", "serviceaccount": {"name": "default"}}},
        {"kubernetes.io": "work"},
    ],
    ids=str,
)
async def test_a_token_with_other_claims_is_refused(fake_api, changes):
    fleet = make_fleet(fake_api)
    try:
        spec = worker()
        pod = started(fake_api, fleet, spec)
        identity = identity_of(fleet)
        await identity.verify(spec.worker_id, fake_api.keys.token(pod))

        with pytest.raises(Unauthenticated):
            await identity.verify(spec.worker_id, fake_api.keys.token(pod, **changes))
    finally:
        fleet.close(0.0)


async def test_a_token_is_bound_to_one_pod_of_one_namespace(fake_api):
    fleet = make_fleet(fake_api)
    try:
        spec = worker()
        pod = started(fake_api, fleet, spec)
        metadata = pod["metadata"]
        identity = identity_of(fleet)

        for strange in (
            {**metadata, "uid": "that of an earlier pod of this name"},
            {**metadata, "name": "another"},
            {**metadata, "namespace": "elsewhere"},
        ):
            with pytest.raises(Unauthenticated):
                await identity.verify(spec.worker_id, fake_api.keys.token({"metadata": strange}))
    finally:
        fleet.close(0.0)


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "eyJhbGciOiJub25lIn0.e30."])
async def test_what_is_not_a_token_is_refused(fake_api, token):
    fleet = make_fleet(fake_api)
    try:
        spec = worker()
        started(fake_api, fleet, spec)

        with pytest.raises(Unauthenticated):
            await identity_of(fleet).verify(spec.worker_id, token)
    finally:
        fleet.close(0.0)


async def test_a_token_signed_with_the_public_key_as_a_secret_is_refused(fake_api):
    """The classic confusion of algorithms."""
    fleet = make_fleet(fake_api)
    try:
        spec = worker()
        pod = started(fake_api, fleet, spec)
        honest = fake_api.keys.token(pod)
        [key] = fake_api.keys.published()["keys"]
        claims = jwt.decode(honest, options={"verify_signature": False})
        forged = jwt.encode(claims, key["n"], "HS256", {"kid": key["kid"]})

        with pytest.raises(Unauthenticated):
            await identity_of(fleet).verify(spec.worker_id, forged)
    finally:
        fleet.close(0.0)


async def test_a_worker_without_a_pod_is_refused_also_with_a_token_that_was_good(fake_api):
    fleet = make_fleet(fake_api)
    try:
        spec = worker()
        pod = started(fake_api, fleet, spec)
        token = fake_api.keys.token(pod)
        identity = identity_of(fleet)
        await identity.verify(spec.worker_id, token)

        fleet.stop(spec.worker_id, 0)
        wait_until(lambda: fleet.observe() == [])

        with pytest.raises(Unauthenticated):
            await identity.verify(spec.worker_id, token)
    finally:
        fleet.close(0.0)


async def test_a_worker_whose_pod_was_not_reported_yet_may_try_again(fake_api):
    fleet = make_fleet(fake_api)
    try:
        identity = identity_of(fleet)
        fake_api.refusal = (403, "Forbidden", "exceeded quota: q")
        spec = worker()
        fleet.start(spec)
        metadata = {"name": f"default-edges-{spec.worker_id[:12]}", "namespace": "work", "uid": "1"}

        with pytest.raises(Unavailable):
            await identity.verify(spec.worker_id, fake_api.keys.token({"metadata": metadata}))
    finally:
        fleet.close(0.0)


async def test_new_keys_are_fetched_when_a_token_names_one_and_not_for_every_forgery(fake_api):
    fleet = make_fleet(fake_api)
    try:
        spec = worker()
        pod = started(fake_api, fleet, spec)
        identity = identity_of(fleet)
        fake_api.keys.rotate()
        token = fake_api.keys.token(pod)

        identity._fetched_at -= 60.0  # the keys were fetched a minute ago
        await identity.verify(spec.worker_id, token)
        calls = fleet.connection.calls
        fake_api.keys.rotate()
        for _ in range(5):
            with pytest.raises(Unauthenticated):
                await identity.verify(spec.worker_id, fake_api.keys.token(pod, jti=str(time.time())))

        assert fleet.connection.calls == calls
    finally:
        fleet.close(0.0)


def test_a_server_that_may_not_read_the_keys_says_so_at_its_start(fake_api):
    fake_api.forbidden.add(("get", "/openid/v1/jwks"))
    fleet = make_fleet(fake_api)
    try:
        with pytest.raises(FailedPrecondition, match="system:service-account-issuer-discovery"):
            identity_of(fleet)
    finally:
        fleet.close(0.0)


def test_keys_that_cannot_be_reached_are_tried_again_later(fake_api):
    fleet = make_fleet(fake_api)
    try:
        fake_api.away = True
        with pytest.raises(Unavailable):
            identity_of(fleet)
    finally:
        fake_api.away = False
        fleet.close(0.0)


def test_the_token_is_in_the_worker_s_container_alone(fake_api):
    fleet = make_fleet(fake_api)
    try:
        pod = started(fake_api, fleet, replace(worker(), token="made-by-the-autoscaler"))
    finally:
        fleet.close(0.0)

    spec = pod["spec"]
    assert "made-by-the-autoscaler" not in str(pod)
    [volume] = [each for each in spec["volumes"] if each["name"] == "identity"]
    assert volume["projected"]["sources"][0]["serviceAccountToken"]["audience"] == "trunkline"
    mounting = [
        container["name"]
        for container in (*spec["initContainers"], *spec["containers"])
        if "identity" in [mount["name"] for mount in container["volumeMounts"]]
    ]
    assert mounting == ["worker"]
    assert spec["automountServiceAccountToken"] is False
