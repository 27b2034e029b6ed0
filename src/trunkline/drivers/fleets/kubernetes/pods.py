"""The pod of a worker, rendered from its ``WorkerSpec``. Pure: the same worker always gives the same pod.

Three containers share two empty volumes. ``launcher`` copies a static binary and ends; ``user`` is the
pipeline's image with that binary as its command; ``worker`` claims datums and has them run by the launcher.
``user`` is the first container, as in Pachyderm's pods, so that a ``pod_patch`` written for those means the
same here. The pod passes Pod Security "restricted" unless the spec asks for more. docs/design/pods.md shows it.

Nothing here asks whether a secret, a node or an image exists: the cluster says so, and ``reasons`` reads it.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trunkline.drivers.fleets.kubernetes import pod_patches
from trunkline.errors import InvalidArgument
from trunkline.model.pod_rules import check_operation
from trunkline.model.quantities import parse_bytes
from trunkline.model.spec import ResourceSpec, Transform

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trunkline.model.spec import PipelineSpec, Toleration
    from trunkline.model.workers import WorkerSpec

MANAGED_BY = "app.kubernetes.io/managed-by"
CLUSTER = "trunkline.dev/cluster"
WORKER = "trunkline.dev/worker"
#: What those who remove machines read on the pod of a worker that holds work, and of one that idles. The second
#: needs words too: Cluster Autoscaler leaves a pod alone that no controller owns or that has an emptyDir.
BUSY = {
    "cluster-autoscaler.kubernetes.io/safe-to-evict": "false",
    "karpenter.sh/do-not-disrupt": "true",
}
IDLE = {"cluster-autoscaler.kubernetes.io/safe-to-evict": "true", "karpenter.sh/do-not-disrupt": None}
#: Seconds; Cluster Autoscaler does not wait longer for a pod that it drains.
LONGEST_GRACE = 600
#: CPUs that a command asks for when its spec asks for nothing: the smallest Fargate pod. (Pachyderm: 1 CPU and
#: 1 GiB of disk.)
DEFAULT_CPU = "250m"
#: What Trunkline's own container asks for. Python with its buffers takes about 60 MB. No CPU, as in Pachyderm: a
#: few hundredths more than the round number that a spec asks for would make Fargate give, and bill, twice that.
SIDECAR_CPU, SIDECAR_MEMORY = "0", "128Mi"
#: User and group of all containers unless ``transform.user`` says otherwise. Any but 0 will do.
DEFAULT_UID = 1000
_NAME_LENGTH = 63  # of a DNS label, which is also the pod's host name
_ID_DIGITS = 12  # 48 bits; two workers of one pipeline that share them are refused by the API server
_EFFECTS = {
    "ALL_EFFECTS": None,
    "NO_SCHEDULE": "NoSchedule",
    "PREFER_NO_SCHEDULE": "PreferNoSchedule",
    "NO_EXECUTE": "NoExecute",
}
#: The grammar of image names, as in github.com/distribution/reference.
_IMAGE = re.compile(
    r"(?:[A-Za-z0-9](?:[-A-Za-z0-9.]*[A-Za-z0-9])?(?::[0-9]+)?/)?"
    r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*"
    r"(?::[A-Za-z0-9_][-A-Za-z0-9_.]{0,127})?"
    r"(?:@[A-Za-z][A-Za-z0-9]*:[0-9a-fA-F]{32,})?",
    re.ASCII,
)
_VOLUME_NAME = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?", re.ASCII)
_OWN_VOLUMES = ("launcher", "pfs", "tmp")


@dataclass(frozen=True, slots=True, kw_only=True)
class PodSettings:
    """What all worker pods of a server have in common."""

    #: Identity of the installation; pods with another one are somebody else's.
    cluster: str
    namespace: str
    #: HOST:PORT where workers reach the server.
    server: str
    #: Image with the worker and the launcher.
    worker_image: str
    #: Service account of workers; empty for the namespace's default.
    service_account: str = ""
    #: Names of the secrets that let nodes pull the worker image.
    pull_secrets: tuple[str, ...] = ()


def pod_name(spec: WorkerSpec) -> str:
    """Return the pod's name, which only this worker has."""
    digits = spec.worker_id[:_ID_DIGITS]
    prefix = re.sub(r"[^a-z0-9]+", "-", f"{spec.project}-{spec.pipeline}".lower())
    prefix = prefix.strip("-")[: _NAME_LENGTH - 1 - len(digits)].rstrip("-")
    return f"{prefix or 'worker'}-{digits}"


def selector(settings: PodSettings) -> dict[str, str]:
    """Return the labels by which this server's pods are found."""
    return {MANAGED_BY: "trunkline", CLUSTER: label_value(settings.cluster)}


def label_value(text: str) -> str:
    """Return ``text`` as far as a label can hold it."""
    return re.sub(r"[^-A-Za-z0-9_.]", "_", text)[:63].strip("-_.")


def render(spec: WorkerSpec, settings: PodSettings) -> dict[str, Any]:
    """Return the pod of a worker as JSON.

    Raises:
        InvalidArgument: the spec asks for what no pod can have; the message says what and why.
    """
    wanted = spec.wanted
    pod: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": _metadata(spec, settings),
        "spec": _pod_spec(spec, settings),
    }
    if wanted.pod_spec:
        pod["spec"] = pod_patches.merge(pod["spec"], _json(wanted.pod_spec, "pod_spec", dict))
    if wanted.pod_patch:
        pod = _patched(pod, _json(wanted.pod_patch, "pod_patch", list))
    if wanted.pod_spec or wanted.pod_patch:
        _check_ours(pod)
    account = pod["spec"].get("serviceAccountName", "")
    asked = account not in ("", settings.service_account)
    if asked and "automountServiceAccountToken" not in wanted.pod_spec + wanted.pod_patch:
        # Who asks for an account of his own wants to use it.
        pod["spec"]["automountServiceAccountToken"] = True
    # What finds the pod again is not for patches to change.
    ours = _metadata(spec, settings)
    metadata = pod["metadata"]
    metadata.update(name=ours["name"], namespace=ours["namespace"])
    for field in ("labels", "annotations"):
        metadata[field] = {**metadata.get(field, {}), **_own(field, spec, settings)}
    return pod


def _metadata(spec: WorkerSpec, settings: PodSettings) -> dict[str, Any]:
    user = spec.wanted.metadata
    return {
        "name": pod_name(spec),
        "namespace": settings.namespace,
        "labels": {**(user.labels if user else {}), **_own("labels", spec, settings)},
        "annotations": {**(user.annotations if user else {}), **_own("annotations", spec, settings)},
    }


def _own(field: str, spec: WorkerSpec, settings: PodSettings) -> dict[str, str]:
    """Return the labels or annotations that nobody may override: ours, and those Pachyderm's users look for."""
    names = {
        "pipelineName": spec.pipeline,
        "pipelineProject": spec.project,
        "pipelineVersion": str(spec.version),
    }
    if field == "annotations":
        return {**names, **BUSY}
    return {
        **selector(settings),
        WORKER: spec.worker_id,
        "app.kubernetes.io/name": "trunkline",
        "app.kubernetes.io/component": "worker",
        "trunkline.dev/project": label_value(spec.project),
        "trunkline.dev/pipeline": label_value(spec.pipeline),
        "trunkline.dev/version": str(spec.version),
        "app": "pipeline",
        "suite": "pachyderm",
        "component": "worker",
        **{name: label_value(value) for name, value in names.items()},
    }


def _pod_spec(spec: WorkerSpec, settings: PodSettings) -> dict[str, Any]:
    wanted = spec.wanted
    transform = wanted.transform or Transform()
    if transform.image and not _IMAGE.fullmatch(transform.image):
        raise InvalidArgument(
            f'transform.image "{transform.image}" is not a valid image name; write [REGISTRY/]NAME[:TAG][@DIGEST] '
            "with a name in small letters"
        )
    uid, gid = _ids(transform.user)
    secret_volumes, mounts = _secret_mounts(transform)
    own_user = _own_security(uid)
    pfs: dict[str, Any] = {"emptyDir": {"medium": "Memory"} if transform.memory_volume else {}}
    pod: dict[str, Any] = {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": max(1, min(LONGEST_GRACE, math.ceil(spec.grace))),
        "enableServiceLinks": False,
        "automountServiceAccountToken": False,
        "securityContext": {
            "runAsUser": uid,
            "runAsGroup": gid,
            "fsGroup": gid,
            "runAsNonRoot": uid != 0,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "initContainers": [
            {
                "name": "launcher",
                "image": settings.worker_image,
                "command": ["/trunkline/launcher", "install", "/launcher/launcher"],
                "resources": _sidecar(wanted.sidecar_resource_requests, wanted.sidecar_resource_limits),
                "securityContext": own_user,
                "terminationMessagePolicy": "FallbackToLogsOnError",
                "volumeMounts": [{"name": "launcher", "mountPath": "/launcher"}],
            }
        ],
        "containers": [
            {
                "name": "user",
                "image": transform.image,
                # As in Pachyderm: a new name brings a new image. Kubernetes alone would ask the registry at each
                # start for an image without a tag or called "latest".
                "imagePullPolicy": "IfNotPresent",
                "command": ["/launcher/launcher", "serve", "/launcher/run.sock"],
                "env": [
                    {
                        "name": secret.env_var,
                        "valueFrom": {"secretKeyRef": {"name": secret.name, "key": secret.key}},
                    }
                    for secret in transform.secrets
                    if secret.env_var
                ],
                "resources": _user_resources(spec),
                "securityContext": _user_security(uid),
                "terminationMessagePolicy": "FallbackToLogsOnError",
                "volumeMounts": [
                    {"name": "launcher", "mountPath": "/launcher"},
                    {"name": "pfs", "mountPath": "/pfs"},
                    *mounts,
                ],
            },
            {
                "name": "worker",
                "image": settings.worker_image,
                "command": ["python3", "-P", "-m", "trunkline.worker"],
                "env": _worker_environment(spec, settings),
                "resources": _sidecar(wanted.sidecar_resource_requests, wanted.sidecar_resource_limits),
                "securityContext": own_user,
                "terminationMessagePolicy": "FallbackToLogsOnError",
                "volumeMounts": [
                    {"name": "launcher", "mountPath": "/launcher"},
                    {"name": "pfs", "mountPath": "/pfs"},
                    {"name": "tmp", "mountPath": "/tmp"},
                ],
            },
        ],
        "volumes": [
            {"name": "launcher", "emptyDir": {}},
            {"name": "pfs", **pfs},
            {"name": "tmp", "emptyDir": {}},
            *secret_volumes,
        ],
    }
    pod.update(_placement(wanted))
    if settings.service_account:
        pod["serviceAccountName"] = settings.service_account
    if pull := dict.fromkeys((*settings.pull_secrets, *transform.image_pull_secrets)):
        pod["imagePullSecrets"] = [{"name": name} for name in pull]
    return pod


def _worker_environment(spec: WorkerSpec, settings: PodSettings) -> list[dict[str, str]]:
    """Return what the worker is told; ``worker/settings.py`` reads it."""
    variables = {
        "TRUNKLINE_SERVER": settings.server,
        "TRUNKLINE_WORKER_ID": spec.worker_id,
        "TRUNKLINE_WORKER_TOKEN": spec.token,
        "TRUNKLINE_SCRATCH": "/pfs/.trunkline",
        "TRUNKLINE_LAUNCHER": "/launcher/run.sock",
        "TRUNKLINE_MEMORY": str(spec.memory),
        "TRUNKLINE_IMAGE": spec.image,
        "TRUNKLINE_GRACE": f"{min(float(LONGEST_GRACE), spec.grace):g}",
    }
    return [{"name": name, "value": value} for name, value in variables.items()]


def _placement(wanted: PipelineSpec) -> dict[str, Any]:
    placed: dict[str, Any] = {}
    if wanted.scheduling_spec is not None:
        if wanted.scheduling_spec.node_selector:
            placed["nodeSelector"] = dict(wanted.scheduling_spec.node_selector)
        if wanted.scheduling_spec.priority_class_name:
            placed["priorityClassName"] = wanted.scheduling_spec.priority_class_name
    if wanted.tolerations:
        placed["tolerations"] = [
            _toleration(each, f"toleration {number}/{len(wanted.tolerations)}")
            for number, each in enumerate(wanted.tolerations, 1)
        ]
    return placed


def _toleration(toleration: Toleration, where: str) -> dict[str, Any]:
    if toleration.operator == "EMPTY":
        raise InvalidArgument(f"{where} has no operator; write EXISTS or EQUAL")
    rendered = {
        "key": toleration.key,
        "operator": toleration.operator.capitalize(),
        "value": toleration.value,
        "effect": _EFFECTS[toleration.effect],
        "tolerationSeconds": toleration.toleration_seconds,
    }
    return {field: value for field, value in rendered.items() if value not in (None, "")}


# --- users ---------------------------------------------------------------------------------------------


def _ids(user: str) -> tuple[int, int]:
    """Return user and group that ``transform.user`` means: nothing, a number, ``uid:gid`` or root."""
    if not user:
        return DEFAULT_UID, DEFAULT_UID
    if user == "root":
        return 0, 0
    match = re.fullmatch(r"([0-9]{1,9})(?::([0-9]{1,9}))?", user, re.ASCII)
    if match is None:
        raise InvalidArgument(
            f'transform.user "{user}" is a name, and which number it has is known only inside the image; '
            "write the number, such as 1000, or 1000:1000 with a group"
        )
    uid = int(match[1])
    return uid, int(match[2]) if match[2] else uid


def _user_security(uid: int) -> dict[str, Any]:
    """Return what the command's container may do; as root it keeps what images for root count on."""
    if uid == 0:
        return {"privileged": False}
    return {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


def _own_security(uid: int) -> dict[str, Any]:
    """Return what our own containers may do: nothing but read and write files in the volumes.

    Beside a command that runs as root the files in ``/pfs`` may be anybody's, and must be read and removed.
    """
    capabilities: dict[str, Any] = {"drop": ["ALL"]}
    if uid == 0:
        capabilities["add"] = ["CHOWN", "DAC_OVERRIDE", "FOWNER"]
    return {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": capabilities,
    }


# --- resources -----------------------------------------------------------------------------------------


def _user_resources(spec: WorkerSpec) -> dict[str, Any]:
    requests = spec.wanted.resource_requests or ResourceSpec()
    limits = spec.wanted.resource_limits or ResourceSpec()
    resources = _resources(requests, limits)
    # Kubernetes takes the limit for a request that is not there.
    asked, limited = resources.setdefault("requests", {}), resources.get("limits", {})
    if "cpu" not in asked and "cpu" not in limited:
        asked["cpu"] = DEFAULT_CPU
    if "memory" not in asked and "memory" not in limited:
        asked["memory"] = str(spec.memory)
    return resources


def _sidecar(requests: ResourceSpec | None, limits: ResourceSpec | None) -> dict[str, Any]:
    """Return what our own container asks for; what the spec says replaces the defaults, as in Pachyderm."""
    resources = _resources(requests or ResourceSpec(), limits)
    if requests is None:
        # Said, not left out: a namespace may have defaults for who says nothing.
        resources["requests"] = {"cpu": SIDECAR_CPU, "memory": SIDECAR_MEMORY}
    return resources


def _resources(requests: ResourceSpec, limits: ResourceSpec | None) -> dict[str, Any]:
    asked = _amounts(requests)
    limited = _amounts(limits) if limits is not None else {}
    for which in (requests, limits):
        if which is not None and which.gpu is not None:
            # Devices cannot be overcommitted: the request is the limit.
            asked[which.gpu.type] = limited[which.gpu.type] = str(which.gpu.number)
    resources = {}
    if asked:
        resources["requests"] = asked
    if limited:
        resources["limits"] = limited
    return resources


def _amounts(resources: ResourceSpec) -> dict[str, str]:
    amounts = {}
    if resources.cpu:
        amounts["cpu"] = f"{max(1, math.ceil(round(resources.cpu * 1000, 6)))}m"
    if resources.memory:
        amounts["memory"] = _bytes(resources.memory)
    if resources.disk:
        amounts["ephemeral-storage"] = _bytes(resources.disk)
    return amounts


def _bytes(text: str) -> str:
    """Return an amount as Kubernetes writes it; fractions of bytes are rounded up."""
    return text if re.fullmatch(r"[0-9]+(?:[kMGTPE]|[KMGTPE]i)?", text) else str(parse_bytes(text, "amount"))


# --- secrets -------------------------------------------------------------------------------------------


def _secret_mounts(transform: Transform) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return volumes and mounts of the secrets that a command gets as files."""
    volumes: dict[str, str] = {}  # secret -> volume
    mounts = []
    for secret in transform.secrets:
        if not secret.mount_path:
            continue
        if secret.name not in volumes:
            usable = _VOLUME_NAME.fullmatch(secret.name) and secret.name not in _OWN_VOLUMES
            volumes[secret.name] = secret.name if usable else f"secret-{len(volumes)}"
        mounts.append({"name": volumes[secret.name], "mountPath": secret.mount_path, "readOnly": True})
    return [{"name": volume, "secret": {"secretName": name}} for name, volume in volumes.items()], mounts


# --- pod_spec and pod_patch ----------------------------------------------------------------------------


def _json(text: str, field: str, kind: type) -> Any:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidArgument(f"{field} is not JSON: {error}; write JSON, as a string") from error
    if not isinstance(value, kind):
        what = "an object, a part of a pod's spec" if kind is dict else "a list of JSON patch operations"
        raise InvalidArgument(f"{field} is no {'object' if kind is dict else 'list'}; write {what}")
    return value


def _patched(pod: dict[str, Any], operations: list[Any]) -> dict[str, Any]:
    """Apply a ``pod_patch``, whose paths start at the pod or, as in Pachyderm, at its spec."""
    rooted = []
    for number, operation in enumerate(operations):
        check_operation(operation, f"pod_patch[{number}]")
        rooted.append({**operation, **{f: _rooted(operation[f]) for f in ("path", "from") if f in operation}})
    patched = pod_patches.apply(pod, rooted, "pod_patch")
    assert isinstance(patched, dict)
    return patched


def _rooted(path: str) -> str:
    # A pod's spec has no field of either name, so there is no doubt what is meant.
    return path if path.split("/")[1:2] in (["spec"], ["metadata"]) else f"/spec{path}"


def _check_ours(pod: Mapping[str, Any]) -> None:
    """Check that a patched pod can still be a worker."""
    spec = pod.get("spec")
    if not isinstance(spec, dict) or not isinstance(pod.get("metadata"), dict):
        raise InvalidArgument("pod_patch replaces the pod's spec or metadata by something else; patch parts")
    for field in ("labels", "annotations"):
        if not isinstance(pod["metadata"].get(field, {}), dict):
            raise InvalidArgument(f"pod_patch makes the pod's {field} no object; patch single {field}")
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
    spec.setdefault("automountServiceAccountToken", False)
