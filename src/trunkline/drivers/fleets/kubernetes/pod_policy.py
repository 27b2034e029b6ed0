"""What a worker's pod must contain and must not name, checked on the rendered pod. Pure.

A pipeline's ``pod_spec`` and ``pod_patch`` can set any field, so the rules apply to the pod that results, whatever
field it came from. They keep the server's own account, secrets and volume from pipelines; what the pod may do to
its node is for the namespace's Pod Security level.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import Struct

from trunkline.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

#: The volume with the worker's token.
IDENTITY_VOLUME = "identity"


class PodPolicy(Struct, frozen=True, kw_only=True):
    """What pipelines may name beside what the installation gives all workers."""

    #: Service accounts that a ``pod_spec`` or ``pod_patch`` may choose.
    service_accounts: tuple[str, ...] = ()
    #: Secrets that were not made through Trunkline and may be used all the same.
    secrets: tuple[str, ...] = ()
    #: PersistentVolumeClaims that no pipeline may mount: the server's.
    denied_claims: tuple[str, ...] = ()


def check(pod: Mapping[str, Any], policy: PodPolicy, account: str) -> None:
    """Check a rendered pod.

    Args:
        pod: the pod after ``pod_spec`` and ``pod_patch``.
        policy: what pipelines may name.
        account: service account of all workers; empty for the namespace's default.

    Raises:
        InvalidArgument: the pod cannot be a worker, or names what it must not.
    """
    _check_shape(pod)
    spec = pod["spec"]
    for field in ("serviceAccountName", "serviceAccount"):  # the second is the first one's old name
        chosen = spec.get(field) or account or "default"
        if chosen not in (account or "default", *policy.service_accounts):
            raise InvalidArgument(
                f'pod_spec or pod_patch sets {field} to "{chosen}", which pipelines may not use (allowed: '
                f"{', '.join(policy.service_accounts) or 'none'}); leave it out, or have an administrator add it to "
                "workers.allowedServiceAccounts"
            )
    for volume in spec.get("volumes") or ():
        claim = (volume.get("persistentVolumeClaim") or {}).get("claimName", "")
        if claim in policy.denied_claims:
            raise InvalidArgument(
                f'pod_spec or pod_patch mounts the claim "{claim}", which belongs to the server; name another claim'
            )
    for container in _containers(spec):
        mounts = [each.get("name") for each in container.get("volumeMounts") or ()]
        if container.get("name") != "worker" and IDENTITY_VOLUME in mounts:
            raise InvalidArgument(
                f'pod_spec or pod_patch mounts the volume "{IDENTITY_VOLUME}" in container "{container.get("name")}", '
                "but it is for the container worker alone; remove the mount"
            )


def secrets_of(pod: Mapping[str, Any]) -> set[str]:
    """Return the names of the secrets that a pod's containers can read."""
    return set(_secrets_of(pod["spec"]))


def _secrets_of(spec: Mapping[str, Any]) -> Iterator[str]:
    for volume in spec.get("volumes") or ():
        sources = [volume, *((volume.get("projected") or {}).get("sources") or ())]
        for source in sources:
            secret = source.get("secret") or {}
            yield from (secret[field] for field in ("secretName", "name") if secret.get(field))
        # Drivers of these volumes are given a secret, and may pass it on.
        for kind, field in (
            ("csi", "nodePublishSecretRef"),
            ("flexVolume", "secretRef"),
            ("cephfs", "secretRef"),
            ("rbd", "secretRef"),
            ("iscsi", "secretRef"),
            ("scaleIO", "secretRef"),
            ("storageos", "secretRef"),
        ):
            if name := ((volume.get(kind) or {}).get(field) or {}).get("name"):
                yield name
        if name := (volume.get("azureFile") or {}).get("secretName"):
            yield name
    for container in _containers(spec):
        for variable in container.get("env") or ():
            if name := ((variable.get("valueFrom") or {}).get("secretKeyRef") or {}).get("name"):
                yield name
        for source in container.get("envFrom") or ():
            if name := (source.get("secretRef") or {}).get("name"):
                yield name


def _containers(spec: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for field in ("initContainers", "containers", "ephemeralContainers"):
        yield from spec.get(field) or ()


def _check_shape(pod: Mapping[str, Any]) -> None:
    """Check that a patched pod can still be a worker."""
    spec = pod.get("spec")
    if not isinstance(spec, dict) or not isinstance(pod.get("metadata"), dict):
        raise InvalidArgument("pod_patch replaces the pod's spec or metadata by something else; patch parts")
    for field in ("labels", "annotations"):
        if not isinstance(pod["metadata"].get(field, {}), dict):
            raise InvalidArgument(
                f"pod_patch makes the pod's {field} something else than an object; patch single {field}"
            )
    for field, needed in (("initContainers", ("launcher",)), ("containers", ("user", "worker"))):
        containers = spec.get(field)
        names = (
            [each.get("name") for each in containers if isinstance(each, dict)]
            if isinstance(containers, list)
            else []
        )
        for name in needed:
            if name not in names:
                raise InvalidArgument(
                    f'pod_spec or pod_patch removes the container "{name}", without which no datum runs; '
                    f"change it by name, or add others to {field}"
                )
    if spec.get("restartPolicy") != "Never":
        raise InvalidArgument(
            "pod_spec or pod_patch sets restartPolicy, but a worker that ended is replaced by a new pod; "
            "leave it out"
        )
