"""Reads what an administrator sets for all workers from a ConfigMap of the workers' namespace.

``pod.yaml`` holds part of a Pod, merged below what pipelines set; ``policy.yaml`` says what pipelines may name. The
ConfigMap also owns the pods, so that removing it (by ``helm uninstall``) removes them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml
from lightkube.resources.core_v1 import ConfigMap

from trunkline.drivers.fleets.kubernetes import client as kube
from trunkline.drivers.fleets.kubernetes import pod_patches
from trunkline.drivers.fleets.kubernetes.pod_decoding import as_pod
from trunkline.drivers.fleets.kubernetes.pod_policy import PodPolicy
from trunkline.drivers.fleets.kubernetes.pods import WorkerConfig
from trunkline.errors import FailedPrecondition, InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Fields of ``policy.yaml``, each a list of names, and those of ``PodPolicy``.
_POLICY = {"serviceAccounts": "service_accounts", "secrets": "secrets", "deniedClaims": "denied_claims"}
#: A pod that the defaults must fit.
_SAMPLE = {
    "initContainers": [{"name": "launcher"}],
    "containers": [{"name": "user"}, {"name": "worker"}],
}


def read(connection: kube.Connection, name: str) -> WorkerConfig:
    """Return the configuration in a ConfigMap. Blocks.

    Args:
        connection: the connection to the API server; the ConfigMap is in its namespace.
        name: the name of the ConfigMap.

    Raises:
        FailedPrecondition: it cannot be read, or something in it is not valid.
        Unavailable: the API server does not answer.
    """

    async def get() -> ConfigMap:
        return await connection.client.get(ConfigMap, name)

    try:
        config_map = connection.run(get())
    except kube.FAILURES as error:
        problem = kube.translated(error, connection.server, connection.namespace, "get", "configmaps")
        if problem.retryable:
            raise problem from error
        raise FailedPrecondition(
            f'the ConfigMap "{name}" in namespace {connection.namespace}, which configures workers, cannot be read: '
            f"{problem.message}"
        ) from error
    data = config_map.data or {}
    where = f'of ConfigMap "{name}" in namespace {connection.namespace}'
    metadata = config_map.metadata
    owner = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "name": name,
        "uid": (metadata.uid if metadata is not None else "") or "",
        # "kubectl drain" and Cluster Autoscaler remove pods from nodes only if they have a controller.
        "controller": True,
        "blockOwnerDeletion": False,
    }
    return WorkerConfig(
        defaults=_defaults(data.get("pod.yaml", ""), f"pod.yaml {where}"),
        policy=_policy(data.get("policy.yaml", ""), f"policy.yaml {where}"),
        owner=owner,
    )


def _defaults(text: str, where: str) -> Mapping[str, Any]:
    defaults = _mapping(text, where)
    if set(defaults) - {"metadata", "spec"}:
        raise FailedPrecondition(f"{where} has fields beside metadata and spec; remove them")
    merged = pod_patches.merge(_SAMPLE, defaults.get("spec", {}))
    pod = {"metadata": {"name": "worker", **defaults.get("metadata", {})}, "spec": merged}
    try:
        as_pod(pod, source=where)
    except InvalidArgument as error:
        raise FailedPrecondition(error.message) from error
    return defaults


def _policy(text: str, where: str) -> PodPolicy:
    policy = _mapping(text, where)
    for field, names in policy.items():
        if (
            field not in _POLICY
            or not isinstance(names, list)
            or not all(isinstance(each, str) for each in names)
        ):
            raise FailedPrecondition(
                f"{where} has the field {field}: {names!r}; its fields are {', '.join(_POLICY)}, each a list of names"
            )
    return PodPolicy(**{_POLICY[field]: tuple(names) for field, names in policy.items()})


def _mapping(text: str, where: str) -> dict[str, Any]:
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise FailedPrecondition(
            f"{where} is not YAML: {' '.join(str(error).split())}; correct it"
        ) from error
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise FailedPrecondition(f"{where} is not a mapping; correct it")
    return value
