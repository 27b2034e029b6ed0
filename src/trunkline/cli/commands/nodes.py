"""EC2 machines for workers: the best types, the cost of a job, and the node group as a file. Offline."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import to_builtins

from trunkline.cli import output
from trunkline.cli.commands.fargate_account import pairs_of, region_of
from trunkline.cli.exit_codes import FAILURE
from trunkline.cli.parsing import SHOWING, Command, argument
from trunkline.cli.planning import (
    JOB,
    NAMESPACE,
    PRICES,
    SPECS,
    amounts,
    both_or_none,
    count,
    natural,
    planned,
    prices_of,
    say,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trunkline.cli.invocation import Invocation
    from trunkline.cli.planning import Planned
    from trunkline.scaling.nodes import Tiling
    from trunkline.scaling.placement import Forecast
    from trunkline.scaling.pods import Pod
    from trunkline.scaling.prices import Prices

SHOWN = 6  # machines in the table; the first is the cheapest
#: Types that cost at most this factor more than the cheapest are offered to Karpenter too: with more types one is
#: more likely to be available.
_NEARLY_AS_CHEAP = 1.25
_POOL = "trunkline.dev/pool"  # label and taint of machines for workers


def plan(invocation: Invocation) -> int | None:
    """Print the best machine types for workers, and the cost of a job on each kind of machine."""
    from trunkline.scaling.nodes import tilings

    pipelines = planned(invocation)
    prices = prices_of(invocation)
    job = both_or_none(invocation)
    form = output.form_of(invocation)
    plans = [
        (
            pipeline,
            tilings(pipeline.pod, prices, workers=pipeline.spec.parallelism),
            _forecasts(invocation, pipeline, prices) if job else [],
        )
        for pipeline in pipelines
    ]
    if form == "table":
        for position, (pipeline, machines, forecasts) in enumerate(plans):
            print("\n" * bool(position), end="")
            _show(pipeline, machines, forecasts, prices)
    elif form == "name":
        for pipeline, machines, _ in plans:
            print(machines[0].type.name if machines else f"{pipeline.spec.name}: none")
    else:
        output.values(
            (_plain(pipeline, machines, forecasts, prices) for pipeline, machines, forecasts in plans), form
        )
    return None if all(machines for _, machines, _ in plans) else FAILURE


def _forecasts(invocation: Invocation, pipeline: Planned, prices: Prices) -> list[tuple[str, Forecast]]:
    """Return the forecast of a job on each kind of machine."""
    from trunkline.scaling import placement

    options = invocation.options
    run = placement.Run(
        pod=pipeline.pod,
        workers=pipeline.spec.parallelism,
        autoscaling=pipeline.spec.autoscaling,
        datums=options.datums,
        seconds_per_datum=options.seconds_per_datum,
    )
    start_up = placement.fargate_start_up(options.image_gb)
    settings = {"image_gb": options.image_gb}
    short = placement.UNNEEDED_WORKERS
    places = [
        ("fargate", placement.on_fargate(run, prices, start_up)),
        ("node group", placement.on_nodes(run, prices, karpenter=False, **settings)),
        (
            f"node group, {short:g} s",
            placement.on_nodes(run, prices, karpenter=False, unneeded=short, **settings),
        ),
        ("karpenter", placement.on_nodes(run, prices, karpenter=True, **settings)),
        ("karpenter, spot", placement.on_nodes(run, prices, karpenter=True, spot=True, **settings)),
    ]
    return [(name, forecast) for name, forecast in places if forecast is not None]


def _show(
    pipeline: Planned, machines: Sequence[Tiling], forecasts: list[tuple[str, Forecast]], prices: Prices
) -> None:
    from trunkline.scaling.fargate_rules import gib

    workers = pipeline.spec.parallelism
    print(
        f"{pipeline.spec.name}: {workers} worker{'s' * (workers != 1)} of "
        f"{amounts(pipeline.pod.cpu_millis, pipeline.pod.memory)} "
        f"({prices.region}, list prices of {prices.as_of})"
    )
    if not machines:
        say(
            [
                (
                    "machines",
                    "no machine type in the table is large enough for choice worker; lower its requests",
                )
            ]
        )
        return
    output.table(
        ("MACHINE", ">HOLDS", ">UNUSED CPU", ">UNUSED GIB", ">MACHINES", ">USD/HOUR"),
        (
            (
                tiling.type.name,
                str(tiling.workers),
                f"{tiling.unused_cpu_millis / 1000:g}",
                gib(tiling.unused_memory),
                str(tiling.machines(workers)),
                output.money(tiling.hour_of(workers) or 0.0),
            )
            for tiling in machines[:SHOWN]
        ),
    )
    say(_advice(machines, workers))
    if not forecasts:
        return
    print()
    output.table(
        ("PLACE", "MACHINES", ">WORKERS", ">DONE AFTER", ">IDLE TAIL", ">USD"),
        (
            (
                name,
                f"{forecast.machines} x {forecast.machine}",
                str(forecast.workers),
                output.span(forecast.seconds),
                output.span(forecast.tail_seconds / forecast.machines),
                "-" if forecast.dollars is None else output.money(forecast.dollars),
            )
            for name, forecast in forecasts
        ),
    )
    say(_break_evens(forecasts))


def _advice(machines: Sequence[Tiling], workers: int) -> list[tuple[str, str]]:
    """Return which slightly smaller request would need cheaper machines."""
    from math import ceil

    from trunkline.scaling.fargate_rules import gib

    sentences = []
    best = machines[0].hour_of(workers) or 0.0
    for tiling in machines:
        asks = [
            *([f"{tiling.smaller_cpu_millis / 1000:g} CPU"] if tiling.smaller_cpu_millis is not None else []),
            *([f"{gib(tiling.smaller_memory)} GiB"] if tiling.smaller_memory is not None else []),
        ]
        fewer = ceil(workers / (tiling.workers + 1))
        if asks and fewer * (tiling.hour or 0.0) < 0.99 * best:
            hour = fewer * (tiling.hour or 0.0)
            sentence = (
                f"with {' and '.join(asks)} for all containers of a worker, {tiling.type.name} holds "
                f"{tiling.workers + 1} instead of {tiling.workers}: {fewer} of them cost "
                f"{output.money(hour)} USD per hour, {1 - hour / best:.0%} less"
            )
            sentences.append((fewer * (tiling.hour or 0.0), sentence))
    return [("advice", sentence) for _, sentence in sorted(sentences)[:1]]


def _break_evens(forecasts: list[tuple[str, Forecast]]) -> list[tuple[str, str]]:
    if forecasts[0][0] != "fargate":
        return []
    lines = []
    for name, forecast in forecasts[1:4]:
        if forecast.break_even is None:
            sentence = f"{name} is never cheaper than Fargate for these workers, however long they run"
        elif not forecast.break_even:
            sentence = f"{name} is cheaper than Fargate from the start"
        else:
            work = output.span(forecast.break_even)
            sentence = f"{name} is cheaper than Fargate when each worker has over {work} of work"
        lines.append(("break-even", sentence))
    return lines


def _plain(
    pipeline: Planned, machines: Sequence[Tiling], forecasts: list[tuple[str, Forecast]], prices: Prices
) -> dict[str, Any]:
    return {
        "pipeline": pipeline.spec.name,
        "project": pipeline.spec.project,
        "workers": pipeline.spec.parallelism,
        "asks_for": {"vcpu": pipeline.pod.cpu_millis / 1000, "memory_bytes": pipeline.pod.memory},
        "region": prices.region,
        "as_of": prices.as_of,
        "machines": [
            {
                "type": tiling.type.name,
                "workers": tiling.workers,
                "bound": tiling.bound,
                "unused_vcpu": tiling.unused_cpu_millis / 1000,
                "unused_memory_bytes": tiling.unused_memory,
                "hour": tiling.hour,
                "machines": tiling.machines(pipeline.spec.parallelism),
                "all_workers_hour": tiling.hour_of(pipeline.spec.parallelism),
                "smaller_vcpu": None
                if tiling.smaller_cpu_millis is None
                else tiling.smaller_cpu_millis / 1000,
                "smaller_memory_bytes": tiling.smaller_memory,
            }
            for tiling in machines
        ],
        "runs": [{**to_builtins(forecast), "place": name} for name, forecast in forecasts],
    }


def render(invocation: Invocation) -> int | None:
    """Print a node group or node pool for the workers of some pipelines."""
    from trunkline.aws.node_documents import cluster_autoscaler, karpenter
    from trunkline.errors import InvalidArgument
    from trunkline.scaling.nodes import tilings

    options = invocation.options
    pipelines = planned(invocation)
    largest = _largest([pipeline.pod for pipeline in pipelines])
    workers = sum(pipeline.spec.parallelism for pipeline in pipelines)
    machines = tilings(largest, prices_of(invocation), workers=workers)
    if not machines:
        raise InvalidArgument(
            f"no machine type in the table is large enough for a worker of "
            f"{amounts(largest.cpu_millis, largest.memory)}; lower its requests"
        )
    group = _group(invocation, pipelines, machines, workers)
    print((karpenter if options.autoscaler == "karpenter" else cluster_autoscaler)(group), end="")
    for sentence in _missing(pipelines, group.labels, group.taint):
        invocation.note(f"trunkline: {sentence}")
    return None


def _largest(pods: Sequence[Pod]) -> Pod:
    """Return a pod with the largest processor and memory requests of all pods."""
    from msgspec.structs import replace

    from trunkline.scaling.pods import Amounts, Container

    both = Amounts(cpu_millis=max(pod.cpu_millis for pod in pods), memory=max(pod.memory for pod in pods))
    return replace(pods[0], containers=(Container(name="largest", requests=both),), init_containers=())


def _group(
    invocation: Invocation, pipelines: Sequence[Planned], machines: Sequence[Tiling], workers: int
) -> Any:
    from trunkline.aws.node_documents import Group
    from trunkline.cli.exit_codes import UsageError
    from trunkline.scaling.nodes import TYPES
    from trunkline.scaling.placement import UNNEEDED_WORKERS

    options = invocation.options
    best = machines[0]
    if options.type:
        by_type = {choice.type.name: choice for choice in machines}
        for name in options.type:
            if name not in {type.name for type in TYPES}:
                raise UsageError(f'--type "{name}" is not in the table; it has for example {best.type.name}')
            if name not in by_type:
                raise UsageError(f'--type "{name}" does not hold one worker; {best.type.name} does')
        chosen = [by_type[name] for name in options.type]
    elif options.autoscaler == "karpenter":
        price = best.hour_of(workers) or 0.0
        chosen = [
            choice for choice in machines if (choice.hour_of(workers) or 0.0) <= _NEARLY_AS_CHEAP * price
        ]
    else:
        # Cluster Autoscaler plans with the first type of a group, so the others must have the same size.
        size = (best.type.vcpu, best.type.memory)
        chosen = [choice for choice in machines if (choice.type.vcpu, choice.type.memory) == size]
    fewest = min(chosen, key=lambda choice: choice.workers)
    most = options.max_machines or fewest.machines(workers)
    labels: dict[str, str] = {}
    for pipeline in pipelines:
        labels.update(pipeline.pod.node_selector)
    taint = next(iter(pairs_of([options.taint], "--taint").items())) if options.taint else ()
    if not options.taint and not options.no_taint:
        taint = (_POOL, options.name)
    return Group(
        cluster=options.cluster,
        region=region_of(invocation),
        name=options.name,
        types=tuple(choice.type.name for choice in chosen),
        max_machines=most,
        max_vcpus=max(
            (options.max_machines or choice.machines(workers)) * choice.type.vcpu for choice in chosen
        ),
        spot=options.spot,
        labels=labels or {_POOL: options.name},
        taint=taint,
        unneeded=UNNEEDED_WORKERS if options.unneeded is None else options.unneeded,
    )


def _missing(pipelines: Sequence[Planned], labels: Any, taint: tuple[str, ...]) -> list[str]:
    """Return what the specs lack for their workers to run on these machines."""
    import json

    sentences = []
    for pipeline in pipelines:
        if dict(pipeline.pod.node_selector) != dict(labels):
            addition = json.dumps({"scheduling_spec": {"node_selector": dict(labels)}})
            sentences.append(
                f"{pipeline.spec.name} does not select these machines; add {addition[1:-1]} to its spec"
            )
        if taint and not any(_tolerates(toleration, taint) for toleration in pipeline.pod.tolerations):
            tolerations = [{"key": taint[0], "operator": "EQUAL", "value": taint[1], "effect": "NO_SCHEDULE"}]
            addition = json.dumps({"tolerations": tolerations})
            sentences.append(
                f"{pipeline.spec.name} does not tolerate the taint of these machines; add {addition[1:-1]} to its spec"
            )
    return sentences


def _tolerates(toleration: Any, taint: tuple[str, ...]) -> bool:
    if toleration.effect not in ("", "NoSchedule"):
        return False
    if toleration.operator == "Exists":
        return toleration.key in ("", taint[0])
    return (toleration.key, toleration.value) == taint


COMMANDS = {
    "nodes plan": Command(
        plan,
        (SPECS, NAMESPACE, *PRICES, *JOB, *SHOWING),
        examples=(("trunkline nodes plan -f count.yaml", "which machines the workers of a spec fill"),),
    ),
    "nodes render": Command(
        render,
        (
            SPECS,
            argument(
                "--autoscaler",
                choices=("cluster-autoscaler", "karpenter"),
                default="cluster-autoscaler",
                help="autoscaler that starts machines (cluster-autoscaler)",
            ),
            argument("--cluster", required=True, metavar="NAME", help="the EKS cluster"),
            argument("--name", default="workers", metavar="NAME", help="name of the group or pool (workers)"),
            *PRICES,
            NAMESPACE,
            argument(
                "--type",
                action="append",
                default=[],
                metavar="TYPE",
                help="instance type; may be repeated (the cheapest for all workers)",
            ),
            argument(
                "--max-machines",
                type=count,
                metavar="N",
                help="maximum number of machines (as many as all workers need)",
            ),
            argument("--spot", action="store_true", help="use Spot machines, which AWS may reclaim"),
            argument(
                "--unneeded",
                type=natural,
                metavar="SECONDS",
                help="seconds until an empty machine of a group is removed (60)",
            ),
            argument("--taint", metavar="KEY=VALUE", help=f"taint of the machines ({_POOL}=NAME)"),
            argument("--no-taint", action="store_true", help="accept other pods too"),
        ),
        examples=(
            (
                "trunkline nodes render -f count.yaml --cluster lab --region us-east-1",
                "a node group for Cluster Autoscaler",
            ),
        ),
    ),
}
