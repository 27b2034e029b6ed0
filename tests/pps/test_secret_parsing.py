"""Secrets as they are sent."""

from __future__ import annotations

import base64
import json

import pytest

from trunkline.errors import InvalidArgument
from trunkline.pps.secrets import parse


def secret(**changes: object) -> bytes:
    whole = {
        "kind": "Secret",
        "metadata": {"name": "db", "labels": {"team": "art"}},
        "data": {"password": base64.b64encode(b"hunter2").decode()},
        "stringData": {"user": "me"},
    }
    return json.dumps(whole | changes).encode()


def test_a_kubernetes_secret_is_read_with_its_encoded_and_its_plain_values() -> None:
    parsed = parse(secret())

    assert (parsed.name, parsed.kind, parsed.labels) == ("db", "Opaque", {"team": "art"})
    assert parsed.data == {"password": b"hunter2", "user": b"me"}


@pytest.mark.parametrize(
    ("file", "message"),
    [
        (b"{", "is not JSON"),
        (secret(kind="ConfigMap"), "holds no Kubernetes Secret"),
        (secret(metadata={}), "has no name"),
        (secret(data={"password": "%%%"}), 'value "password" of secret "db" is not base64'),
        (secret(metadata={"name": "db", "labels": {"suite": "other"}}), "belongs to something else"),
    ],
)
def test_what_is_no_secret_is_refused_with_a_sentence(file: bytes, message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        parse(file)
