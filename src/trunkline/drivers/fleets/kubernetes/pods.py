"""Renders the pod of a worker from its ``WorkerSpec``. Pure: the same worker always gives the same pod.

Three containers share two empty volumes. ``launcher`` copies a static binary and ends; ``user`` is the
pipeline's image with that binary as its command; ``worker`` claims datums and has the launcher run them.
``user`` is the first container, as in Pachyderm's pods, so that a ``pod_patch`` written for those means the
same here. The pod passes Pod Security "restricted" unless the spec asks for more. docs/design/pods.md shows it.

The layers, each over the one before: the fields here, the installation's pod defaults, the fields of the
pipeline's spec, its ``pod_spec``, its ``pod_patch``. The result is checked by ``pod_policy``.

Nothing here checks whether a secret, a node or an image exists: the cluster reports it, and ``pod_status`` and
``pod_refusals`` explain it.
"""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct, field

from trunkline.drivers.fleets.kubernetes import pod_patches, pod_policy
from trunkline.drivers.fleets.kubernetes.pod_policy import PodPolicy
from trunkline.drivers.fleets.kubernetes.pod_resources import sidecar_resources, user_resources
from trunkline.errors import InvalidArgument
from trunkline.model.pod_rules import check_operation
from trunkline.model.spec import Transform
from trunkline.ports import ServerAddress  # noqa: TC001 a field

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trunkline.model.spec import PipelineSpec, Toleration
    from trunkline.model.workers import WorkerSpec

MANAGED_BY = "app.kubernetes.io/managed-by"
CLUSTER = "trunkline.dev/cluster"
WORKER = "trunkline.dev/worker"
#: Marks the pods of services, which accept connections.
SERVES = "trunkline.dev/serves"
#: What those who remove machines read on the pod of a worker that holds work, and of one that idles. The second
#: needs words too: Cluster Autoscaler leaves a pod alone that no controller owns or that has an emptyDir.
BUSY = {
    "cluster-autoscaler.kubernetes.io/safe-to-evict": "false",
    "karpenter.sh/do-not-disrupt": "true",
}
IDLE = {"cluster-autoscaler.kubernetes.io/safe-to-evict": "true", "karpenter.sh/do-not-disrupt": None}
#: Audience of workers' tokens: the API server does not accept them, and Trunkline accepts no others.
AUDIENCE = "trunkline"
#: Life of a worker's token in seconds; the kubelet renews it at four fifths of it.
TOKEN_SECONDS = 3600
#: Seconds; Cluster Autoscaler does not wait longer for a pod that it drains.
LONGEST_GRACE = 600
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
_OWN_VOLUMES = ("launcher", "pfs", "tmp", pod_policy.IDENTITY_VOLUME)
_IDENTITY_FOLDER = "/var/run/secrets/trunkline.dev/worker"


class WorkerConfig(Struct, frozen=True, kw_only=True):
    """What an administrator sets for all workers of an installation."""

    #: Part of a pod's ``metadata`` (labels, annotations) and ``spec``, merged below what pipelines set.
    defaults: Mapping[str, Any] = field(default_factory=dict)
    policy: PodPolicy = field(default_factory=PodPolicy)
    #: The object whose removal removes all workers, as an ownerReference; None for none.
    owner: Mapping[str, Any] | None = None

    @property
    def service_account(self) -> str:
        """The service account of all workers; empty for the namespace's default."""
        return str(self.defaults.get("spec", {}).get("serviceAccountName", ""))


class PodSettings(Struct, frozen=True, kw_only=True):
    """What all worker pods of a server have in common."""

    #: Identity of the installation; pods with another one belong to other servers.
    cluster: str
    namespace: str
    #: How workers reach the server.
    server: ServerAddress
    #: Image with the worker and the launcher.
    worker_image: str
    #: What an administrator sets for all workers.
    config: WorkerConfig = field(default_factory=WorkerConfig)


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
        InvalidArgument: the spec asks for what no pod can have, or for what its workers may not use.
    """
    pipeline = spec.pipeline_spec
    defaults = settings.config.defaults
    pod: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": _metadata(spec, settings),
        "spec": _pod_spec(spec, settings),
    }
    if defaults.get("spec"):
        pod["spec"] = _with_defaults(pod["spec"], defaults["spec"], spec)
    if pipeline.pod_spec:
        pod["spec"] = pod_patches.merge(pod["spec"], _json(pipeline.pod_spec, "pod_spec", dict))
    if pipeline.pod_patch:
        pod = _patched(pod, _json(pipeline.pod_patch, "pod_patch", list))
    pod_policy.check(pod, settings.config.policy, settings.config.service_account)
    pod["spec"].setdefault("automountServiceAccountToken", False)
    # Patches do not change what the fleet finds the pod by.
    metadata = pod["metadata"]
    metadata.update(name=pod_name(spec), namespace=settings.namespace)
    for kind in ("labels", "annotations"):
        metadata[kind] = {**metadata.get(kind, {}), **_own(kind, spec, settings)}
    metadata.pop("ownerReferences", None)
    if settings.config.owner is not None:
        metadata["ownerReferences"] = [dict(settings.config.owner)]
    return pod


def _metadata(spec: WorkerSpec, settings: PodSettings) -> dict[str, Any]:
    user = spec.pipeline_spec.metadata
    defaults = settings.config.defaults.get("metadata", {})
    return {
        "name": pod_name(spec),
        "namespace": settings.namespace,
        **{
            kind: {
                **defaults.get(kind, {}),
                **(getattr(user, kind) if user else {}),
                **_own(kind, spec, settings),
            }
            for kind in ("labels", "annotations")
        },
    }


def _with_defaults(rendered: dict[str, Any], defaults: Mapping[str, Any], spec: WorkerSpec) -> dict[str, Any]:
    """Return a rendered pod spec with the installation's defaults below what the pipeline sets."""
    transform = spec.pipeline_spec.transform or Transform()
    merged: dict[str, Any] = pod_patches.merge(rendered, defaults)
    pipeline = _placement(spec.pipeline_spec)
    if tolerations := [*defaults.get("tolerations", ()), *pipeline.get("tolerations", ())]:
        pipeline["tolerations"] = tolerations  # they add up: each lets pods onto more nodes
    if transform.user:
        pipeline["securityContext"] = _ids_of_pod(*_ids(transform.user))
    own = {each["name"]: each for each in (*rendered["containers"], *rendered["initContainers"])}
    pipeline["containers"] = [{"name": "user", "image": own["user"]["image"], "env": own["user"]["env"]}]
    merged = pod_patches.merge(merged, pipeline)
    for container in (*merged["containers"], *merged["initContainers"]):
        if container["name"] in own:  # with the defaults already
            container["resources"] = own[container["name"]]["resources"]
    return merged


def _default_resources(settings: PodSettings, container: str) -> Mapping[str, Any]:
    spec = settings.config.defaults.get("spec", {})
    for each in (*spec.get("containers", ()), *spec.get("initContainers", ())):
        if each.get("name") == container:
            resources: Mapping[str, Any] = each.get("resources") or {}
            return resources
    return {}


def _own(kind: str, spec: WorkerSpec, settings: PodSettings) -> dict[str, str]:
    """Return the labels or annotations that nothing overrides: ours, and those that Pachyderm's users look for."""
    names = {
        "pipelineName": spec.pipeline,
        "pipelineProject": spec.project,
        "pipelineVersion": str(spec.version),
    }
    if kind == "annotations":
        return {**names, **BUSY}
    return {
        **selector(settings),
        WORKER: spec.worker_id,
        **({SERVES: "true"} if spec.pipeline_spec.published is not None else {}),
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
    pipeline = spec.pipeline_spec
    transform = pipeline.transform or Transform()
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
        "securityContext": {**_ids_of_pod(uid, gid), "seccompProfile": {"type": "RuntimeDefault"}},
        "initContainers": [
            {
                "name": "launcher",
                "image": settings.worker_image,
                "command": ["/trunkline/launcher", "install", "/launcher/launcher"],
                "resources": sidecar_resources(
                    pipeline.sidecar_resource_requests,
                    pipeline.sidecar_resource_limits,
                    _default_resources(settings, "launcher"),
                ),
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
                "resources": user_resources(spec, _default_resources(settings, "user")),
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
                "resources": sidecar_resources(
                    pipeline.sidecar_resource_requests,
                    pipeline.sidecar_resource_limits,
                    _default_resources(settings, "worker"),
                ),
                "securityContext": own_user,
                "terminationMessagePolicy": "FallbackToLogsOnError",
                "volumeMounts": [
                    {"name": "launcher", "mountPath": "/launcher"},
                    {"name": "pfs", "mountPath": "/pfs"},
                    {"name": "tmp", "mountPath": "/tmp"},
                    {"name": pod_policy.IDENTITY_VOLUME, "mountPath": _IDENTITY_FOLDER, "readOnly": True},
                ],
            },
        ],
        "volumes": [
            {"name": "launcher", "emptyDir": {}},
            {"name": "pfs", **pfs},
            {"name": "tmp", "emptyDir": {}},
            {
                "name": pod_policy.IDENTITY_VOLUME,
                "projected": {
                    "sources": [
                        {
                            "serviceAccountToken": {
                                "audience": AUDIENCE,
                                "expirationSeconds": TOKEN_SECONDS,
                                "path": "token",
                            }
                        }
                    ]
                },
            },
            *secret_volumes,
        ],
    }
    pod.update(_placement(pipeline))
    if transform.image_pull_secrets:
        pod["imagePullSecrets"] = [{"name": name} for name in dict.fromkeys(transform.image_pull_secrets)]
    return pod


def _worker_environment(spec: WorkerSpec, settings: PodSettings) -> list[dict[str, str]]:
    """Return the worker's settings; ``worker/settings.py`` reads them."""
    variables = {
        "TRUNKLINE_SERVER": settings.server.address,
        "TRUNKLINE_WORKER_ID": spec.worker_id,
        "TRUNKLINE_WORKER_TOKEN_FILE": f"{_IDENTITY_FOLDER}/token",
        "TRUNKLINE_SCRATCH": "/pfs/.trunkline",
        "TRUNKLINE_LAUNCHER": "/launcher/run.sock",
        "TRUNKLINE_MEMORY": str(spec.memory),
        "TRUNKLINE_IMAGE": spec.image,
        "TRUNKLINE_GRACE": f"{min(float(LONGEST_GRACE), spec.grace):g}",
    }
    if settings.server.name:
        variables["TRUNKLINE_SERVER_NAME"] = settings.server.name
    if settings.server.ca:
        variables["TRUNKLINE_SERVER_CA"] = Path(settings.server.ca).read_text("utf-8")
    return [{"name": name, "value": value} for name, value in variables.items()]


def _placement(pipeline: PipelineSpec) -> dict[str, Any]:
    placed: dict[str, Any] = {}
    if pipeline.scheduling_spec is not None:
        if pipeline.scheduling_spec.node_selector:
            placed["nodeSelector"] = dict(pipeline.scheduling_spec.node_selector)
        if pipeline.scheduling_spec.priority_class_name:
            placed["priorityClassName"] = pipeline.scheduling_spec.priority_class_name
    if pipeline.tolerations:
        placed["tolerations"] = [
            _toleration(each, f"toleration {number}/{len(pipeline.tolerations)}")
            for number, each in enumerate(pipeline.tolerations, 1)
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


def _ids_of_pod(uid: int, gid: int) -> dict[str, Any]:
    return {"runAsUser": uid, "runAsGroup": gid, "fsGroup": gid, "runAsNonRoot": uid != 0}


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
        raise InvalidArgument(f"{field} is not {'an object' if kind is dict else 'a list'}; write {what}")
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
    # A pod's spec has no field of either name, so the path is unambiguous.
    return path if path.split("/")[1:2] in (["spec"], ["metadata"]) else f"/spec{path}"
