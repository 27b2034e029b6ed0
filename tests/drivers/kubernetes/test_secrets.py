"""Secrets on Kubernetes, against both API servers."""

from __future__ import annotations

import base64

import pytest
from kubernetes_world import connect

from trunkline.drivers.fleets.kubernetes.secrets import KubernetesSecrets
from trunkline.errors import AlreadyExists, InvalidArgument


@pytest.fixture
def secrets(api):
    connection = connect(api)
    yield KubernetesSecrets(connection)
    connection.close()


def test_a_secret_is_kept_and_its_values_do_not_come_back(api, secrets):
    secrets.create("token", "", {"key": b"v", "another": b"\0\xff"}, {"team": "vision"})

    kind, created, keys = secrets.inspect("token")
    assert (kind, list(keys)) == ("Opaque", ["another", "key"])
    assert created > 1_600_000_000
    assert secrets.list() == [("token", "Opaque", created)]
    (stored,) = api.objects("secrets")
    assert stored["data"] == {"key": base64.b64encode(b"v").decode(), "another": "AP8="}
    assert stored["metadata"]["labels"] == {
        "suite": "pachyderm",
        "secret-source": "pachyderm-user",
        "team": "vision",
    }


def test_the_server_itself_reads_the_values_of_a_secret_that_was_made_here(api, secrets):
    secrets.create("database", "", {"password": b"v", "another": b"\0\xff"}, {})

    assert secrets.values("database") == {"password": b"v", "another": b"\0\xff"}
    assert secrets.values("absent") is None


def test_a_secret_replaces_the_one_of_its_name(api, secrets):
    secrets.create("token", "", {"key": b"1"}, {})
    secrets.create("token", "", {"other": b"2"}, {})
    assert list(secrets.inspect("token")[2]) == ["other"]

    secrets.create("token", "kubernetes.io/basic-auth", {"username": b"u", "password": b"p"}, {})

    assert secrets.inspect("token")[0] == "kubernetes.io/basic-auth"


def test_a_secret_of_somebody_else_is_neither_replaced_nor_shown_nor_deleted(api, secrets):
    api.add("secrets", "work", {"metadata": {"name": "theirs"}, "data": {"a": "YQ=="}})

    with pytest.raises(AlreadyExists, match='secret "theirs" exists in namespace work'):
        secrets.create("theirs", "", {"key": b"v"}, {})
    secrets.delete("theirs")

    assert secrets.inspect("theirs") is None
    assert secrets.list() == []
    assert [each["metadata"]["name"] for each in api.objects("secrets")] == ["theirs"]


def test_deleting_a_secret_twice_succeeds(secrets):
    secrets.create("token", "", {"key": b"v"}, {})

    secrets.delete("token")
    secrets.delete("token")

    assert secrets.inspect("token") is None


def test_a_label_that_claims_another_suite_is_refused(secrets):
    with pytest.raises(InvalidArgument, match="label suite=other"):
        secrets.create("token", "", {"key": b"v"}, {"suite": "other"})
