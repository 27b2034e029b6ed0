"""What an hour of a machine costs, from what is seen of it. Pure; the prices are ``prices``' dated table."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

from trunkline.errors import NotFound
from trunkline.scaling.nodes import TYPES
from trunkline.scaling.prices import Prices, prices

if TYPE_CHECKING:
    from trunkline.model.workers import Machine

#: How Fargate tells what it provisioned: ``0.25vCPU 0.5GB``.
_PROVISIONED = re.compile(r"([\d.]+)vCPU ([\d.]+)GB")
_TYPES = {one.name: one for one in TYPES}


def per_hour(machine: Machine) -> float | None:
    """Return US dollars per hour, None when no price is known for such a machine there."""
    known = _of_region(machine.region)
    if known is None:
        return None
    if machine.kind == "fargate":
        found = _PROVISIONED.fullmatch(machine.instance_type)
        return known.fargate_hour(float(found[1]), float(found[2])) if found else None
    instance = _TYPES.get(machine.instance_type)
    if instance is None:
        return None
    return known.machine_hour(instance.family, instance.vcpu, spot=machine.spot)


@cache
def _of_region(region: str) -> Prices | None:
    try:
        return prices(region)
    except NotFound:
        return None
