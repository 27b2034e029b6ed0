"""Machines of workers, and the cost of jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trunkline.cli import output
from trunkline.cli.parsing import SHOWING, Command, argument, limit_option
from trunkline.rpc.gen import control_pb2

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trunkline.cli.invocation import Invocation
    from trunkline.rpc.gen import pps_pb2

MACHINES = ("NAME", "KIND", "GROUP", "TYPE", "CREATED", "STATE", "RUNS", ">USD/HOUR")
COSTS = ("PIPELINE", "JOB", ">WORKER TIME", ">WORK", ">USD", "")


def list_machines(invocation: Invocation) -> None:
    """List the machines that workers run on or that are being created for them."""
    whole = invocation.options.full_timestamps

    def row(info: control_pb2.MachineInfo) -> Sequence[str]:
        return (
            info.name,
            f"{info.kind} (pretended)" if info.pretended else info.kind,
            info.group or "-",
            f"{info.instance_type or '-'}{' spot' if info.spot else ''}",
            output.when(info.created, whole=whole),
            "ready" if info.ready else "starting",
            runs(info),
            output.money(info.dollars_per_hour),
        )

    machines = invocation.control.ListMachine(control_pb2.ListMachineRequest())
    output.show_many(invocation, machines, MACHINES, row, lambda info: info.name)


def list_costs(invocation: Invocation) -> None:
    """List the cost of the workers of the last jobs, newest first."""
    options = invocation.options
    request = control_pb2.ListCostRequest(project=invocation.project, number=options.number)
    if options.pipeline:
        pipeline = invocation.pipeline(options.pipeline)
        request.project, request.pipeline = pipeline.project.name, pipeline.name

    def row(info: control_pb2.CostInfo) -> Sequence[str]:
        notes = ["pretended"] if info.pretended else []
        if info.unpriced_seconds:
            notes.append(f"{output.span(info.unpriced_seconds)} without a known price")
        return (
            info.pipeline,
            output.Id(info.job_id),
            output.span(info.worker_seconds),
            output.span(info.work_seconds),
            output.money(info.dollars),
            ", ".join(notes),
        )

    costs = invocation.control.ListCost(request)
    output.show_many(invocation, costs, COSTS, row, lambda info: f"{info.pipeline}@{info.job_id}")


def runs(info: control_pb2.MachineInfo) -> str:
    """Return the pipelines on a machine with their workers: ``default/edges (2)``."""
    counts = dict.fromkeys(info.pipelines, 0)
    for pipeline in info.pipelines:
        counts[pipeline] += 1
    return ", ".join(f"{name} ({number})" if number > 1 else name for name, number in counts.items()) or "-"


def bill(invocation: Invocation, pipeline: pps_pb2.Pipeline) -> list[tuple[str, str]]:
    """Return the price of a pipeline's machines and the cost of its last job, as labelled lines."""
    from trunkline.errors import Unimplemented

    name = f"{pipeline.project.name}/{pipeline.name}"
    try:
        machines = list(invocation.control.ListMachine(control_pb2.ListMachineRequest()))
        request = control_pb2.ListCostRequest(project=pipeline.project.name, pipeline=pipeline.name, number=1)
        costs = list(invocation.control.ListCost(request))
    except Unimplemented:  # a Pachyderm server has no such calls
        return []
    own = [machine for machine in machines if name in machine.pipelines and machine.kind != "local"]
    hour = sum(machine.dollars_per_hour for machine in own)
    lines = []
    if own:
        kinds = ", ".join(sorted({machine.kind for machine in own}))
        lines.append(("Machines", f"{len(own)} ({kinds}), {output.money(hour)} USD per hour"))
    if costs and costs[0].dollars:
        lines.append(
            (
                "Last job",
                f"{output.money(costs[0].dollars)} USD for {output.span(costs[0].worker_seconds)} of workers",
            )
        )
    return lines


COMMANDS = {
    "list node": Command(
        list_machines,
        SHOWING,
        examples=(("trunkline list node", "show the machines, what runs on them and their price"),),
    ),
    "list cost": Command(
        list_costs,
        (
            argument("-p", "--pipeline", metavar="PIPELINE", help="only jobs of this pipeline"),
            limit_option("jobs (20)"),
            *SHOWING,
        ),
        examples=(("trunkline list cost -p count", "show what the last jobs of a pipeline cost"),),
    ),
}
