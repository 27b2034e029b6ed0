"""Fargate simulated: how long jobs take, what they cost, and how close the plan was.

The server, the pipelines and the workers are real; the machines are simulated (``serve --simulate fargate``). All times
are Fargate's: the measured time multiplied by the speed, so that an overhead of 0.1 s counts as 0.5 s at speed 5.
The datums sleep, so they take exactly the stated time.

The peer is Pachyderm's rule, described below, in the same server on the same simulated machines: only
``scaling.policy.decide`` is replaced. All its starts take the same time (``SIGMA`` 0), so that results can be
compared with one start-up time; the plans are compared with starts that vary as in the simulation.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import common

from trunkline.client.stubs import Client
from trunkline.rpc.gen import control_pb2, pps_pb2
from trunkline.scaling import placement, policy

WORKERS = 5
START_UP = placement.fargate_start_up().seconds
REQUESTS = {"cpu": 1, "memory": "4Gi"}
#: Faster would count this machine's own milliseconds too often, slower would only take longer.
SPEED = 5.0
#: The chain: datums of ``edges`` and their seconds, and those of the one datum of ``montage``.
DATUMS, SECONDS, MONTAGE = 10, 20.0, 10.0
PACHYDERM_LOOKS = 30.0  # seconds
RUNS = 3  # of the chain with each rule, in turns; each takes 20 to 45 s


class PachydermRule:
    """Pachyderm's autoscaling, with the signature of ``policy.decide``.

    One worker first, which creates the tasks; every 30 s as many workers as there are tasks, up to the limit; never
    fewer until the job is done, then none at once (its pps controller, 2.12).
    """

    def __init__(self, speed: float) -> None:
        self._every = PACHYDERM_LOOKS / speed
        self._begun: dict[str, float] = {}
        self._looked: dict[str, int] = {}

    def __call__(
        self, demand: policy.Demand, rules: policy.Policy, observed: policy.Observed, now: float
    ) -> policy.Decision:
        fleet = [worker for worker in observed.workers if worker.state != "retiring"]
        tasks = demand.unclaimed + demand.claimed
        if not tasks:
            retired = tuple(worker.id for worker in fleet if worker.state != "busy")
            return policy.Decision(
                target=len(fleet) - len(retired),
                start=0,
                retire=retired,
                sentence="nothing to do",
                wake_at=None,
            )
        if not fleet:
            return policy.Decision(target=1, start=1, retire=(), sentence="one worker first", wake_at=None)
        first = min(fleet, key=lambda worker: self._begun.setdefault(worker.id, now)).id
        looks = int((now - self._begun[first]) / self._every)
        start = 0
        if looks > self._looked.get(first, 0):
            self._looked[first] = looks
            if any(worker.state in ("idle", "busy") for worker in fleet):  # else no tasks were made yet
                start = max(0, min(rules.workers, tasks) - len(fleet))
        return policy.Decision(
            target=len(fleet) + start,
            start=start,
            retire=(),
            sentence=f"{tasks} tasks, {len(fleet) + start} workers",
            wake_at=self._begun[first] + (looks + 1) * self._every,
        )


def serve(rule: str, sigma: str, *arguments: str) -> int:
    """Run the server with another policy or other start-up times."""
    from trunkline.app import simulation
    from trunkline.cli.main import main as command_line

    simulation.SIGMA = float(sigma)
    if rule == "pachyderm":
        policy.decide = PachydermRule(float(arguments[arguments.index("--speed") + 1]))
    return command_line(arguments)


def simulated(speed: float, rule: str = "ours", sigma: float = 0.25):
    """Return a server that simulates Fargate."""
    program = (sys.executable, __file__, "serve", rule, str(sigma))
    return common.server(
        "--simulate", "fargate", "--speed", str(speed), "--capacity-memory", "64Gi", program=program
    )


def pipeline(server: common.Server, name: str, source: str, glob: str = "/*", workers: int = WORKERS) -> None:
    """Create a pipeline whose datums sleep for the seconds in their files."""
    server.create_pipeline(
        name,
        [
            "sh",
            "-c",
            f'for f in /pfs/{source}/*; do sleep "$(cat "$f")"; echo 0 > "/pfs/out/${{f##*/}}"; done',
        ],
        source,
        glob=glob,
        autoscaling=True,
        parallelism_spec={"constant": workers},
        resource_requests=REQUESTS,
        metadata={"labels": {"node": "fargate"}},
    )


def commit(server: common.Server, source: str, seconds: list[float], speed: float, first: int = 0):
    """Put a file for each datum in one commit; return its id and when FinishCommit was called."""
    new = server.start_commit(source)
    server.put(new, [(f"/{first + place:05}", b"%f" % (each / speed)) for place, each in enumerate(seconds)])
    begun = time.time()
    server.finish_commit(new)
    return new.id, begun


def done(server: common.Server, name: str, job_id: str) -> float:
    """Wait for a job; return when it was done."""
    return server.wait_job(name, job_id).finished.ToNanoseconds() / 1e9


def cost(server: common.Server, name: str, job_id: str) -> control_pb2.CostInfo:
    """Return what a job has cost, once its machines are gone."""
    control = Client(server.channel).control
    deadline = time.monotonic() + 60
    while any(machine.pretended for machine in control.ListMachine(control_pb2.ListMachineRequest())):
        if time.monotonic() > deadline:
            raise SystemExit("the simulated machines were not removed")
        time.sleep(0.02)
    request = control_pb2.ListCostRequest(project="default", pipeline=name, number=50)
    return next(cost for cost in control.ListCost(request) if cost.job_id == job_id)


@dataclass
class Chain:
    """One run of the chain, in Fargate's seconds."""

    edges: float
    whole: float
    #: Of workers that existed, starts included: those of ``edges``, those of both.
    paid: float
    paid_whole: float


def chain(rule: str, sigma: float) -> Chain:
    """Run the chain of the article from zero workers."""
    with simulated(SPEED, rule, sigma) as server:
        make_chain(server)
        job, begun = commit(server, "images", [SECONDS] * DATUMS, SPEED)
        edges, whole = done(server, "edges", job) - begun, done(server, "montage", job) - begun
        paid = [cost(server, name, job).worker_seconds for name in ("edges", "montage")]
    return Chain(
        *(SPEED * each for each in (edges, whole, paid[0], sum(paid))),
    )


def make_chain(server: common.Server) -> None:
    server.create_repo("images")
    pipeline(server, "edges", "images")
    server.create_pipeline(
        "montage",
        ["sh", "-c", f"sleep {MONTAGE / SPEED}; echo done > /pfs/out/montage"],
        "edges",
        glob="/",
        autoscaling=True,
        parallelism_spec={"constant": 1},
    )


def warm() -> tuple[float, int]:
    """Return how long a second batch takes that comes when the first is done, and the workers started for it."""
    with simulated(SPEED, sigma=0.0) as server:
        make_chain(server)
        job, _ = commit(server, "images", [SECONDS] * DATUMS, SPEED)
        done(server, "edges", job)
        control = Client(server.channel).control
        request = control_pb2.ListWorkerRequest(project="default", pipeline="edges")
        before = {worker.id for worker in control.ListWorker(request)}
        job, begun = commit(server, "images", [SECONDS] * DATUMS, SPEED, first=DATUMS)
        after: set[str] = set()
        while not (info := inspected(server, "edges", job)).HasField("finished"):
            after |= {worker.id for worker in control.ListWorker(request)}
            time.sleep(0.05)
        return SPEED * (info.finished.ToNanoseconds() / 1e9 - begun), len(after - before)


def second() -> tuple[float, float]:
    """Return how long a batch of a datum per worker takes, and the next one once all workers are gone.

    The time of a datum is unknown for the first batch and known for the second.
    """
    with simulated(SPEED, sigma=0.0) as server:
        server.create_repo("images")
        pipeline(server, "edges", "images")
        took = []
        for batch in range(2):
            job, begun = commit(server, "images", [SECONDS] * WORKERS, SPEED, first=batch * WORKERS)
            took.append(SPEED * (done(server, "edges", job) - begun))
            cost(server, "edges", job)  # once the machines are gone
    return took[0], took[1]


def inspected(server: common.Server, name: str, job_id: str) -> pps_pb2.JobInfo:
    job = pps_pb2.Job(pipeline=pps_pb2.Pipeline(name=name), id=job_id)
    return server.call("InspectJob", pps_pb2.InspectJobRequest(job=job), pps_pb2.JobInfo)


# --- plan and bill -----------------------------------------------------------------------------------------


def workloads() -> Iterator[tuple[str, list[float]]]:
    """Yield jobs, each with the seconds of its datums."""
    yield "many short", [3.0] * 240
    yield "few long", [90.0] * 6
    yield "one datum", [240.0]
    tail = [6.0] * 90
    tail[10::30] = [60.0] * 3
    yield "heavy tail", tail
    yield "more datums than workers", [15.0] * 45


def plan(folder: Path, seconds: list[float]) -> dict:
    """Return the plan of ``fargate plan`` for a job."""
    spec = {
        "pipeline": {"name": "edges"},
        "transform": {"cmd": ["true"]},
        "input": {"pfs": {"repo": "images", "glob": "/*"}},
        "metadata": {"labels": {"node": "fargate"}},
        "resource_requests": REQUESTS,
        "parallelism_spec": {"constant": WORKERS},
        "autoscaling": True,
    }
    (folder / "spec.json").write_text(json.dumps(spec))
    mean = sum(seconds) / len(seconds)
    command = [common.TRUNKLINE, "fargate", "plan", "-f", str(folder / "spec.json"), "-o", "json"]
    command += ["--datums", str(len(seconds)), "--seconds-per-datum", str(mean)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)["job"]


def predictions() -> list[list[str]]:
    rows = []
    with simulated(SPEED) as server:
        for number, (what, seconds) in enumerate(workloads()):
            name, source = f"work{number}", f"in{number}"
            server.create_repo(source)
            pipeline(server, name, source)
            expected = plan(server.data, seconds)
            job, begun = commit(server, source, seconds, SPEED)
            took = SPEED * (done(server, name, job) - begun)
            dollars = cost(server, name, job).dollars
            rows.append(
                [
                    f"{what}: {len(seconds)} of {sum(seconds) / len(seconds):g} s",
                    f"{expected['seconds']:.0f}",
                    f"{took:.0f}",
                    f"{expected['seconds'] / took - 1:+.0%}",
                    f"{expected['dollars']:.4f}",
                    f"{dollars:.4f}",
                    f"{expected['dollars'] / dollars - 1:+.0%}",
                ]
            )
    return rows


def plan_speed() -> list[list[str]]:
    """Return how long ``fargate plan`` takes, as a whole process."""
    spec = Path(__file__).parents[1] / "examples/opencv/edges.json"
    commands = {
        "python -c pass": (sys.executable, "-c", "pass"),
        "trunkline fargate plan -f edges.json": (common.TRUNKLINE, "fargate", "plan", "-f", str(spec)),
        "trunkline nodes plan -f edges.json": (common.TRUNKLINE, "nodes", "plan", "-f", str(spec)),
    }
    times: dict[str, list[float]] = {name: [] for name in commands}
    for turn in range(17):
        for name, command in commands.items():
            took = common.timed(lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL))
            if turn >= 2:
                times[name].append(took)
    bare = common.median(times["python -c pass"])
    promise = {"trunkline fargate plan -f edges.json": "300"}
    return [
        [name, common.spread(took), f"{common.median(took) / bare:.1f}", promise.get(name, "")]
        for name, took in times.items()
    ]


def show_plan() -> None:
    common.table(
        "A plan, offline",
        ["what", "ms, median (min - max)", "times a bare interpreter", "to reach, ms"],
        plan_speed(),
    )


def middle(values: list[float], digits: int = 1) -> str:
    return common.spread(values, 1.0, digits) if len(values) > 1 else f"{values[0]:.{digits}f}"


def show_chain() -> None:
    work = DATUMS * SECONDS
    limit = START_UP + math.ceil(DATUMS / WORKERS) * SECONDS
    paid = WORKERS * START_UP + work
    names = {"ours": "ours", "pachyderm": "Pachyderm's rule"}
    runs: dict[str, list[Chain]] = {}
    for _ in range(RUNS):
        for rule, name in names.items():
            runs.setdefault(name, []).append(chain(rule, 0.0))
    for rule, name in names.items():  # the draws are the same each time
        runs[f"{name}, starts spread"] = [chain(rule, 0.25)]
    common.table(
        f"The chain, {DATUMS} datums of {SECONDS:g} s on {WORKERS} workers and a montage of {MONTAGE:g} s; "
        f"start-up {START_UP:g} s; speed {SPEED:g}",
        [
            "what",
            f"commit -> edges done, s (to reach: {limit + 3:g})",
            f"-> montage done, s ({limit + MONTAGE + 3:g})",
            "worker-s of edges",
            f"of N*s + work = {paid:g} (1.15)",
            "worker-s of both",
        ],
        [
            [
                what,
                middle([run.edges for run in chains]),
                middle([run.whole for run in chains]),
                middle([run.paid for run in chains], 0),
                middle([run.paid / paid for run in chains], 2),
                middle([run.paid_whole for run in chains], 0),
            ]
            for what, chains in runs.items()
        ],
    )


def show_warm() -> None:
    took, started = warm()
    common.table(
        f"A second batch of {DATUMS} datums when the first is done; speed {SPEED:g}",
        ["commit -> edges done, s", "work / N, s", "workers started for it"],
        [[f"{took:.1f}", f"{DATUMS * SECONDS / WORKERS:g}", str(started)]],
    )


def show_second() -> None:
    first, again = second()
    common.table(
        f"Two batches of {WORKERS} datums of {SECONDS:g} s, the second when all workers are gone; speed {SPEED:g}",
        ["first, s", "second, s", "of the first (to reach: 1.1)"],
        [[f"{first:.1f}", f"{again:.1f}", f"{again / first:.2f}"]],
    )


def show_bill() -> None:
    common.table(
        f"Plan and bill; speed {SPEED:g}, starts spread",
        [
            "job",
            "s, planned",
            "s, real",
            "off by",
            "USD, planned",
            "USD, real",
            "off by (to reach: within 15 %)",
        ],
        predictions(),
    )


PARTS = {"plan": show_plan, "chain": show_chain, "warm": show_warm, "second": show_second, "bill": show_bill}

if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        sys.exit(serve(*sys.argv[2:4], "serve", *sys.argv[5:]))
    for name in sys.argv[1:] or PARTS:
        PARTS[name]()
