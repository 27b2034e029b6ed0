"""Stores secrets for commands as Secrets of the workers' namespace, with Pachyderm's labels.

The server stores nothing of them: the kubelet passes them to the containers. It reads a value back only for itself,
such as the password for an egress.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.core_v1 import Secret

from trunkline.drivers.fleets.kubernetes import client as kube
from trunkline.errors import AlreadyExists, InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping, Sequence
    from typing import Any, TypeVar

    T = TypeVar("T")

#: Labels that mark a secret as created by Trunkline; Pachyderm's names, for compatibility with its users' tools.
MADE_HERE = {"suite": "pachyderm", "secret-source": "pachyderm-user"}


class KubernetesSecrets:
    """Implements ``ports.Secrets``. Methods block; usable while the connection is open."""

    def __init__(self, connection: kube.Connection) -> None:
        self._connection = connection

    def create(self, name: str, kind: str, data: Mapping[str, bytes], labels: Mapping[str, str]) -> None:
        """Store a secret; see ``ports.Secrets``.

        Args:
            name: name of the secret.
            kind: its Kubernetes type, such as ``Opaque``.
            data: keys and values.
            labels: labels of the secret; those of Trunkline are added.

        Raises:
            InvalidArgument: a label contradicts those of Trunkline.
        """
        for label, value in MADE_HERE.items():
            if labels.get(label, value) != value:
                raise InvalidArgument(
                    f'secret "{name}" has the label {label}={labels[label]}, but secrets made here have '
                    f"{label}={value}; leave the label out"
                )
        secret = Secret(
            metadata=ObjectMeta(name=name, labels={**labels, **MADE_HERE}),
            type=kind or "Opaque",
            data={key: base64.b64encode(value).decode() for key, value in data.items()},
        )
        self._run("create", self._store(name, secret))

    def inspect(self, name: str) -> tuple[str, float, Sequence[str]] | None:
        """Return what may be known of a secret; see ``ports.Secrets``."""
        secret = self._run("get", self._get(name))
        return None if secret is None else (*_outside(secret)[1:], sorted(secret.data or {}))

    def list(self) -> Sequence[tuple[str, str, float]]:
        """Return the secrets that were made here; see ``ports.Secrets``."""
        return self._run("list", self._list())

    def delete(self, name: str) -> None:
        """Remove a secret that was made here; see ``ports.Secrets``."""
        self._run("delete", self._delete(name))

    def values(self, name: str) -> Mapping[str, bytes] | None:
        """Return the values of a secret that was made here; see ``ports.Secrets``."""
        secret = self._run("get", self._get(name))
        if secret is None:
            return None
        return {key: base64.b64decode(value) for key, value in (secret.data or {}).items()}

    async def _store(self, name: str, secret: Secret) -> None:
        client = self._connection.client
        try:
            await client.create(secret)
        except kube.FAILURES as error:
            if kube.reason(error) != "AlreadyExists":
                raise
        else:
            return
        old = await client.get(Secret, name)
        if not is_managed(old):
            raise AlreadyExists(
                f'secret "{name}" exists in namespace {self._connection.namespace} and was not made by '
                "Trunkline; choose another name"
            )
        if old.type == secret.type and not old.immutable:
            await client.replace(secret)
            return
        # The type of a secret cannot be changed.
        await client.delete(Secret, name)
        await client.create(secret)

    async def _get(self, name: str) -> Secret | None:
        try:
            secret = await self._connection.client.get(Secret, name)
        except kube.FAILURES as error:
            if kube.code(error) == 404:
                return None
            raise
        return secret if is_managed(secret) else None

    async def _list(self) -> Sequence[tuple[str, str, float]]:
        secrets = self._connection.client.list(Secret, labels=dict(MADE_HERE))
        return sorted([_outside(secret) async for secret in secrets])

    async def _delete(self, name: str) -> None:
        if await self._get(name) is None:
            return
        try:
            await self._connection.client.delete(Secret, name)
        except kube.FAILURES as error:
            if kube.code(error) != 404:
                raise

    def _run(self, verb: str, call: Coroutine[Any, Any, T]) -> T:
        try:
            return self._connection.run(call)
        except kube.FAILURES as error:
            raise kube.translated(
                error, self._connection.server, self._connection.namespace, verb, "secrets"
            ) from error


def is_managed(secret: Secret) -> bool:
    """Return whether a secret was made here."""
    labels = (secret.metadata.labels if secret.metadata else None) or {}
    return all(labels.get(label) == value for label, value in MADE_HERE.items())


def _outside(secret: Secret) -> tuple[str, str, float]:
    metadata = secret.metadata
    assert metadata is not None
    created = metadata.creationTimestamp
    return metadata.name or "", secret.type or "Opaque", created.timestamp() if created is not None else 0.0
