"""Reads a pod manifest into the value that the rules of machines use. Pure.

The manifest comes from the Kubernetes driver or from anywhere else. Amounts that are not valid quantities are
ignored here; the API server refuses them.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from trunkline.errors import InvalidArgument
from trunkline.model.quantities import parse_bytes, parse_cpus
from trunkline.scaling.pods import Amounts, Container, Pod, Toleration, Volume

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

_ORDINARY = frozenset({"cpu", "memory", "ephemeral-storage"})
_AFFINITIES = ("nodeAffinity", "podAffinity", "podAntiAffinity")


def read_pod(manifest: Mapping[str, Any]) -> Pod:
    """Return the pod that a manifest describes.

    Args:
        manifest: a pod as JSON, with metadata and spec.
    """
    metadata, spec = manifest.get("metadata") or {}, manifest.get("spec") or {}
    owners = metadata.get("ownerReferences") or [{}]
    affinity = spec.get("affinity") or {}
    return Pod(
        name=metadata.get("name", ""),
        namespace=metadata.get("namespace") or "default",
        labels=dict(metadata.get("labels") or {}),
        annotations=dict(metadata.get("annotations") or {}),
        containers=tuple(map(_container, spec.get("containers") or ())),
        init_containers=tuple(map(_container, spec.get("initContainers") or ())),
        volumes=tuple(map(_volume, spec.get("volumes") or ())),
        tolerations=tuple(
            Toleration(
                key=entry.get("key", ""),
                operator=entry.get("operator", "Equal"),
                value=entry.get("value", ""),
                effect=entry.get("effect", ""),
            )
            for entry in spec.get("tolerations") or ()
        ),
        node_selector=dict(spec.get("nodeSelector") or {}),
        affinities=(
            *(entry for entry in _AFFINITIES if affinity.get(entry)),
            *(("topologySpreadConstraints",) if spec.get("topologySpreadConstraints") else ()),
        ),
        host_network=bool(spec.get("hostNetwork")),
        owner=owners[0].get("kind", ""),
    )


def _container(fields: Mapping[str, Any]) -> Container:
    resources = fields.get("resources") or {}
    requests, limits = resources.get("requests") or {}, resources.get("limits") or {}
    devices = dict.fromkeys(
        name for name in (*requests, *limits) if name not in _ORDINARY and not name.startswith("hugepages-")
    )
    return Container(
        name=fields.get("name", ""),
        # Kubernetes uses the limit where a request is missing.
        requests=_amounts({**limits, **requests}),
        limits=_amounts(limits),
        privileged=bool((fields.get("securityContext") or {}).get("privileged")),
        host_ports=tuple(port["hostPort"] for port in fields.get("ports") or () if port.get("hostPort")),
        devices=tuple(devices),
        stays=fields.get("restartPolicy") == "Always",
    )


def _amounts(quantities: Mapping[str, Any]) -> Amounts:
    return Amounts(
        cpu_millis=_number(
            quantities, "cpu", lambda text, where: math.ceil(round(parse_cpus(text, where) * 1000, 6))
        ),
        memory=_number(quantities, "memory", parse_bytes),
        storage=_number(quantities, "ephemeral-storage", parse_bytes),
    )


def _number(quantities: Mapping[str, Any], name: str, parse: Callable[[str, str], int]) -> int | None:
    if name not in quantities:
        return None
    try:
        return parse(str(quantities[name]), name)
    except InvalidArgument:
        return None


def _volume(fields: Mapping[str, Any]) -> Volume:
    kinds: Iterable[str] = (key for key in fields if key != "name")
    kind = next(iter(kinds), "emptyDir")
    in_memory = (
        kind == "emptyDir" and (fields[kind] or {}).get("medium") == "Memory" if kind in fields else False
    )
    return Volume(name=fields.get("name", ""), kind=kind, in_memory=in_memory)
