"""Simulated starts of Fargate machines: the duration of each step, and the machine that a worker gets.

The machine is the one that ``scaling.fargate`` selects for the worker's pod; the durations are those of plans
(``scaling.placement``), multiplied by a random factor. Only the wait is simulated; the worker is real.
"""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING

from msgspec import Struct

from trunkline import errors
from trunkline.app.worker_pods import manifest
from trunkline.aws.pods import read_pod
from trunkline.drivers.fleets.simulated import SimulatedFleet
from trunkline.model.workers import Machine
from trunkline.scaling import fargate, placement

if TYPE_CHECKING:
    from trunkline.model.workers import WorkerSpec
    from trunkline.ports import Clock, Fleet

REGION = "us-east-1"  # the region whose prices apply
#: Standard deviation of the logarithm of a start's time: two of three starts are within a quarter of the usual
#: one. An assumption; the provider publishes none.
SIGMA = 0.25
SCHEDULED = 2.0  # seconds until fargate-scheduler has accepted a pod


class FargateScenario(Struct, frozen=True):
    """Implements ``drivers.fleets.simulated.StartupScenario``."""

    waits: tuple[tuple[float, str], ...]
    registered: float
    machine: Machine


class FargateScenarios:
    """Draws scenarios from a seeded generator; the same seed gives the same scenarios."""

    def __init__(self, speed: float, seed: int) -> None:
        self._speed = speed
        self._random = random.Random(seed)
        self._number = 0

    def __call__(self, spec: WorkerSpec) -> FargateScenario:
        """Return the scenario for a worker.

        Raises:
            InvalidArgument: Fargate has no machine large enough.
        """
        fit = fargate.fit(read_pod(manifest(spec.pipeline_spec, "default")))
        if fit is None:
            raise errors.InvalidArgument(
                f"Fargate has no machine for a worker of {spec.project}/{spec.pipeline}: it has at most 16 vCPU and"
                " 120 GB; lower resource_requests"
            )
        self._number += 1
        usual = placement.fargate_start_up()
        scale = math.exp(self._random.gauss(0.0, SIGMA)) / self._speed
        address = f"10-0-{self._number // 250}-{self._number % 250 + 4}"
        return FargateScenario(
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


def simulated(fleet: Fleet, provider: str, speed: float, clock: Clock) -> Fleet:
    """Let the workers of a fleet wait for simulated machines.

    Args:
        fleet: runs the workers.
        provider: whose machines are simulated; only ``fargate`` is known.
        speed: seconds of the simulation that pass in a second.
        clock: the time.

    Raises:
        InvalidArgument: the provider is unknown, or the speed is not above 0.
    """
    if provider != "fargate":
        raise errors.InvalidArgument(f"--simulate {provider!r} is not supported; use fargate")
    if not speed > 0:
        raise errors.InvalidArgument(f"--speed {speed:g} is not a valid speed; use a number above 0")
    usual = placement.fargate_start_up().seconds / speed
    return SimulatedFleet(fleet, "simulated fargate", usual, FargateScenarios(speed, seed=1), clock)
