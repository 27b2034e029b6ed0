"""Draws the plots of docs/operate/eks.md from the same functions that plan: ``python docs/plots/draw.py``.

A test compares the output with the committed files, so that no plot can differ from what the commands say.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path

from msgspec.structs import replace
from svg import BOTTOM, COLOURS, FAINT, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Drawing, Scale, apart

from trunkline.app.worker_pods import manifest
from trunkline.aws.pods import read_pod
from trunkline.model import spec_rules
from trunkline.scaling import fargate, placement
from trunkline.scaling.placement import Run
from trunkline.scaling.pods import GIB, Amounts, Container, Pod
from trunkline.scaling.prices import prices

HERE = Path(__file__).resolve().parent
SPEC = spec_rules.load(json.loads((HERE.parents[1] / "examples/opencv/edges.json").read_text()))
POD = read_pod(manifest(SPEC, "trunkline"))
PRICES = prices("us-east-1")
MINUTE = 60.0
#: Seconds per datum in the plot of prices: a job has as many of them as its work needs.
DATUM = 5.0


def start_up() -> str:
    """Draw the time from the request for a worker to its work, by cause."""
    decided = {"Cluster Autoscaler": placement.SCAN, "Karpenter": placement.BATCH, "Fargate": 0.0}
    boots = {"Fargate": placement.FARGATE_MACHINE}
    images = ((0.0, "small image"), (2.0, "2 GB image"))
    drawing = Drawing(
        "From request to work",
        "Seconds that plans use until they are measured; 12 s for every compressed GB of the image",
        height=330,
    )
    left, top, row = 176, 84, 30
    scale = (WIDTH - left - 120) / 120.0
    for second in range(0, 121, 20):
        x = left + second * scale
        drawing.line(x, top - 8, x, top + 6 * row + 22)
        drawing.text(x, top + 6 * row + 40, f"{second} s", anchor="middle", size=12, colour=FAINT)
    legend = ("until an autoscaler decides", "until the machine is ready", "until it has the image")
    colours = (COLOURS[4], COLOURS[0], COLOURS[2])
    place = 20.0
    for words, colour in zip(legend, colours, strict=True):
        drawing.box(place, 56, 12, 12, colour)
        drawing.text(place + 18, 66, words, size=12)
        place += 190
    y = float(top)
    for name in ("Fargate", "Karpenter", "Cluster Autoscaler"):
        drawing.text(20, y + row, name, bold=True)
        for gigabytes, words in images:
            parts = (decided[name], boots.get(name, placement.NODE_BOOT), placement.pull_seconds(gigabytes))
            x = float(left)
            for seconds, colour in zip(parts, colours, strict=True):
                drawing.box(x, y + 4, seconds * scale, row - 10, colour)
                x += seconds * scale
            drawing.text(x + 6, y + 18, f"{sum(parts):.0f} s, {words}", size=12)
            y += row
        y += 8
    return drawing.whole()


def price() -> str:
    """Draw what a job of the example pipeline costs in each place, by its work."""
    return _prices(POD, "edges.json, 1 CPU and 4 GiB: an exact fit on Fargate")


def price_uneven() -> str:
    """Draw the same for a pipeline whose request no size of Fargate fits exactly."""
    uneven = Amounts(cpu_millis=3000, memory=8 * GIB)
    pod = replace(POD, containers=(Container(name="user", requests=uneven),), init_containers=())
    fit = fargate.fit(pod, PRICES)
    assert fit is not None
    return _prices(pod, f"3 CPU and 8 GiB: {fit.size} on Fargate")


def _prices(pod: Pod, what: str) -> str:
    width, height = WIDTH - LEFT - RIGHT - 150, HEIGHT - TOP - BOTTOM
    works = [10.0 ** (step / 20) for step in range(0, 67)]  # minutes
    works = [work for work in works if work <= 1500]
    x = Scale(1, 1500, LEFT, LEFT + width)
    y = Scale(0.001, 10, TOP + height, TOP)
    drawing = Drawing(
        f"Price of one job: {what}",
        f"Up to {SPEC.parallelism} workers, datums of {DATUM:g} s, a small image, the idle tail counted; "
        f"{PRICES.region}, list prices of {PRICES.as_of}",
    )
    for dollars in (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10):
        drawing.line(LEFT, y.at(dollars), LEFT + width, y.at(dollars))
        drawing.text(LEFT - 8, y.at(dollars) + 4, f"{dollars:g}", anchor="end", size=12, colour=FAINT)
    for work, words in (
        (1, "1 min"),
        (5, "5 min"),
        (20, "20 min"),
        (60, "1 h"),
        (300, "5 h"),
        (1440, "24 h"),
    ):
        drawing.line(x.at(work), TOP, x.at(work), TOP + height)
        drawing.text(x.at(work), TOP + height + 18, words, anchor="middle", size=12, colour=FAINT)
    drawing.text(LEFT + width / 2, HEIGHT - 14, "work of the job, all datums together", anchor="middle")
    drawing.text(22, TOP + height / 2, "USD per job", anchor="middle", turn=True)
    ends = []
    for (name, forecast), colour in zip(PLACES.items(), COLOURS, strict=True):
        costs = [(work, _dollars(forecast(run(pod, work)))) for work in works]
        drawing.path([(x.at(work), y.at(cost)) for work, cost in costs], colour)
        ends.append((name, y.at(costs[-1][1]), colour))
    for (name, at, colour), place in zip(ends, apart([at for _, at, _ in ends], 16), strict=True):
        drawing.line(LEFT + width, at, LEFT + width + 10, place, colour)
        drawing.text(LEFT + width + 14, place + 4, name, colour=colour, size=12, bold=True)
    return drawing.whole()


def run(pod: Pod, minutes: float) -> Run:
    """Return a job with ``minutes`` of work."""
    return Run(
        pod=pod,
        workers=SPEC.parallelism,
        autoscaling=SPEC.autoscaling,
        datums=max(1, round(minutes * MINUTE / DATUM)),
        seconds_per_datum=DATUM,
    )


def _dollars(forecast: placement.Forecast | None) -> float:
    assert forecast is not None
    assert forecast.dollars is not None
    return forecast.dollars


PLACES = {
    "Fargate": lambda run: placement.on_fargate(run, PRICES),
    "node group, 10 min": lambda run: placement.on_nodes(run, PRICES, karpenter=False),
    "node group, 60 s": lambda run: placement.on_nodes(
        run, PRICES, karpenter=False, unneeded=placement.UNNEEDED_WORKERS
    ),
    "Karpenter": lambda run: placement.on_nodes(run, PRICES, karpenter=True),
    "Karpenter, Spot": lambda run: placement.on_nodes(run, PRICES, karpenter=True, spot=True),
}


def limits() -> str:
    """Draw the machines that Fargate has, and those that the example's pods get."""
    width, height = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
    x = Scale(0.4, 160, LEFT, LEFT + width)
    y = Scale(0.18, 24, TOP + height, TOP)
    drawing = Drawing(
        "The machines that Fargate has",
        "A pod gets the next one to the right and above; beyond 16 vCPU and 120 GB there is none, and never a GPU",
    )
    for gigabytes in (0.5, 1, 2, 4, 8, 16, 30, 60, 120):
        drawing.line(x.at(gigabytes), TOP, x.at(gigabytes), TOP + height)
        drawing.text(
            x.at(gigabytes), TOP + height + 18, f"{gigabytes:g}", anchor="middle", size=12, colour=FAINT
        )
    for millis, memories in fargate.GRID:
        vcpu = millis / 1000
        drawing.line(LEFT, y.at(vcpu), LEFT + width, y.at(vcpu))
        drawing.text(LEFT - 8, y.at(vcpu) + 4, f"{vcpu:g}", anchor="end", size=12, colour=FAINT)
        drawing.line(x.at(min(memories)), y.at(vcpu), x.at(max(memories)), y.at(vcpu), "#9fc5de", 5)
        for gigabytes in memories:
            drawing.dot(x.at(gigabytes), y.at(vcpu), COLOURS[0], 4)
    drawing.text(LEFT + width / 2, HEIGHT - 14, "memory, GB", anchor="middle")
    drawing.text(30, TOP + height / 2, "vCPU", anchor="middle", turn=True)
    fit = fargate.fit(POD, PRICES)
    assert fit is not None
    request = (x.at(POD.memory / GIB + 0.25), y.at(POD.cpu_millis / 1000))
    machine = (x.at(fit.size.gb), y.at(fit.size.vcpu))
    drawing.line(*request, *machine, COLOURS[1], 2)
    drawing.dot(*request, COLOURS[1], 5)
    drawing.dot(*machine, COLOURS[1], 7)
    words = f"edges.json: {POD.cpu_millis / 1000:g} CPU and {POD.memory / GIB:g} + 0.25 GB become {fit.size}"
    drawing.text(LEFT + 12, machine[1] - 69, words, size=12, colour=COLOURS[1], bold=True)
    drawing.line(machine[0] - 6, machine[1] - 6, machine[0] - 70, machine[1] - 62, COLOURS[1])
    return drawing.whole()


@dataclass
class Life:
    """One worker: when it was requested, was ready, ran datums and ended, in seconds."""

    pipeline: str
    requested: float
    ready: float
    worked: list[tuple[float, float]] = field(default_factory=list)
    ended: float = 0.0


def lives(pipeline: str, requested: list[float], begun: float, datums: int, seconds: float) -> list[Life]:
    """Return the lives of workers that each take the next datum as soon as they can, until all are done.

    Args:
        pipeline: whose workers they are.
        requested: when each of them is requested, in seconds.
        begun: when the datums exist, in seconds.
        datums: how many there are.
        seconds: that each of them takes.
    """
    workers = [Life(pipeline, at, at + START) for at in requested]
    for _ in range(datums):
        first = min(workers, key=lambda life: (_free(life, begun), life.requested))
        at = _free(first, begun)
        first.worked.append((at, at + seconds))
    end = max(_free(life, begun) for life in workers if life.worked)
    for life in workers:
        life.ended = end
    return workers


def _free(life: Life, begun: float) -> float:
    return life.worked[-1][1] if life.worked else max(life.ready, begun)


#: The chain of the benchmark: datums of edges and their seconds, and the one of montage.
START, DATUMS, SECONDS, MONTAGE = placement.fargate_start_up().seconds, 10, 20.0, 10.0
INTERVAL = 30.0  # seconds between the decisions of Pachyderm's controller


def chain() -> str:
    """Draw the workers of two pipelines, requested at once and as Pachyderm requests them."""
    workers = SPEC.parallelism
    ours = lives("edges", [0.0] * workers, 0.0, DATUMS, SECONDS)
    ours += lives("montage", [0.0], ours[0].ended, 1, MONTAGE)
    second = (
        START // INTERVAL + 1
    ) * INTERVAL  # the first decision after the first worker has created the tasks
    theirs = lives("edges", [0.0] + [second] * (workers - 1), 0.0, DATUMS, SECONDS)
    theirs += lives("montage", [theirs[0].ended], 0.0, 1, MONTAGE)
    left, row = 92, 19
    drawing = Drawing(
        "Two pipelines in a row, from zero workers",
        f"{DATUMS} datums of {SECONDS:g} s on {workers} workers, then one of {MONTAGE:g} s; a machine takes "
        f"{START:g} s; Pachyderm decides every {INTERVAL:g} s",
        height=400,
    )
    scale = (WIDTH - left - 40) / 220.0
    for second in range(0, 221, 20):
        drawing.line(left + second * scale, 82, left + second * scale, 368)
        drawing.text(left + second * scale, 386, f"{second} s", anchor="middle", size=12, colour=FAINT)
    place = 20.0
    for words, colour in zip(("waits for its machine", "works", "idle"), LIFE, strict=True):
        drawing.box(place, 56, 12, 12, colour)
        drawing.text(place + 18, 66, words, size=12)
        place += 170
    y = 84.0
    for title, staff in (("Trunkline", ours), ("Pachyderm's rule", theirs)):
        end = max(life.ended for life in staff)
        paid = sum(life.ended - life.requested for life in staff if life.pipeline == "edges")
        words = f"{title}: done after {end:g} s; workers of edges existed for {paid:g} s in all"
        drawing.text(left, y + 14, words, bold=True)
        y += 22
        for life in staff:
            drawing.text(20, y + 12, life.pipeline, size=12)
            drawing.box(left + life.ready * scale, y + 2, (life.ended - life.ready) * scale, row - 5, LIFE[2])
            drawing.box(
                left + life.requested * scale, y + 2, (life.ready - life.requested) * scale, row - 5, LIFE[0]
            )
            for begin, until in life.worked:
                drawing.box(left + begin * scale, y + 2, (until - begin) * scale - 1, row - 5, LIFE[1])
            y += row
        y += 8
    return drawing.whole()


LIFE = ("#e6c27a", COLOURS[2], "#cfd6dd")
PLOTS = {
    "chain.svg": chain,
    "start-up.svg": start_up,
    "price.svg": price,
    "price-uneven.svg": price_uneven,
    "limits.svg": limits,
}


def main() -> None:
    """Write every plot beside this file, or into the folder that is named."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE
    for name, draw in PLOTS.items():
        (folder / name).write_text(draw())


if __name__ == "__main__":
    main()
