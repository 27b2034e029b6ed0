"""How long one run takes and what it costs on Fargate, on a node group and on Karpenter's nodes, side by side.

Arithmetic over start-up, datum times and the price table, with the workers that ``policy.decide`` would
start: the server uses the same function. A forecast is a value, so that it can be compared with what happened.

The model: all workers are requested at once and are ready after one start-up; datums are divided evenly; a
worker without work stays idle as long as the policy keeps it, then ends. On Fargate each worker is billed from
its image download on. On nodes the machine is billed, from its boot until its autoscaler removes it: that tail
is most of the price of a short burst.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from msgspec import Struct

from trunkline.scaling import fargate, policy
from trunkline.scaling.nodes import TYPES, tilings
from trunkline.scaling.prices import billed

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trunkline.scaling.fargate import Quota
    from trunkline.scaling.nodes import DaemonSets, InstanceType, Tiling
    from trunkline.scaling.pods import Pod
    from trunkline.scaling.prices import Prices

#: Seconds of a start-up while nothing is measured: until a machine is ready, and until it has the image. Fargate:
#: 30 to 45 s for the node (aws/containers-roadmap 649), about 50 in all with a small image. EC2: 45 to 100 s
#: from pending to ready (aws/karpenter-provider-aws 3102 and 6128), the scan or the batch included.
FARGATE_MACHINE = 38.0
NODE_BOOT = 65.0
PULL = 12.0
PULL_PER_GB = 12.0  # of compressed image, nothing being cached on a new machine

#: Cluster Autoscaler: seconds between its looks, and that a node must be unneeded before it goes
#: (``--scan-interval``, ``--scale-down-unneeded-time``, its defaults).
SCAN = 10.0
UNNEEDED = 600.0
#: The unneeded time that ``nodes render`` writes for a group of workers: long enough for the next stage of a
#: chain of pipelines to find the nodes, a tenth of the default's price.
UNNEEDED_WORKERS = 60.0
#: Karpenter: its batching window (1 s idle, 10 s at most), and the ``consolidateAfter`` that ``nodes render``
#: writes.
BATCH = 5.0
CONSOLIDATE_AFTER = 30.0


class Run(Struct, frozen=True, kw_only=True):
    """One job of a pipeline, as needed for time and price."""

    pod: Pod
    #: The most workers, ``parallelism_spec.constant``.
    workers: int
    autoscaling: bool = True
    datums: int
    seconds_per_datum: float


class StartUp(Struct, frozen=True, kw_only=True):
    """The parts of a start of a worker, from its request until it is ready, in seconds."""

    #: Until an autoscaler decides to add a machine.
    decision: float = 0.0
    #: Until it is ready.
    machine: float
    #: Until the image is on it and the worker runs; paid in any case.
    pull: float

    @property
    def seconds(self) -> float:
        """The sum of all parts."""
        return self.decision + self.machine + self.pull


class Forecast(Struct, frozen=True, kw_only=True):
    """What a run is expected to take and cost in one place."""

    #: fargate, node group or karpenter.
    place: str
    #: The size of the machines, as the provider names it.
    machine: str
    workers: int
    machines: int
    #: Seconds from the commit until the job is done.
    seconds: float
    #: Seconds that all machines together are paid for, and how many of them after the last datum.
    paid_seconds: float
    tail_seconds: float
    #: US dollars, None without a price.
    dollars: float | None
    #: Seconds of work per worker from which on nodes are cheaper than Fargate for these workers; None when
    #: they never are, or for Fargate itself.
    break_even: float | None = None


def pull_seconds(image_gb: float) -> float:
    """Return the seconds that an image takes to a new machine."""
    return PULL + PULL_PER_GB * image_gb


def fargate_start_up(image_gb: float = 0.0, measured: float | None = None) -> StartUp:
    """Return Fargate's start-up; of a measured one, the machine's usual part is not paid for."""
    if measured is None:
        return StartUp(machine=FARGATE_MACHINE, pull=pull_seconds(image_gb))
    machine = min(FARGATE_MACHINE, measured)
    return StartUp(machine=machine, pull=measured - machine)


def started(run: Run, start_up: StartUp) -> int:
    """Return how many workers the policy starts for a run."""
    demand = policy.Demand(unclaimed=run.datums, claimed=0, seconds_per_datum=run.seconds_per_datum)
    rules = policy.Policy(
        workers=run.workers,
        autoscaling=run.autoscaling,
        stopped=False,
        startup_seconds=start_up.seconds,
        keep_seconds=policy.keep_seconds(start_up.seconds, ()),
    )
    return policy.decide(demand, rules, policy.Observed(workers=()), 0.0).start


def on_fargate(
    run: Run, prices: Prices | None, start_up: StartUp | None = None, quota: Quota | None = None
) -> Forecast | None:
    """Return the forecast of a run on Fargate, None when its pods do not fit there.

    Args:
        run: the datums, their duration and the pod of each worker.
        prices: those of the region.
        start_up: the parts of a start; the usual ones if None.
        quota: the account's limits; those of a new account if None.
    """
    fitting = fargate.fit(run.pod, prices)
    if fitting is None:
        return None
    start_up, quota = start_up or fargate_start_up(), quota or fargate.Quota()
    workers = started(run, start_up)
    limit = fargate.at_once(fitting.size, quota)
    workers = workers if limit is None else min(workers, limit)
    if not workers:
        return None
    share, more = divmod(run.datums, workers)
    idle_seconds = policy.keep_seconds(start_up.seconds, ()) if run.autoscaling else 0.0
    size = fitting.size
    hour = prices.fargate_hour(size.vcpu, size.gb, fitting.storage) if prices else None
    paid = dollars = 0.0
    for number, datums in ((more, share + 1), (workers - more, share)):
        alive = start_up.pull + datums * run.seconds_per_datum + idle_seconds
        paid += number * alive
        dollars += number * billed(alive, hour) if hour is not None else 0.0
    work = math.ceil(run.datums / workers) * run.seconds_per_datum
    return Forecast(
        place="fargate",
        machine=str(fitting.size),
        workers=workers,
        machines=workers,
        seconds=start_up.seconds + fargate.ramp_seconds(workers, quota) + work,
        paid_seconds=paid,
        tail_seconds=workers * idle_seconds,
        dollars=dollars if hour is not None else None,
    )


def on_nodes(
    run: Run,
    prices: Prices | None,
    *,
    karpenter: bool,
    image_gb: float = 0.0,
    unneeded: float = UNNEEDED,
    spot: bool = False,
    daemon_sets: DaemonSets | None = None,
    types: Iterable[InstanceType] = TYPES,
) -> Forecast | None:
    """Return the forecast of a run on the nodes that are cheapest for it, None when it fits none.

    Args:
        run: the datums, their duration and the pod of each worker.
        prices: those of the region; the one with the least waste is used when None.
        karpenter: the nodes are Karpenter's; otherwise they are a group of Cluster Autoscaler's.
        image_gb: compressed size of the image.
        unneeded: seconds after which Cluster Autoscaler removes an idle node; Karpenter's are ``CONSOLIDATE_AFTER``.
        spot: on Spot machines.
        daemon_sets: what runs on every node.
        types: those that may be used.
    """
    decision = BATCH if karpenter else SCAN
    start_up = StartUp(decision=decision, machine=NODE_BOOT, pull=pull_seconds(image_gb))
    workers = started(run, start_up)
    if not workers:
        return None
    work = math.ceil(run.datums / workers) * run.seconds_per_datum
    idle_seconds = policy.keep_seconds(start_up.seconds, ()) if run.autoscaling else 0.0
    tail = idle_seconds + (CONSOLIDATE_AFTER + BATCH if karpenter else unneeded + SCAN)
    alive = start_up.machine + start_up.pull + work + tail

    def forecast(tiling: Tiling) -> Forecast:
        machines = tiling.machines(workers)
        hour = prices.machine_hour(tiling.type.family, tiling.type.vcpu, spot=spot) if prices else None
        return Forecast(
            place="karpenter" if karpenter else "node group",
            machine=tiling.type.name,
            workers=workers,
            machines=machines,
            seconds=start_up.seconds + work,
            paid_seconds=machines * alive,
            tail_seconds=machines * tail,
            dollars=None if hour is None else machines * billed(alive, hour),
            break_even=None
            if prices is None or hour is None
            else _break_even(
                run.pod, prices, workers, machines * hour, alive - work, start_up.pull + idle_seconds
            ),
        )

    forecasts = [forecast(tiling) for tiling in tilings(run.pod, prices, daemon_sets, types, workers)]
    if prices is None:
        return forecasts[0] if forecasts else None
    return min(forecasts, key=lambda each: (each.dollars or 0.0, each.machines, each.machine), default=None)


def _break_even(
    pod: Pod, prices: Prices, workers: int, nodes_hour: float, around: float, around_pod: float
) -> float | None:
    """Return the seconds of work from which on nodes are cheaper.

    Args:
        pod: the worker.
        prices: those of the region.
        workers: how many there are.
        nodes_hour: what all their nodes cost.
        around: seconds that a node is paid for without work.
        around_pod: seconds that a pod is paid for without work.
    """
    fitting = fargate.fit(pod, prices)
    if fitting is None:
        return 0.0
    pods_hour = workers * prices.fargate_hour(fitting.size.vcpu, fitting.size.gb, fitting.storage)
    if pods_hour <= nodes_hour:
        return None
    return max(0.0, (nodes_hour * around - pods_hour * around_pod) / (pods_hour - nodes_hour))
