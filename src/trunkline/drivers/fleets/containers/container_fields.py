"""What containers do with fields of a spec that they do not honour."""

from __future__ import annotations

from trunkline.model.field_support import OF_PODS, Treatment, Unsupported

_KUBERNETES_ONLY = Unsupported(Treatment.WARN, "it is for pods, and this server runs containers")
_DISK = Unsupported(Treatment.WARN, "containers share the machine's disk")
#: What containers do not honour. Their limits of memory and CPU they do.
UNSUPPORTED = {
    "resource_limits.disk": _DISK,
    **dict.fromkeys(OF_PODS, _KUBERNETES_ONLY),
    "transform.image_pull_secrets": Unsupported(
        Treatment.WARN, "images are pulled with the credentials of the user who runs the server"
    ),
    "transform.memory_volume": Unsupported(Treatment.WARN, "files of datums lie on the machine's disk"),
    "transform.dockerfile": Unsupported(
        Treatment.WARN, "no image is built from it; build one, and name it in transform.image"
    ),
    "transform.debug": Unsupported(Treatment.WARN, "the log has all that workers say"),
}


def without_devices(lack: str) -> dict[str, Unsupported]:
    """Return what is not honoured where the engine gives no devices to containers.

    Args:
        lack: why it gives none.
    """
    refused = Unsupported(
        Treatment.REFUSE, f"{lack}; leave it out, use another engine, or serve with --fleet kubernetes"
    )
    return {**UNSUPPORTED, "resource_requests.gpu": refused, "resource_limits.gpu": refused}
