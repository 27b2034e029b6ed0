"""What a fleet of processes does with fields of a spec that it does not honour."""

from __future__ import annotations

from trunkline.model.field_support import OF_PODS, Treatment, Unsupported

_KUBERNETES_ONLY = Unsupported(Treatment.WARN, "it is for pods, and this server runs processes")
_NO_GPU = Unsupported(
    Treatment.REFUSE,
    "this server runs processes and gives no GPUs to them; leave it out (commands see the machine's GPUs), or "
    "serve with --fleet kubernetes",
)
_CPU = Unsupported(Treatment.WARN, "processes share the machine's processors")
_DISK = Unsupported(Treatment.WARN, "processes share the machine's disk")
#: What processes do not honour. The memory limit they do.
UNSUPPORTED = {
    "resource_requests.gpu": _NO_GPU,
    "resource_limits.gpu": _NO_GPU,
    "resource_limits.cpu": _CPU,
    "resource_limits.disk": _DISK,
    **dict.fromkeys(OF_PODS, _KUBERNETES_ONLY),
    "transform.image_pull_secrets": _KUBERNETES_ONLY,
    "transform.memory_volume": Unsupported(
        Treatment.WARN, "small inputs lie in memory anyway, outputs on the machine's disk"
    ),
    "transform.dockerfile": Unsupported(
        Treatment.WARN, 'no image is built from it; "trunkline create image" provides an environment'
    ),
    "transform.debug": Unsupported(Treatment.WARN, "the log has all that workers say"),
}
