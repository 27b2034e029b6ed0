"""What machines cost: arithmetic over a dated price table, for one region.

Fargate is billed per second from the start of the image download until the pod has ended, for at least a
minute, by what was provisioned (not by what was requested); storage only above 20 GB. EC2 is billed per
second for at least a minute. Sources: aws.amazon.com/fargate/pricing, aws.amazon.com/ec2/pricing/on-demand.
Taxes, savings plans, the cluster's own 0.10 USD per hour, disks of nodes and traffic are left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import Struct, field

from trunkline.errors import InvalidArgument, NotFound
from trunkline.scaling.price_table import TABLE

if TYPE_CHECKING:
    from collections.abc import Mapping

MINIMUM_SECONDS = 60.0  # of a Fargate pod and of a Linux machine on EC2
FREE_STORAGE = 20.0  # GB that every Fargate pod has without paying
_HOUR = 3600.0  # seconds


class Prices(Struct, frozen=True, kw_only=True):
    """The prices of one region, in US dollars per hour."""

    region: str
    as_of: str
    source: str
    vcpu: float
    gb: float
    #: Per GB of Fargate storage above ``FREE_STORAGE``; None when the table does not say.
    storage_gb: float | None
    #: Per vCPU, by family of instance types, on demand.
    families: Mapping[str, float] = field(default_factory=dict)
    #: What Spot costs of that, from 0 to 1.
    spot_share: float

    def fargate_hour(self, vcpu: float, gb: float, storage: float = FREE_STORAGE) -> float:
        """Return what an hour of a Fargate pod costs.

        Args:
            vcpu: provisioned processors.
            gb: provisioned memory.
            storage: provisioned storage in GB. What is above ``FREE_STORAGE`` costs nothing here if its price is
                unknown; see ``storage_is_priced``.
        """
        extra = max(0.0, storage - FREE_STORAGE) * (self.storage_gb or 0.0)
        return vcpu * self.vcpu + gb * self.gb + extra

    def storage_is_priced(self, storage: float) -> bool:
        """Return whether ``fargate_hour`` includes the price of that many GB of storage."""
        return self.storage_gb is not None or storage <= FREE_STORAGE

    def machine_hour(self, family: str, vcpu: float, *, spot: bool = False) -> float | None:
        """Return what an hour of an EC2 machine costs, None when its family is not in the table.

        Args:
            family: of the instance type, such as ``m5``.
            vcpu: the machine's vCPUs.
            spot: whether it is rented at the spot price.
        """
        price = self.families.get(family)
        return None if price is None else price * vcpu * (self.spot_share if spot else 1.0)


def billed(seconds: float, per_hour: float) -> float:
    """Return what one machine costs for a time: per second, a minute at least.

    >>> billed(5, 3600.0), billed(90, 3600.0)
    (60.0, 90.0)
    """
    return max(seconds, MINIMUM_SECONDS) * per_hour / _HOUR


def prices(region: str, overlay: Mapping[str, Any] | None = None, where: str = "the price file") -> Prices:
    """Return the prices of a region.

    Args:
        region: such as ``us-east-1``.
        overlay: a table of the shape of ``price_table.TABLE``, laid over it; parts may be left out.
        where: what to call the overlay when something is wrong with it.

    Raises:
        NotFound: the region is in neither.
        InvalidArgument: the overlay is not such a table.
    """
    table: dict[str, Any] = TABLE
    if overlay is not None:
        table = _merged(table, _checked(overlay, where))
    rates = table["regions"].get(region)
    if rates is None or "fargate" not in rates:
        regions = ", ".join(sorted(table["regions"]))
        raise NotFound(
            f'no prices for region "{region}" in the table of {table["as_of"]}, which has {regions}; '
            f"give them with --prices FILE, or leave the region out to plan without prices"
        )
    fargate = rates["fargate"]
    for rate in ("vcpu", "gb"):
        if rate not in fargate:
            raise InvalidArgument(f"{where}: regions.{region}.fargate has no {rate}; add it, in USD per hour")
    return Prices(
        region=region,
        as_of=table["as_of"],
        source=table["source"],
        vcpu=fargate["vcpu"],
        gb=fargate["gb"],
        storage_gb=fargate.get("storage_gb"),
        families=rates.get("ec2", {}),
        spot_share=table["spot_share"],
    )


def _merged(below: dict[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        lower = merged.get(key)
        merged[key] = _merged(lower, value) if isinstance(lower, dict) and isinstance(value, dict) else value
    return merged


def _checked(overlay: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    """Check the shape of a price file."""
    shape = 'write for example {"as_of": "2026-11", "regions": {"eu-west-1": {"fargate": {"vcpu": 0.04, "gb": 0.004}}}}'
    if not isinstance(overlay, dict) or not isinstance(overlay.get("regions", {}), dict):
        raise InvalidArgument(f"{where} is not a price table; {shape}")
    unknown = sorted(set(overlay) - set(TABLE))
    if unknown:
        raise InvalidArgument(f'{where} has the unknown field "{unknown[0]}"; {shape}')
    for name in ("as_of", "source", "currency"):
        if not isinstance(overlay.get(name, ""), str):
            raise InvalidArgument(f"{where}: {name} is {overlay[name]!r}; write a string, in quotes")
    share = overlay.get("spot_share", 1.0)
    if not _is_price(share) or share > 1:
        raise InvalidArgument(f"{where}: spot_share is {share!r}; write a number from 0 to 1")
    for region, parts in overlay.get("regions", {}).items():
        if not isinstance(parts, dict) or set(parts) - {"fargate", "ec2"}:
            raise InvalidArgument(f"{where}: regions.{region} may hold fargate and ec2; {shape}")
        for part, rates in parts.items():
            if not isinstance(rates, dict):
                raise InvalidArgument(f"{where}: regions.{region}.{part} holds no prices; {shape}")
            if part == "fargate" and set(rates) - {"vcpu", "gb", "storage_gb"}:
                raise InvalidArgument(
                    f"{where}: regions.{region}.fargate may hold vcpu, gb and storage_gb; {shape}"
                )
            for name, rate in rates.items():
                if not (_is_price(rate) or (name == "storage_gb" and rate is None)):
                    raise InvalidArgument(
                        f"{where}: regions.{region}.{part}.{name} is {rate!r}; write US dollars per hour"
                    )
    return overlay


def _is_price(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < float("inf")
