"""Why a worker's pod waits and how it ended, in one sentence each. Pure.

The cluster tells it in three places: conditions of the pod, states of its containers, and events about it.
Only states that waiting does not mend are unsatisfiable; a machine on its way never is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from lightkube.models.core_v1 import ContainerStateTerminated, ContainerStatus
    from lightkube.resources.core_v1 import Event, Pod

    from trunkline.model.workers import Machine

#: Characters of a foreign message that are passed on.
_LONGEST = 400
_NODES = re.compile(r"0/(\d+) nodes are available: (.*)", re.DOTALL)
_INSUFFICIENT = re.compile(r"(\d+) Insufficient ([\w./-]+)")
#: What autoscalers say about a pod that no node fits.
_ANSWERS = ("TriggeredScaleUp", "NotTriggerScaleUp", "Nominated", "FailedScheduling of Karpenter")
_NOMINATED = re.compile(r"(?:nodeclaim|node)/[\w.-]+")


class WaitReason(NamedTuple):
    """Why a pod does not run yet."""

    sentence: str
    #: Waiting does not mend it.
    unsatisfiable: bool = False
    #: It waits for others to go, and for nothing that is on its way.
    queued: bool = False


@dataclass(frozen=True, slots=True)
class Note:
    """The newest event of one reason about a pod."""

    message: str
    #: Seconds since the epoch.
    at: float
    #: Who tells it, such as ``karpenter``.
    source: str


def note(event: Event) -> Note:
    """Return what an event says."""
    times = (
        event.series.lastObservedTime if event.series else None,
        event.lastTimestamp,
        event.eventTime,
        event.firstTimestamp,
        event.metadata.creationTimestamp if event.metadata else None,
    )
    source = (event.source.component if event.source else None) or event.reportingComponent or ""
    return Note(event.message or "", next((_seconds(at) for at in times if at is not None), 0.0), source)


def key(reason: str, said: Note) -> str:
    """Return under which key a note is kept.

    The scheduler and Karpenter both say FailedScheduling: the one that it found no node, over and over, the other
    that it will not make one.
    """
    return f"{reason} of Karpenter" if reason == "FailedScheduling" and "karpenter" in said.source else reason


# --- waiting -------------------------------------------------------------------------------------------


def waiting(pod: Pod, notes: Mapping[str, Note]) -> WaitReason:
    """Say what a pod that is not running waits for.

    Args:
        pod: as the cluster has it.
        notes: the newest event of each ``key`` about it, the one heard last at the end.
    """
    if pod.spec is not None and pod.spec.nodeName:
        return _starting(pod, notes)
    condition = next((c for c in _conditions(pod) if c[0] == "PodScheduled"), ("", "", "", ""))
    _, status, reason, message = condition
    if status == "False" and reason == "SchedulingGated":
        return WaitReason(f"is held back by a scheduling gate: {_short(message)}")
    if pod.spec is not None and pod.spec.schedulerName == "fargate-scheduler":
        return _on_fargate(message, notes)
    if status != "False":
        return WaitReason("was created and waits to be placed on a node")
    return _unplaced(pod, message, notes)


def _on_fargate(message: str, notes: Mapping[str, Note]) -> WaitReason:
    failed = notes.get("FailedScheduling")
    told = message or (failed.message if failed else "")
    if not told:
        return WaitReason("Fargate is starting a node for it, which takes about a minute")
    # Whatever it is, a node is not on its way: that is no part of how long a start takes. It may pass by itself
    # (a claim that gets bound, a quota that grows), so none of it is unsatisfiable.
    if "not supported on Fargate" in told or "exceed" in told:
        return WaitReason(f"Fargate does not take this pod: {_short(told)}", queued=True)
    if "profile" in told:
        return WaitReason(f"Fargate has no profile for this pod: {_short(told)}", queued=True)
    return WaitReason(f"Fargate does not start a node for it yet: {_short(told)}", queued=True)


def _unplaced(pod: Pod, message: str, notes: Mapping[str, Note]) -> WaitReason:
    """Say why no node was found, and whether one is on its way."""
    lack = f"no node fits: {_lacking(pod, message)}"
    answers = [
        (each.at, place, reason, each)
        for place, (reason, each) in enumerate(notes.items())
        if reason in _ANSWERS
    ]
    if not answers:
        return WaitReason(lack, queued=True)
    _, _, reason, answer = max(answers, key=lambda each: each[:2])
    why = _short(answer.message.partition(": ")[2] or answer.message)
    if reason == "TriggeredScaleUp":
        return WaitReason(f"no node fits yet; Cluster Autoscaler is adding nodes: {why}")
    if reason == "Nominated":
        machines = ", ".join(_NOMINATED.findall(answer.message)) or "one"
        return WaitReason(f"no node fits yet; Karpenter is starting {machines}")
    who = "Cluster Autoscaler" if reason == "NotTriggerScaleUp" else "Karpenter"
    return WaitReason(f"{lack}; {who} cannot add one: {why}", queued=True)


def nominated(pod: Pod, notes: Mapping[str, Note]) -> str:
    """Return the machine that a pod will be on as far as somebody has decided, or nothing."""
    if pod.status is not None and pod.status.nominatedNodeName:
        return pod.status.nominatedNodeName
    answer = notes.get("Nominated")
    names = _NOMINATED.findall(answer.message) if answer is not None else []
    return names[-1] if names else ""


def _lacking(pod: Pod, message: str) -> str:
    """Put the scheduler's message into words: what the nodes lack and how much of it was asked for."""
    match = _NODES.match(message)
    if match is None:
        if "no nodes available" in message:
            return "the cluster has no node that could take pods"
        return _short(message) or "the scheduler does not say why"
    total, causes = match[1], match[2]
    causes = re.split(r"\.? preemption: |no new claims to deallocate", causes)[0].strip(" .,")
    told = []
    for cause in re.split(r", (?=\d+ )", causes):
        insufficient = _INSUFFICIENT.fullmatch(cause)
        if insufficient:
            number, resource = insufficient.groups()
            asked = _asked(pod, resource)
            told.append(f"{number} of {total} lack {resource}" + (f" (asked for: {asked})" if asked else ""))
        elif "untolerated taint" in cause:
            number, _, taint = cause.partition(" ")
            detail = taint[taint.find("{") : taint.rfind("}") + 1] if "{" in taint else ""
            told.append(
                f"{number} of {total} have a taint {detail + ' ' if detail else ''}that tolerations do not name"
            )
        elif "node affinity/selector" in cause:
            number = cause.partition(" ")[0]
            told.append(f"{number} of {total} do not match scheduling_spec.node_selector or the affinity")
        else:
            told.append(cause)
    return _short(", ".join(told))


def _asked(pod: Pod, resource: str) -> str:
    amounts = []
    for container in (pod.spec.containers if pod.spec else None) or []:
        requests = (container.resources.requests if container.resources else None) or {}
        if resource in requests:
            amounts.append(str(requests[resource]))
    return " + ".join(amounts)


def _starting(pod: Pod, notes: Mapping[str, Note]) -> WaitReason:
    """Say what a pod that has a node waits for."""
    assert pod.spec is not None
    node = pod.spec.nodeName or ""
    images = {
        each.name: each.image or ""
        for each in (*(pod.spec.initContainers or ()), *(pod.spec.containers or ()))
    }
    blocked: ContainerStatus | None = None
    for status in _statuses(pod):
        state = status.state.waiting if status.state else None
        if state is None or state.reason in (None, "ContainerCreating", "PodInitializing"):
            if state is not None and blocked is None:
                blocked = status
            continue
        image = images.get(status.name, status.image or "")
        failed = notes.get("Failed")
        message = state.message or ""
        if state.reason == "ImagePullBackOff" and failed is not None:
            message = failed.message
        return _container_trouble(state.reason or "", status.name, image, message)
    mount = notes.get("FailedMount")
    begun = notes.get("Pulling")
    pulled = notes.get("Pulled")
    if mount is not None and (pulled is None or mount.at >= pulled.at):
        lost = re.search(r'(secret|configmap) "[^"]+" not found', mount.message)
        return WaitReason(f"a volume cannot be mounted: {_short(mount.message)}", lost is not None)
    if begun is not None and (pulled is None or begun.at > pulled.at):
        image = re.search(r'image "([^"]+)"', begun.message)
        name = f' "{image[1]}"' if image else ""
        return WaitReason(f"image{name} is being pulled on {node} since {_clock(begun.at)} UTC")
    sandbox = notes.get("FailedCreatePodSandBox")
    if sandbox is not None and blocked is not None:
        return WaitReason(f"{node} cannot make its sandbox: {_short(sandbox.message)}")
    if blocked is not None:
        return WaitReason(f"its containers are being made on {node}")
    return WaitReason(f"is placed on {node}, which has not begun with it")


def _container_trouble(reason: str, container: str, image: str, message: str) -> WaitReason:
    whose = "transform.image" if container == "user" else "the server's --worker-image"
    match reason:
        case "InvalidImageName":
            return WaitReason(f'"{image}" is no name of an image; correct {whose}', True)
        case "ErrImageNeverPull":
            return WaitReason(
                f'image "{image}" is not on the node, and it may not be pulled; provide it there', True
            )
        case "ErrImagePull" | "ImagePullBackOff" | "RegistryUnavailable" | "ImageInspectError":
            return WaitReason(
                f'image "{image}" cannot be pulled: {_short(message) or reason}; '
                f"correct {whose} or name image_pull_secrets that may",
                True,
            )
        case "CreateContainerConfigError":
            return WaitReason(f"container {container} cannot be set up: {_short(message)}", True)
        case _:
            return WaitReason(
                f"container {container} cannot be started: {reason}{f': {_short(message)}' if message else ''}",
                True,
            )


def not_created(code: int, reason: str, message: str, namespace: str) -> WaitReason:
    """Say why the API server does not make a pod.

    Args:
        code: HTTP status; 0 when there was no answer.
        reason: Kubernetes' name of it.
        message: its words.
        namespace: where the pod was to be.
    """
    told = _short(message)
    # Its own name, which the reader does not need.
    told = re.sub(r'^(?:admission webhook )?pods "[^"]*" is forbidden: ', "", told)
    if code == 403 and "exceeded quota" in told:
        return WaitReason(f"waits for the quota of namespace {namespace}: {told}", queued=True)
    if code == 403 and " cannot create " in told:
        rule = '{apiGroups: [""], resources: ["pods"], verbs: ["create"]}'
        return WaitReason(f"the server may not create pods ({told}); add to its Role: {rule}", True)
    if code == 403 and "PodSecurity" in told:
        return WaitReason(
            f"namespace {namespace} forbids such a pod: {told}; change transform.user, pod_spec or pod_patch, "
            "or the namespace's pod-security.kubernetes.io/enforce label",
            True,
        )
    if code == 403 and "serviceaccount" in told.lower():
        return WaitReason(
            f"{told}; create the service account in namespace {namespace} or name another", True
        )
    if code == 404 and "namespaces" in told:
        return WaitReason(f"namespace {namespace} does not exist; create it", True)
    if code == 422 or reason == "Invalid":
        told = re.sub(r'^Pod "[^"]*" is invalid: ', "", told)
        return WaitReason(f"Kubernetes finds the pod invalid: {told}; correct the pipeline's spec", True)
    if code in (400, 403):
        return WaitReason(f"Kubernetes refuses the pod: {told}", True)
    if code == 401:
        return WaitReason(f"the Kubernetes API does not accept the server's credentials: {told}")
    if code == 429:
        return WaitReason("waits for the Kubernetes API, which is overloaded")
    if code:
        return WaitReason(f"waits for the Kubernetes API, which answers: {told}")
    return WaitReason(f"waits for the Kubernetes API, which does not answer: {told}")


def internal_error(error: Exception) -> WaitReason:
    """Explain a pod that an unexpected error of the server prevents."""
    return WaitReason(
        f"the server cannot create its pod: internal error {type(error).__name__}: {_short(str(error))}; "
        "see the server's log",
        True,
    )


# --- ended ---------------------------------------------------------------------------------------------

_DISRUPTIONS = {
    "PreemptionByScheduler": "had to make room for a pod of higher priority",
    "DeletionByTaintManager": "was removed because its node {node} is not well: {message}",
    "EvictionByEvictionAPI": "was evicted from {node}, which is being emptied",
    "DeletionByPodGC": "was lost with its node {node}",
    "TerminationByKubelet": "was ended by its node {node}: {message}",
}


def ended(pod: Pod) -> bool:
    """Return whether the worker in a pod has ended; the launcher beside it may still wait for commands."""
    if pod.status is not None and pod.status.phase in ("Succeeded", "Failed"):
        return True
    return any(
        status.name == "worker" and status.state is not None and status.state.terminated is not None
        for status in _statuses(pod)
    )


def command_ended(pod: Pod) -> bool:
    """Return whether the container that runs commands has ended."""
    return any(
        status.name == "user" and status.state is not None and status.state.terminated is not None
        for status in _statuses(pod)
    )


def ending(pod: Pod, machine: Machine | None = None) -> str:
    """Say how a pod ended.

    Args:
        pod: as the cluster had it last.
        machine: the one it was on, when it is known.
    """
    if told := disruption(pod, machine):
        return told
    for status, end in _terminations(pod):
        if end.reason == "OOMKilled":
            return _out_of_memory(pod, status.name)
    order = {"launcher": 0, "worker": 1, "user": 2}
    failed = sorted(
        ((status, end) for status, end in _terminations(pod) if end.exitCode),
        key=lambda each: order.get(each[0].name, 3),
    )
    for status, end in failed:
        if status.name == "user" and end.exitCode in (137, 143) and len(failed) > 1:
            continue
        return _exit(status.name, end)
    if pod.status is not None and pod.status.phase == "Failed":
        told = _short(pod.status.message or "")
        return f"failed: {pod.status.reason or 'no reason is given'}{f': {told}' if told else ''}"
    return "ended as asked"


def disruption(pod: Pod, machine: Machine | None = None) -> str:
    """Say who has taken the pod's place away; empty when nobody has."""
    node = (pod.spec.nodeName if pod.spec else "") or "its node"
    status = pod.status
    if status is None:
        return ""
    message = _short(status.message or "")
    spot = machine is not None and machine.spot
    taken = " (a spot machine: its owner may have taken it back)" if spot else ""
    if status.reason == "Evicted":
        return f"was evicted from {node}: {message}{taken}"
    if status.reason in ("NodeShutdown", "Terminated", "NodeLost"):
        return f"was lost with its node {node}, which was shut down{taken}"
    if status.reason in ("Preempting", "Preempted"):
        return _DISRUPTIONS["PreemptionByScheduler"]
    for kind, value, reason, told in _conditions(pod):
        if kind == "DisruptionTarget" and value == "True":
            form = _DISRUPTIONS.get(reason, "was disrupted: {message}")
            return form.format(node=node, message=_short(told)) + taken
    return ""


def _exit(name: str, end: ContainerStateTerminated) -> str:
    said = _short(next((line for line in reversed((end.message or "").splitlines()) if line.strip()), ""))
    how = f"ended with exit code {end.exitCode}"
    if end.signal or end.exitCode == 137:
        how = f"was killed ({'SIGKILL' if end.exitCode == 137 else f'signal {end.signal}'})"
    if end.reason not in (None, "Error", "Completed"):
        how += f" ({end.reason})"
    return f"container {name} {how}" + (f"; its last words: {said}" if said else "")


def _out_of_memory(pod: Pod, name: str) -> str:
    prefix = "" if name == "user" else "sidecar_"
    if limit := _limit(pod, name):
        return f"container {name} ran out of memory (limit {limit}); raise {prefix}resource_limits.memory"
    return f"container {name} ran out of memory, for its node had no more; raise {prefix}resource_requests.memory"


def _limit(pod: Pod, name: str) -> str:
    for container in (pod.spec.containers if pod.spec else None) or []:
        if container.name == name and container.resources is not None:
            return str((container.resources.limits or {}).get("memory", ""))
    return ""


# --- reading pods --------------------------------------------------------------------------------------


def _conditions(pod: Pod) -> Iterator[tuple[str, str, str, str]]:
    for each in (pod.status.conditions if pod.status else None) or []:
        yield each.type, each.status, each.reason or "", each.message or ""


def _statuses(pod: Pod) -> Iterator[ContainerStatus]:
    if pod.status is not None:
        yield from pod.status.initContainerStatuses or []
        yield from pod.status.containerStatuses or []


def _terminations(pod: Pod) -> Iterator[tuple[ContainerStatus, ContainerStateTerminated]]:
    for status in _statuses(pod):
        if status.state is not None and status.state.terminated is not None:
            yield status, status.state.terminated


def _short(message: str) -> str:
    line = " ".join(message.split()).rstrip(".")
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…"


def _seconds(at: datetime) -> float:
    return at.timestamp()


def _clock(at: float) -> str:
    seconds = int(at) % 86_400
    return f"{seconds // 3600:02}:{seconds % 3600 // 60:02}:{seconds % 60:02}"
