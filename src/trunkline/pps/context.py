"""What every part of this layer needs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trunkline.pfs.versions import Versions
    from trunkline.ports import Fleet

#: Seconds until a claim that is not renewed is given to another worker. Workers renew every third of it.
LEASE = 10.0


@dataclass(slots=True, eq=False)
class Pipelines:
    """The pipeline side of the server: the versioned store below, the fleet beside."""

    versions: Versions
    fleet: Fleet
    #: Says what an image name means on this fleet, for the pipeline's info; empty when nothing needs saying.
    image_notice: ImageNotice
    #: Start-up seconds measured per image, newest last; lost with the server, which then starts from the prior.
    startups: dict[str, list[float]] = field(default_factory=dict)


class ImageNotice:
    """Default: images are what their name says."""

    def __call__(self, image: str) -> str:  # noqa: ARG002
        """Return a sentence about what ``image`` means here, or nothing."""
        return ""
