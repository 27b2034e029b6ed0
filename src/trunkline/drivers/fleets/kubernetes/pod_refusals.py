"""Explains why the API server does not create a pod, and how to fix it. Pure."""

from __future__ import annotations

import re

from trunkline.drivers.fleets.kubernetes.pod_status import WaitReason, shortened


def not_created(code: int, reason: str, message: str, namespace: str) -> WaitReason:
    """Explain why the API server does not create a pod.

    Args:
        code: HTTP status; 0 when there was no answer.
        reason: Kubernetes' name of the failure, such as ``Invalid``.
        message: Kubernetes' own words.
        namespace: namespace of the pod.
    """
    # The pod's name, which the reader does not need.
    text = re.sub(r'^(?:admission webhook )?pods "[^"]*" is forbidden: ', "", shortened(message))
    if code == 403:
        return _forbidden(text, namespace)
    if code == 404 and "namespaces" in text:
        return WaitReason(f"namespace {namespace} does not exist; create it", True)
    if code == 422 or reason == "Invalid":
        return _invalid(re.sub(r'^Pod "[^"]*" is invalid: ', "", text), namespace)
    if code == 400:
        return WaitReason(f"Kubernetes refuses the pod: {text}", True)
    if code == 401:
        return WaitReason(f"the Kubernetes API does not accept the server's credentials: {text}")
    if code == 429:
        return WaitReason("waits for the Kubernetes API, which is overloaded")
    if code:
        return WaitReason(f"waits for the Kubernetes API, which answers: {text}")
    return WaitReason(f"waits for the Kubernetes API, which does not answer: {text}")


def _forbidden(text: str, namespace: str) -> WaitReason:
    if "exceeded quota" in text:
        return WaitReason(f"waits for the quota of namespace {namespace}: {text}", queued=True)
    if "failed quota" in text:
        return WaitReason(
            f"a ResourceQuota of namespace {namespace} refuses the pod: {text}; set resource_requests, "
            "resource_limits, sidecar_resource_requests and sidecar_resource_limits, or give the namespace a "
            "LimitRange with defaults",
            True,
        )
    if " cannot create " in text:
        rule = '{apiGroups: [""], resources: ["pods"], verbs: ["create"]}'
        return WaitReason(f"the server may not create pods ({text}); add to its Role: {rule}", True)
    if "PodSecurity" in text:
        return WaitReason(
            f"namespace {namespace} forbids such a pod: {text}; change transform.user, pod_spec or pod_patch, "
            "or the namespace's pod-security.kubernetes.io/enforce label",
            True,
        )
    if "serviceaccount" in text.lower():
        return WaitReason(
            f"{text}; create the service account in namespace {namespace} or name another", True
        )
    if "PriorityClass" in text:
        return WaitReason(f"{text}; create the class or correct scheduling_spec.priority_class_name", True)
    if re.search(r"(?:minimum|maximum) .* usage per |max limit to request ratio", text):
        return WaitReason(
            f"a LimitRange of namespace {namespace} refuses the pod: {text}; change resource_requests and "
            "resource_limits, or the LimitRange",
            True,
        )
    return WaitReason(f"Kubernetes refuses the pod: {text}", True)


def _invalid(text: str, namespace: str) -> WaitReason:
    if "must be less than or equal to" in text and "limit" in text:
        # ``create pipeline`` refuses a request above the spec's own limit, so the limit was added on the way.
        return WaitReason(
            f"Kubernetes finds the pod invalid: {text}; a LimitRange of namespace {namespace} adds limits to "
            "containers without one: set resource_limits and sidecar_resource_limits, or change the LimitRange",
            True,
        )
    return WaitReason(f"Kubernetes finds the pod invalid: {text}; correct the pipeline's spec", True)


def internal_error(error: Exception) -> WaitReason:
    """Explain a pod that an unexpected error of the server prevents."""
    return WaitReason(
        f"the server cannot create its pod: internal error {type(error).__name__}: {shortened(str(error))}; "
        "see the server's log",
        True,
    )
