"""What a rehearsal of Fargate acts: how long each part of a start takes, and which machine a worker gets.

The machine is what ``scaling.fargate`` gives the worker's pod; the times are those that plans count with
(``scaling.placement``), spread by chance. Only the wait is acted: the worker behind it is real.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trunkline import errors
from trunkline.app.worker_pods import manifest
from trunkline.aws.pods import read_pod
from trunkline.drivers.fleets.simulated import SimulatedFleet
from trunkline.model.workers import Machine
from trunkline.scaling import fargate, placement

if TYPE_CHECKING:
    from trunkline.model.workers import WorkerSpec
    from trunkline.ports import Clock, Fleet

REGION = "us-east-1"  # the region whose prices are acted
#: Standard deviation of the logarithm of a start's time: two of three starts are within a quarter of the usual
#: one. An assumption; the provider publishes none.
SIGMA = 0.25
SCHEDULED = 2.0  # seconds until fargate-scheduler has taken a pod


@dataclass(frozen=True, slots=True)
class FargateAct:
    """Implements ``drivers.fleets.simulated.StartupScenario``."""

    waits: tuple[tuple[float, str], ...]
    registered: float
    machine: Machine


class FargateActing:
    """Thinks out one act after the other; the same seed gives the same acts."""

    def __init__(self, speed: float, seed: int) -> None:
        self._speed = speed
        self._random = random.Random(seed)
        self._number = 0

    def __call__(self, spec: WorkerSpec) -> FargateAct:
        """Return the act for a worker.

        Raises:
            InvalidArgument: Fargate has no machine that large.
        """
        fit = fargate.fit(read_pod(manifest(spec.wanted, "default")))
        if fit is None:
            raise errors.InvalidArgument(
                f"Fargate has no machine for a worker of {spec.project}/{spec.pipeline}: it gives 16 vCPU and"
                " 120 GB at most; lower resource_requests"
            )
        self._number += 1
        usual = placement.fargate_start_up()
        scale = math.exp(self._random.gauss(0.0, SIGMA)) / self._speed
        address = f"10-0-{self._number // 250}-{self._number % 250 + 4}"
        return FargateAct(
            waits=(
                (SCHEDULED * scale, "fargate-scheduler looks for a machine for it"),
                (usual.machine * scale, "Fargate starts a machine for it"),
                (usual.seconds * scale, "its machine is there and pulls the image"),
            ),
            registered=usual.machine * scale,
            machine=Machine(
                name=f"fargate-ip-{address}.{REGION}.compute.internal",
                kind="fargate",
                group="trunkline",
                instance_type=str(fit.size),
                region=REGION,
                cpu=fit.size.vcpu,
                memory=int(fit.size.gb * (1 << 30)),
                speed=self._speed,
            ),
        )


def rehearsed(fleet: Fleet, act: str, speed: float, clock: Clock) -> Fleet:
    """Let the workers of a fleet wait for acted machines.

    Raises:
        InvalidArgument: there is no such act, or time would stand still.
    """
    if act != "fargate":
        raise errors.InvalidArgument(f"--rehearse {act!r} is not known; use fargate")
    if not speed > 0:
        raise errors.InvalidArgument(f"--speed {speed:g} would let time stand still; give a number above 0")
    usual = placement.fargate_start_up().seconds / speed
    return SimulatedFleet(fleet, "rehearsed fargate", usual, FargateActing(speed, seed=1), clock)
