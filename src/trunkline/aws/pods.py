"""A Kubernetes pod as the rules of machines see it, read from its manifest. Pure.

The manifest is what the Kubernetes driver renders, or any other; who has one needs nothing else to ask
whether Fargate takes it. Amounts that are no quantities are the API server's to refuse and count as not said.
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
                key=one.get("key", ""),
                operator=one.get("operator", "Equal"),
                value=one.get("value", ""),
                effect=one.get("effect", ""),
            )
            for one in spec.get("tolerations") or ()
        ),
        node_selector=dict(spec.get("nodeSelector") or {}),
        affinities=(
            *(one for one in _AFFINITIES if affinity.get(one)),
            *(("topologySpreadConstraints",) if spec.get("topologySpreadConstraints") else ()),
        ),
        host_network=bool(spec.get("hostNetwork")),
        owner=owners[0].get("kind", ""),
    )


def _container(written: Mapping[str, Any]) -> Container:
    resources = written.get("resources") or {}
    requests, limits = resources.get("requests") or {}, resources.get("limits") or {}
    devices = dict.fromkeys(
        one for one in (*requests, *limits) if one not in _ORDINARY and not one.startswith("hugepages-")
    )
    return Container(
        name=written.get("name", ""),
        # Kubernetes takes a limit for the request that is not there.
        requests=_amounts({**limits, **requests}),
        limits=_amounts(limits),
        privileged=bool((written.get("securityContext") or {}).get("privileged")),
        host_ports=tuple(port["hostPort"] for port in written.get("ports") or () if port.get("hostPort")),
        devices=tuple(devices),
        stays=written.get("restartPolicy") == "Always",
    )


def _amounts(written: Mapping[str, Any]) -> Amounts:
    return Amounts(
        cpu_millis=_number(
            written, "cpu", lambda text, where: math.ceil(round(parse_cpus(text, where) * 1000, 6))
        ),
        memory=_number(written, "memory", parse_bytes),
        storage=_number(written, "ephemeral-storage", parse_bytes),
    )


def _number(written: Mapping[str, Any], name: str, parse: Callable[[str, str], int]) -> int | None:
    if name not in written:
        return None
    try:
        return parse(str(written[name]), name)
    except InvalidArgument:
        return None


def _volume(written: Mapping[str, Any]) -> Volume:
    kinds: Iterable[str] = (key for key in written if key != "name")
    kind = next(iter(kinds), "emptyDir")
    in_memory = (
        kind == "emptyDir" and (written[kind] or {}).get("medium") == "Memory" if kind in written else False
    )
    return Volume(name=written.get("name", ""), kind=kind, in_memory=in_memory)
