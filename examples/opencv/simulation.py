"""The image demo on simulated machines of AWS Fargate: the pipelines and their workers are real.

Run it with ``trunkline demo fargate [--speed 10]``. Each worker waits as long as a machine of Fargate usually takes
to start, divided by the speed. The machines are marked as pretended, and their cost is computed from the dated
price table.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import demo
import photographs
import stage
from rich.table import Table
from rich.text import Text

from trunkline.cli.output import money, span
from trunkline.rpc.gen import control_pb2

HERE = Path(__file__).resolve().parent
FOLDER = Path.cwd() / "demo-data"
SPEED = 10.0
console = demo.console


def main() -> int:
    """Run the simulation; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="trunkline demo fargate", description="Run the image example on simulated machines of Fargate."
    )
    parser.add_argument("--speed", type=float, default=SPEED, help="times faster than Fargate (10)")
    parser.add_argument("--keep", action="store_true", help="leave the server running at the end")
    options = parser.parse_args()
    server = stage.Server(
        FOLDER / "server", console, "--simulate", "fargate", "--speed", f"{options.speed:g}"
    )
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        server.check_not_running()
        shutil.rmtree(FOLDER, ignore_errors=True)
        story(server, options.speed)
    except (demo.FalseClaim, stage.Broken) as error:
        console.print(f"\nThe simulation failed: {error}", style="red", markup=False)
        options.keep = False
        return 1
    except KeyboardInterrupt:
        console.print("\ninterrupted")
        options.keep = False
        return 130
    finally:
        if options.keep:
            demo.farewell(server)
        else:
            server.end()
    return 0


def story(server: stage.Server, speed: float) -> None:
    """Run all steps of the demo."""
    demo.title("Plan: the machine and the price of a worker on Fargate")
    server.run("fargate", "plan", "-f", stage.displayed_path(HERE / "edges.json"), "--region", "us-east-1")

    demo.title("A server, two pipelines, no machines")
    server.start()
    sets = photographs.prepare(FOLDER / "pictures")
    server.run("create", "image", demo.IMAGE, "--from", stage.displayed_path(HERE / "image"))
    server.until_image_is_ready(demo.IMAGE)
    server.run("create", "repo", "images")
    for name in ("edges", "montage"):
        server.run("create", "pipeline", "-f", stage.displayed_path(HERE / f"{name}.json"))
    server.until_idle()
    demo.check(not machines(server), "no input yet: no workers, no machines, no cost")

    demo.title(f"{len(sets.first)} photographs go in; pods wait for machines; machines start, work and stop")
    first = server.watch(server.put("images", sets.first_folder))
    edges = first.job("edges")
    demo.check(edges.processed == edges.total == len(sets.first), f"edges ran all {edges.total} photographs")
    demo.check(
        f"start {demo.WORKERS} at once" in first.decision,
        f"{demo.WORKERS} machines were requested in one step: “{first.decision}”",
    )
    demo.check(
        2 <= first.peak <= demo.WORKERS,
        f"{first.peak} of them started in time to work; those that would have been late were cancelled",
    )
    demo.check(not machines(server), "now there are none: no cost")
    server.run("explain", "pipeline", "edges")
    server.run("explain", "pipeline", "montage")

    demo.title("Cost on Fargate")
    server.run("list", "cost")
    bill(server, first, speed)


def machines(server: stage.Server) -> list[Any]:
    """Return the machines that exist now."""
    with stage.connected(server.address) as client:
        infos = client.control.ListMachine(control_pb2.ListMachineRequest())
        return [machine for machine in infos if machine.kind != "local"]


def bill(server: stage.Server, part: stage.Part, speed: float) -> None:
    """Print the cost of each pipeline and the duration, in simulated time.

    Args:
        server: the demo's server.
        part: the result of the commit.
        speed: seconds of the simulation that pass in a second.
    """
    with stage.connected(server.address) as client:
        costs = list(client.control.ListCost(control_pb2.ListCostRequest(project="default")))
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="bold")
    for heading in ("PIPELINE", "WORKER TIME", "BUSY TIME", "USD (PRETENDED)"):
        table.add_column(heading, justify="left" if heading == "PIPELINE" else "right")
    for cost in costs:
        if cost.worker_seconds:
            table.add_row(
                cost.pipeline,
                span(cost.worker_seconds * speed),
                span(cost.work_seconds * speed),
                money(cost.dollars),
            )
    console.print()
    console.print(table)
    console.print(
        Text(
            f"\nCommit to finished: {part.seconds:.1f} s here, {part.seconds * speed:.0f} s at Fargate's pace.\n"
            f"The work is real; its time counts {speed:g} times, as all time does in the simulation."
        ),
        soft_wrap=False,
    )


if __name__ == "__main__":
    sys.exit(main())
