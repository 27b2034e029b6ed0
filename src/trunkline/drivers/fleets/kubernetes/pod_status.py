"""Explains in one sentence why a worker's pod waits and how it ended. Pure.

The cluster reports it in three places: the pod's conditions, its containers' states, and events about it. Only a
state that waiting does not fix is unsatisfiable; a wait for a machine that is being added never is.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct

from trunkline.errors import InvalidArgument
from trunkline.model.quantities import parse_bytes, parse_cpus

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from lightkube.models.core_v1 import ContainerStateTerminated, ContainerStatus
    from lightkube.resources.core_v1 import Event, Pod

    from trunkline.model.workers import Machine

#: Characters of a message of Kubernetes that are passed on.
_LONGEST = 400
_NODES = re.compile(r"0/(\d+) nodes are available: (.*)", re.DOTALL)
_INSUFFICIENT = re.compile(r"(\d+) Insufficient ([\w./-]+)")
#: Keys of the events by which autoscalers answer for a pod that no node fits.
_ANSWERS = ("TriggeredScaleUp", "NotTriggerScaleUp", "Nominated", "FailedScheduling of Karpenter")
_PULL_FAILURES = ("ErrImagePull", "ImagePullBackOff", "RegistryUnavailable", "ImageInspectError")
_CLAIM = re.compile(r'(?:\d+ )?persistentvolumeclaim "([^"]+)" not found')
_NOMINATED = re.compile(r"(?:nodeclaim|node)/[\w.-]+")


class WaitReason(NamedTuple):
    """Why a pod does not run yet."""

    sentence: str
    #: Waiting does not fix it.
    unsatisfiable: bool = False
    #: It waits for other workers to end, and for nothing that is being started for it.
    queued: bool = False
    #: No node could take it even if it were empty, and no autoscaler is known to add one.
    lacks_machine: bool = False


class Note(Struct, frozen=True):
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


def key(reason: str, latest: Note) -> str:
    """Return the key under which the newest note is kept.

    FailedScheduling comes from the scheduler, which repeats that it finds no node, and from Karpenter, which adds
    none. Failed comes from the kubelet with the cause of a failed pull, and then with the state it leads to
    ("Error: ImagePullBackOff"), which must not replace the cause.
    """
    if reason == "FailedScheduling" and "karpenter" in latest.source:
        return "FailedScheduling of Karpenter"
    if reason == "Failed" and latest.message.startswith("Error: "):
        return "Failed, state"
    return reason


# --- waiting -------------------------------------------------------------------------------------------


def waiting(pod: Pod, notes: Mapping[str, Note], nodes: Mapping[str, Machine]) -> WaitReason:
    """Explain what a pod that does not run yet waits for.

    Args:
        pod: the pod as the cluster reports it.
        notes: the newest event of each ``key`` about it, in the order of arrival.
        nodes: the cluster's nodes by name; empty when they are not known.
    """
    if pod.spec is not None and pod.spec.nodeName:
        return _starting(pod, notes)
    condition = next((c for c in _conditions(pod) if c[0] == "PodScheduled"), ("", "", "", ""))
    _, status, reason, message = condition
    if status == "False" and reason == "SchedulingGated":
        return WaitReason(f"is held back by a scheduling gate: {shortened(message)}")
    if pod.spec is not None and pod.spec.schedulerName == "fargate-scheduler":
        return _on_fargate(message, notes)
    if status != "False":
        return WaitReason("was created and waits to be placed on a node")
    return _unplaced(pod, message, notes, nodes)


def _on_fargate(message: str, notes: Mapping[str, Note]) -> WaitReason:
    failed = notes.get("FailedScheduling")
    text = message or (failed.message if failed else "")
    if not text:
        return WaitReason("Fargate is starting a node for it, which takes about a minute")
    # In each of these cases no node is being started, so the wait does not count as the time of a start. It may end
    # by itself (a claim that is bound, a quota that grows), so none of them is unsatisfiable.
    if "not supported on Fargate" in text or "exceed" in text:
        return WaitReason(f"Fargate does not take this pod: {shortened(text)}", queued=True)
    if "profile" in text:
        return WaitReason(f"Fargate has no profile for this pod: {shortened(text)}", queued=True)
    return WaitReason(f"Fargate does not start a node for it yet: {shortened(text)}", queued=True)


def _unplaced(pod: Pod, message: str, notes: Mapping[str, Note], nodes: Mapping[str, Machine]) -> WaitReason:
    """Explain why no node was found, and whether an autoscaler adds one."""
    lack = f"no node fits: {_lacking(pod, message, nodes)}"
    lacks_machine = _exceeds(pod, nodes)
    answers = [
        (each.at, place, reason, each)
        for place, (reason, each) in enumerate(notes.items())
        if reason in _ANSWERS
    ]
    if not answers:
        return WaitReason(lack, queued=True, lacks_machine=lacks_machine)
    _, _, reason, answer = max(answers, key=lambda each: each[:2])
    why = shortened(answer.message.partition(": ")[2] or answer.message)
    if reason == "TriggeredScaleUp":
        return WaitReason(f"no node fits yet; Cluster Autoscaler is adding nodes: {why}")
    if reason == "Nominated":
        machines = ", ".join(_NOMINATED.findall(answer.message)) or "one"
        return WaitReason(f"no node fits yet; Karpenter is starting {machines}")
    who = "Cluster Autoscaler" if reason == "NotTriggerScaleUp" else "Karpenter"
    return WaitReason(f"{lack}; {who} cannot add one: {why}", queued=True, lacks_machine=lacks_machine)


def nominated(pod: Pod, notes: Mapping[str, Note]) -> str:
    """Return the machine that the scheduler or an autoscaler has chosen for a pod, or nothing."""
    if pod.status is not None and pod.status.nominatedNodeName:
        return pod.status.nominatedNodeName
    answer = notes.get("Nominated")
    names = _NOMINATED.findall(answer.message) if answer is not None else []
    return names[-1] if names else ""


def _lacking(pod: Pod, message: str, nodes: Mapping[str, Machine]) -> str:
    """Return what the nodes lack and how much of it the pod requests, from the scheduler's message."""
    match = _NODES.match(message)
    if match is None:
        if "no nodes available" in message:
            return "the cluster has no node that could take pods"
        return shortened(message) or "the scheduler does not say why"
    total, causes_text = match[1], match[2]
    causes_text = re.split(r"\.? preemption: |no new claims to deallocate", causes_text)[0].strip(" .,")
    causes = []
    for cause in re.split(r", (?=\d+ )", causes_text):
        insufficient = _INSUFFICIENT.fullmatch(cause)
        claim = _CLAIM.match(cause)
        if insufficient:
            number, resource = insufficient.groups()
            details = (
                [f"asked for: {_requested_text(pod, resource)}"] if _requested_text(pod, resource) else []
            )
            details += [_largest(resource, nodes)] if _largest(resource, nodes) else []
            causes.append(
                f"{number} of {total} lack {resource}" + (f" ({'; '.join(details)})" if details else "")
            )
        elif "untolerated taint" in cause:
            number, _, taint = cause.partition(" ")
            detail = taint[taint.find("{") : taint.rfind("}") + 1] if "{" in taint else ""
            causes.append(
                f"{number} of {total} have a taint {detail + ' ' if detail else ''}that tolerations do not name"
            )
        elif "node affinity/selector" in cause:
            number = cause.partition(" ")[0]
            causes.append(f"{number} of {total} do not match scheduling_spec.node_selector or the affinity")
        elif claim:
            causes.append(
                f'persistentvolumeclaim "{claim[1]}" does not exist; create it, or correct the volume in pod_spec '
                "or pod_patch"
            )
        else:
            causes.append(cause)
    return shortened(", ".join(causes))


def _requests(pod: Pod, resource: str) -> list[str]:
    """Return what each container requests of a resource, without those that request nothing."""
    amounts = []
    for container in (pod.spec.containers if pod.spec else None) or []:
        requests = (container.resources.requests if container.resources else None) or {}
        amount = str(requests.get(resource, "0"))
        if amount not in ("", "0"):
            amounts.append(amount)
    return amounts


def _requested_text(pod: Pod, resource: str) -> str:
    return " + ".join(_requests(pod, resource))


def _largest(resource: str, nodes: Mapping[str, Machine]) -> str:
    """Name the node with the most of a resource, as far as that is known."""
    if resource == "cpu" and nodes:
        node = max(nodes.values(), key=lambda each: each.cpu)
        return f"the largest node, {node.name}, has {node.cpu:g}"
    if resource == "memory" and nodes:
        node = max(nodes.values(), key=lambda each: each.memory)
        return f"the largest node, {node.name}, has {node.memory / (1 << 30):.3g}Gi"
    return ""


def _exceeds(pod: Pod, nodes: Mapping[str, Machine]) -> bool:
    """Return whether the pod requests more CPU or memory than any node has."""
    try:
        cpu = sum(parse_cpus(amount, "cpu") for amount in _requests(pod, "cpu"))
        memory = sum(parse_bytes(amount, "memory") for amount in _requests(pod, "memory"))
    except InvalidArgument:  # an amount that we cannot read, such as one from pod_spec
        return False
    return not any(cpu <= node.cpu and memory <= node.memory for node in nodes.values()) and bool(nodes)


def _starting(pod: Pod, notes: Mapping[str, Note]) -> WaitReason:
    """Explain what a pod that has a node waits for."""
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
        message = state.message or ""
        if state.reason in _PULL_FAILURES:
            message = _pull_failure(image, message, notes)
        return _container_trouble(state.reason or "", status.name, image, message)
    mount = notes.get("FailedMount")
    pulling = notes.get("Pulling")
    pulled = notes.get("Pulled")
    if mount is not None and (pulled is None or mount.at >= pulled.at):
        lost = re.search(r'(secret|configmap) "[^"]+" not found', mount.message)
        return WaitReason(f"a volume cannot be mounted: {shortened(mount.message)}", lost is not None)
    if pulling is not None and (pulled is None or pulling.at > pulled.at):
        image = re.search(r'image "([^"]+)"', pulling.message)
        name = f' "{image[1]}"' if image else ""
        return WaitReason(f"image{name} is being pulled on {node} since {_clock(pulling.at)} UTC")
    sandbox = notes.get("FailedCreatePodSandBox")
    if sandbox is not None and blocked is not None:
        return WaitReason(f"{node} cannot create its sandbox: {shortened(sandbox.message)}")
    if blocked is not None:
        return WaitReason(f"its containers are being created on {node}")
    return WaitReason(f"is placed on {node}, which has not started it yet")


def _pull_failure(image: str, message: str, notes: Mapping[str, Note]) -> str:
    """Return why an image cannot be pulled: from the container's state, or else from the event with the cause.

    Since Kubernetes 1.31 the state ImagePullBackOff repeats the cause; before, it only says "Back-off".
    """
    cause = message
    for prefix in (rf'Back-off pulling image "{re.escape(image)}"(?:: )?', r"ErrImagePull: "):
        cause = re.sub(f"^{prefix}", "", cause)
    failed = notes.get("Failed")
    if not cause and failed is not None and f'"{image}"' in failed.message:
        cause = re.sub(rf'^Failed to pull image "{re.escape(image)}": ', "", failed.message)
    return re.sub(r"^(?:rpc error: code = \w+ desc = )?(?:failed to pull and unpack image \S+ )?", "", cause)


def _container_trouble(reason: str, container: str, image: str, message: str) -> WaitReason:
    whose = "transform.image" if container == "user" else "the server's --worker-image"
    match reason:
        case "InvalidImageName":
            return WaitReason(f'"{image}" is not a valid image name; correct {whose}', True)
        case "ErrImageNeverPull":
            return WaitReason(
                f'image "{image}" is not on the node, and it may not be pulled; provide it there', True
            )
        case _ if reason in _PULL_FAILURES:
            return WaitReason(
                f'image "{image}" cannot be pulled: {shortened(message) or reason}; '
                f"correct {whose} or name image_pull_secrets that give access",
                True,
            )
        case "CreateContainerConfigError":
            return WaitReason(f"container {container} cannot be set up: {shortened(message)}", True)
        case _:
            return WaitReason(
                f"container {container} cannot be started: {reason}{f': {shortened(message)}' if message else ''}",
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
    """Explain how a pod ended.

    Args:
        pod: the pod as the cluster reported it last.
        machine: its machine, when it is known.
    """
    if reason := disruption(pod, machine):
        return reason
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
        message = shortened(pod.status.message or "")
        return f"failed: {pod.status.reason or 'no reason is given'}{f': {message}' if message else ''}"
    return "ended as asked"


def disruption(pod: Pod, machine: Machine | None = None) -> str:
    """Explain who removed the pod from its node; empty when it was not removed."""
    node = (pod.spec.nodeName if pod.spec else "") or "its node"
    status = pod.status
    if status is None:
        return ""
    message = shortened(status.message or "")
    spot = machine is not None and machine.spot
    spot_note = " (a spot machine: its owner may have taken it back)" if spot else ""
    if status.reason == "Evicted":
        return f"was evicted from {node}: {message}{spot_note}"
    if status.reason in ("NodeShutdown", "Terminated", "NodeLost"):
        return f"was lost with its node {node}, which was shut down{spot_note}"
    if status.reason in ("Preempting", "Preempted"):
        return _DISRUPTIONS["PreemptionByScheduler"]
    for kind, value, reason, detail in _conditions(pod):
        if kind == "DisruptionTarget" and value == "True":
            form = _DISRUPTIONS.get(reason, "was disrupted: {message}")
            return form.format(node=node, message=shortened(detail)) + spot_note
    return ""


def _exit(name: str, end: ContainerStateTerminated) -> str:
    last_line = shortened(
        next((line for line in reversed((end.message or "").splitlines()) if line.strip()), "")
    )
    ending_text = f"ended with exit code {end.exitCode}"
    if end.signal or end.exitCode == 137:
        ending_text = f"was killed ({'SIGKILL' if end.exitCode == 137 else f'signal {end.signal}'})"
    if end.reason not in (None, "Error", "Completed"):
        ending_text += f" ({end.reason})"
    return f"container {name} {ending_text}" + (f"; its last words: {last_line}" if last_line else "")


def _out_of_memory(pod: Pod, name: str) -> str:
    prefix = "" if name == "user" else "sidecar_"
    if limit := _limit(pod, name):
        return f"container {name} ran out of memory (limit {limit}); raise {prefix}resource_limits.memory"
    return f"container {name} ran out of memory, because its node had no more; raise {prefix}resource_requests.memory"


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


def shortened(message: str) -> str:
    """Return a message of Kubernetes as one line of limited length."""
    line = " ".join(message.split()).rstrip(".")
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…"


def _seconds(at: datetime) -> float:
    return at.timestamp()


def _clock(at: float) -> str:
    seconds = int(at) % 86_400
    return f"{seconds // 3600:02}:{seconds % 3600 // 60:02}:{seconds % 60:02}"
