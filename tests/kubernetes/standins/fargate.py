"""AWS Fargate on EKS, as far as a cluster sees it: the webhook at admission, the scheduler, one node per pod.

The webhook asks ``trunkline.scaling.profiles`` which profile takes a pod and marks it as EKS does. The scheduler
refuses what Fargate refuses, counts vCPUs against the quota, and gives every pod a node of its own when the time
is over that such machines take by ``scaling.placement``'s model (log-normal, seeded, divided by a speed).

Words: "Pod not supported on Fargate: …" with the fields, volumes and SecurityContext is as public reports show it
(aws/containers-roadmap 14, 1382); so is LoggingDisabled. How AWS says that it has no capacity or that a quota is
reached on EKS is not published in so many words: those two messages are this file's own.
"""

from __future__ import annotations

import base64
import json
import math
import random
import ssl
import subprocess
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from standins.api import NODES, Loop, Recorder, condition, gone_is_fine, is_ready, node, path_of
from trunkline.aws.pods import read_pod
from trunkline.scaling import fargate, fargate_rules, profiles
from trunkline.scaling.placement import FARGATE_MACHINE, pull_seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from standins.api import Api, Mirror, Object
    from trunkline.scaling.profiles import Profile

SCHEDULER = "fargate-scheduler"
PROFILE = "eks.amazonaws.com/fargate-profile"
COMPUTE_TYPE = "eks.amazonaws.com/compute-type"
WEBHOOK = "fargate-mutation.standin.trunkline.test"
#: Of the log-normal start-up (reference: 50 s in the median, most between 30 and 80).
SIGMA = 0.25
#: Seconds between looks without an event.
PERIOD = 0.1
#: Seconds after which a refusal is repeated, as schedulers do.
REPEAT = 5.0
_UNSUPPORTED_FIELDS = {"host-network": "HostNetwork", "host-port": "port contains HostIP or HostPort"}


@dataclass(frozen=True, slots=True)
class Startup:
    """Draws how long machines and images take, in seconds."""

    speed: float = 1.0
    sigma: float = SIGMA
    chance: random.Random = field(default_factory=lambda: random.Random(0))
    image_gb: float = 0.0

    def machine(self) -> float:
        return FARGATE_MACHINE * self._factor() / self.speed

    def pull(self) -> float:
        return pull_seconds(self.image_gb) * self._factor() / self.speed

    def _factor(self) -> float:
        return math.exp(self.chance.gauss(0.0, self.sigma)) if self.sigma else 1.0


class Fargate:
    """The control plane's part of Fargate in one cluster."""

    def __init__(
        self,
        api: Api,
        pods: Mirror,
        nodes: Mirror,
        *,
        host: str,
        folder: Path,
        profiles: Sequence[Profile],
        startup: Startup,
        region: str = "us-east-1",
        vcpus: float = math.inf,
    ) -> None:
        """Begin, and register the webhook.

        Args:
            api: the API server.
            pods: a copy of all pods.
            nodes: a copy of all nodes.
            host: address at which the API server reaches this process.
            folder: for the webhook's certificate.
            profiles: the cluster's profiles.
            startup: how long machines take.
            region: where they stand.
            vcpus: quota of the account.
        """
        self._api = api
        self._pods = pods
        self._nodes = nodes
        self._startup = startup
        self._region = region
        self._recorder = Recorder(api, SCHEDULER)
        #: What a test may change: the quota, and whether machines come at all.
        self.vcpus = vcpus
        self.machines_come = True
        self._due: dict[str, float] = {}
        self._reported: dict[str, float] = {}
        self._refused: set[str] = set()
        self._webhook = Webhook(api, host, folder, lambda pod: mutation(profiles, pod))
        self._loop = Loop("fargate", self.step, PERIOD)
        pods.tell(self._loop.wake)
        nodes.tell(self._loop.wake)
        self._loop.start()

    def step(self) -> None:
        """Look at all pods that are for Fargate, and at all nodes that were made for them."""
        mine = [pod for pod in self._pods.all() if pod["spec"].get("schedulerName") == SCHEDULER]
        nodes = self._nodes.named()
        homes = {pod["spec"]["nodeName"] for pod in mine if pod["spec"].get("nodeName")}
        promised = {self._name_of(pod) for pod in mine if pod["metadata"]["uid"] in self._due}
        for name, obj in nodes.items():
            if is_fargate(obj) and name not in homes | promised:
                self._api.delete(f"{NODES}/{name}")
        used = sum(size_of(pod) for pod in mine if pod["metadata"]["uid"] in self._due)
        for pod in mine:
            if "deletionTimestamp" in pod["metadata"]:
                if not pod["spec"].get("nodeName"):
                    self._due.pop(pod["metadata"]["uid"], None)
                    self._api.delete(path_of(pod), grace=0)
            elif not pod["spec"].get("nodeName"):
                used += self._place(pod, nodes, used)
        present = {pod["metadata"]["uid"] for pod in mine}
        for uid in [uid for uid in self._due if uid not in present]:
            del self._due[uid]

    def _place(self, pod: Object, nodes: dict[str, Object], used: float) -> float:
        """Bring a pod nearer to its node; returns the vCPUs that it has been admitted with just now."""
        uid = pod["metadata"]["uid"]
        size = size_of(pod)
        admitted = 0.0
        if uid not in self._due:
            if refusal := refusal_of(pod):
                self._say(pod, refusal)
                return 0.0
            if used + size > self.vcpus:
                self._say(
                    pod,
                    f"Fargate vCPU quota of the account is reached: {used:g} of {self.vcpus:g} vCPUs are in use, "
                    f"the pod needs {size:g}",
                )
                return 0.0
            self._due[uid] = time.time() + self._startup.machine()
            admitted = size
            self._recorder.event(
                pod,
                "LoggingDisabled",
                'Disabled logging because aws-logging configmap was not found. configmap "aws-logging" not found',
                warning=True,
            )
        if not self.machines_come or time.time() < self._due[uid]:
            return admitted
        name = self._name_of(pod)
        if name not in nodes:
            with gone_is_fine():  # or there already, which the copy does not show yet
                self._api.create(NODES, self._node(name))
        elif is_ready(nodes[name]):
            self._bind(pod, name)
        return admitted

    def _bind(self, pod: Object, name: str) -> None:
        metadata = pod["metadata"]
        target = {"apiVersion": "v1", "kind": "Node", "name": name}
        binding = {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": metadata["name"]},
            "target": target,
        }
        with gone_is_fine():
            self._api.create(f"{path_of(pod)}/binding", binding)
            self._recorder.event(
                pod,
                "Scheduled",
                f"Successfully assigned {metadata['namespace']}/{metadata['name']} to {name}",
            )

    def _say(self, pod: Object, message: str) -> None:
        uid = pod["metadata"]["uid"]
        if time.time() < self._reported.get(uid, 0.0) + REPEAT:
            return
        self._reported[uid] = time.time()
        self._recorder.event(pod, "FailedScheduling", message, warning=True)
        waits = condition("PodScheduled", "False", "Unschedulable", message)
        self._api.merge(f"{path_of(pod)}/status", {"status": {"conditions": [waits]}})

    def _name_of(self, pod: Object) -> str:
        """Return the name of a pod's node, which follows from its uid: what a restart forgets is made again."""
        digits = int(pod["metadata"]["uid"].replace("-", "")[:8], 16)
        parts = [digits >> shift & 0xFF for shift in (16, 8, 0)]
        return f"fargate-ip-192-{'-'.join(map(str, parts))}.{self._region}.compute.internal"

    def _node(self, name: str) -> Object:
        zone = f"{self._region}a"
        return node(
            name,
            labels={
                COMPUTE_TYPE: "fargate",
                "kubernetes.io/hostname": name.removeprefix("fargate-"),
                "beta.kubernetes.io/arch": "amd64",
                "beta.kubernetes.io/os": "linux",
                "topology.kubernetes.io/region": self._region,
                "topology.kubernetes.io/zone": zone,
                "failure-domain.beta.kubernetes.io/region": self._region,
                "failure-domain.beta.kubernetes.io/zone": zone,
            },
            taints=[{"key": COMPUTE_TYPE, "value": "fargate", "effect": "NoSchedule"}],
            # Of the machine behind it, which is larger than what the pod was given and is billed for.
            capacity={"cpu": "2", "memory": "8Gi", "pods": "1", "ephemeral-storage": "30Gi"},
            provider_id=f"aws:///{zone}/0123456789-0123456789abcdef0123456789abcdef/{name}",
        )

    def close(self) -> None:
        """End, and take the webhook and the nodes away."""
        self._webhook.close()
        self._loop.close()
        for name, obj in self._nodes.named().items():
            if is_fargate(obj):
                self._api.delete(f"{NODES}/{name}")


def is_fargate(node: Object) -> bool:
    """Return whether a node is one of Fargate's."""
    labels: dict[str, str] = node["metadata"].get("labels", {})
    return labels.get(COMPUTE_TYPE) == "fargate"


def size_of(pod: Object) -> float:
    """Return the vCPUs that a pod is given; 0 when no machine is large enough."""
    fit = fargate.fit(read_pod(pod))
    return fit.size.vcpu if fit is not None else 0.0


def refusal_of(pod: Object) -> str:
    """Return why Fargate does not take a pod, in the words of its scheduler; nothing when it does."""
    read = read_pod(pod)
    refused = {each.rule for each in fargate_rules.findings(read) if each.weight == "refused"}
    if refused & {"cpu", "memory"}:
        return "Pod cpu/memory requirement exceeds max Fargate configuration"
    refusals = []
    fields = [text for rule, text in _UNSUPPORTED_FIELDS.items() if rule in refused]
    devices = sorted({device for each in read.containers for device in each.devices})
    fields += [f"resource {device}" for device in devices]
    if fields:
        refusals.append("fields not supported: " + ", ".join(fields))
    supported = {"emptyDir", "configMap", "secret", "projected", "downwardAPI", "persistentVolumeClaim"}
    volumes = [volume.name for volume in read.volumes if volume.kind not in supported]
    if volumes:
        refusals.append(f"volumes not supported: {', '.join(volumes)} is of an unsupported volume Type")
    if "privileged" in refused:
        refusals.append("invalid SecurityContext fields: Privileged")
    rest = refused - {"gpu", "volume", "host-path", "privileged", *_UNSUPPORTED_FIELDS}
    refusals += sorted(rest)
    return "Pod not supported on Fargate: " + ", ".join(refusals) if refusals else ""


# --- admission -----------------------------------------------------------------------------------------------


def mutation(candidates: Sequence[Profile], pod: Object) -> list[Object]:
    """Return the JSON patch that EKS applies to a pod at admission; nothing for one that no profile takes."""
    read = read_pod(pod)
    choice = profiles.choose(candidates, read)
    if choice.profile is None:
        return []
    fit = fargate.fit(read)
    metadata = pod["metadata"]
    annotations = {"Logging": "LoggingDisabled: LOGGING_CONFIGMAP_NOT_FOUND"}
    if fit is not None:
        annotations["CapacityProvisioned"] = str(fit.size)
    return [
        {"op": "add", "path": "/spec/schedulerName", "value": SCHEDULER},
        {
            "op": "add",
            "path": "/metadata/labels",
            "value": metadata.get("labels", {}) | {PROFILE: choice.profile.name},
        },
        {
            "op": "add",
            "path": "/metadata/annotations",
            "value": metadata.get("annotations", {}) | annotations,
        },
    ]


class Webhook:
    """A mutating admission webhook for pods, over HTTPS with a certificate that is made for it."""

    def __init__(self, api: Api, host: str, folder: Path, mutate: Callable[[Object], list[Object]]) -> None:
        self._api = api
        certificate, key = folder / "webhook.crt", folder / "webhook.key"
        subprocess.run(
            [
                *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
                *("-subj", "/CN=webhook", "-addext", f"subjectAltName=IP:{host}"),
                *("-keyout", str(key), "-out", str(certificate)),
            ],
            check=True,
            capture_output=True,
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                answer = json.dumps(reviewed(review, mutate)).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *arguments: Any) -> None:
                pass

        self._server = _Server((host, 0), Handler)
        self._server.daemon_threads = True
        self._server.socket = context.wrap_socket(
            self._server.socket, server_side=True, do_handshake_on_connect=False
        )
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True)
        self._thread.start()
        bundle = base64.b64encode(certificate.read_bytes()).decode()
        url = f"https://{host}:{self._server.server_address[1]}/mutate"
        api.create(_CONFIGURATIONS, _configuration(url, bundle))

    def close(self) -> None:
        """Take it away; pods are admitted as they are from then on."""
        self._api.delete(f"{_CONFIGURATIONS}/{WEBHOOK}")
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Pass over connections that the API server has closed."""


_CONFIGURATIONS = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"


def reviewed(review: Object, mutate: Callable[[Object], list[Object]]) -> Object:
    """Answer an AdmissionReview."""
    request = review["request"]
    pod = request["object"]
    pod["metadata"].setdefault("namespace", request.get("namespace", ""))
    response: Object = {"uid": request["uid"], "allowed": True}
    if operations := mutate(pod):
        response |= {
            "patchType": "JSONPatch",
            "patch": base64.b64encode(json.dumps(operations).encode()).decode(),
        }
    return {"apiVersion": review["apiVersion"], "kind": "AdmissionReview", "response": response}


def _configuration(url: str, bundle: str) -> Object:
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": WEBHOOK},
        "webhooks": [
            {
                "name": WEBHOOK,
                "admissionReviewVersions": ["v1"],
                "sideEffects": "None",
                # A test must not pass because its webhook was not asked.
                "failurePolicy": "Fail",
                "clientConfig": {"url": url, "caBundle": bundle},
                "rules": [rule],
            }
        ],
    }
