"""Where commands may see secrets as files, on fleets whose workers place them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trunkline.errors import InvalidArgument

if TYPE_CHECKING:
    from trunkline.model.spec import PipelineSpec

#: Folders in the root that have a meaning of their own.
_OTHERS = ("pfs", "proc", "dev", "sys")


def folders(spec: PipelineSpec) -> list[str]:
    """Return the folders of a pipeline's secrets, each once.

    Raises:
        InvalidArgument: a path cannot be one.
    """
    mounts = spec.transform.secrets if spec.transform is not None else ()
    paths = []
    for position, mount in enumerate(mounts):
        path = mount.mount_path.rstrip("/")
        if not mount.mount_path:
            continue
        parts = path.split("/")
        bad = not path.startswith("/") or any(part in ("", ".", "..") for part in parts[1:])
        if bad or parts[1] in _OTHERS or any(mark in path for mark in ":\0\n"):
            raise InvalidArgument(
                f'transform.secrets[{position}].mount_path "{mount.mount_path}" cannot be a folder of secrets; use an'
                " absolute path outside /pfs, /proc, /dev and /sys, such as /secrets/NAME"
            )
        paths.append(path)
    return list(dict.fromkeys(paths))
