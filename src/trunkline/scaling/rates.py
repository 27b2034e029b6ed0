"""What an hour of a machine costs. Pure; the prices are those of the dated table in ``prices``."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

from trunkline.errors import NotFound
from trunkline.scaling.nodes import TYPES
from trunkline.scaling.prices import Prices, prices

if TYPE_CHECKING:
    from trunkline.model.workers import Machine

#: How Fargate names what it provisioned: ``0.25vCPU 0.5GB``.
_PROVISIONED = re.compile(r"([\d.]+)vCPU ([\d.]+)GB")
_TYPES = {each.name: each for each in TYPES}


def per_hour(machine: Machine) -> float | None:
    """Return US dollars per hour, None when no price is known for such a machine there."""
    region = _of_region(machine.region)
    if region is None:
        return None
    if machine.kind == "fargate":
        size = _PROVISIONED.fullmatch(machine.instance_type)
        return region.fargate_hour(float(size[1]), float(size[2])) if size else None
    instance = _TYPES.get(machine.instance_type)
    if instance is None:
        return None
    return region.machine_hour(instance.family, instance.vcpu, spot=machine.spot)


@cache
def _of_region(region: str) -> Prices | None:
    try:
        return prices(region)
    except NotFound:
        return None
