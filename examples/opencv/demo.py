"""The image demo: photographs go in, five workers start, pictures of edges come out, the workers stop.

Run it with ``scripts/demo``. It starts a server of its own on a free port, with all data below ``demo-data/``,
and runs the commands that it shows; only the live picture asks the server directly. Each step checks what it
claims, and the program fails when a claim is false. At the end it stops the server and removes its data, except
for ``demo-data/montage.png``; with ``--keep`` the server continues to run.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import sys
from pathlib import Path

import photographs
import stage
from rich.console import Console
from rich.table import Table
from rich.text import Text

HERE = Path(__file__).resolve().parent
FOLDER = Path.cwd() / "demo-data"
IMAGE = "pachyderm/opencv"
WORKERS = 5  # parallelism_spec.constant of edges.json


class FalseClaim(Exception):
    """The demo claims something that is not so."""


def check(fact: bool, claim: str) -> None:
    """Print a claim if it is true.

    Raises:
        FalseClaim: it is false.
    """
    if not fact:
        raise FalseClaim(claim)
    console.print(Text.assemble(("  ✓ ", "green"), claim))


console = Console(highlight=False, soft_wrap=True)


def main() -> int:
    """Run the demo; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="scripts/demo", description="Run the image example on this machine."
    )
    parser.add_argument("--keep", action="store_true", help="leave the server running at the end")
    keep = parser.parse_args().keep
    server = stage.Server(FOLDER / "server", console)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # SIGTERM stops the server too
    try:
        server.check_not_running()
        shutil.rmtree(FOLDER, ignore_errors=True)
        story(server)
    except (FalseClaim, stage.Broken) as error:
        console.print(f"\nThe demo failed: {error}", style="red", markup=False)
        keep = False
        return 1
    except KeyboardInterrupt:
        console.print("\ninterrupted")
        keep = False
        return 130
    finally:
        if keep:
            farewell(server)
        else:
            server.end()
            console.print(
                "To look around in the console, run the demo again with --keep: its server continues to run."
            )
    return 0


def story(server: stage.Server) -> None:
    """Run all steps of the demo."""
    title("A server, and two pipelines without workers")
    server.start()
    console.print(f"  Watch it in a browser: http://{server.address}/ui/", markup=False)
    sets = photographs.prepare(FOLDER / "pictures")
    server.run("create", "image", IMAGE, "--from", stage.displayed_path(HERE / "image"))
    server.until_image_is_ready(IMAGE)
    server.run("create", "repo", "images")
    for name in ("edges", "montage"):
        server.run("create", "pipeline", "-f", stage.displayed_path(HERE / f"{name}.json"))
    server.until_idle()
    check(not server.workers_seen, "there is no input yet: zero workers")

    title(f"{len(sets.first)} photographs go in")
    first = server.put("images", sets.first_folder)
    part = server.watch(first)
    edges = part.job("edges")
    check(edges.processed == edges.total == len(sets.first), f"edges ran all {edges.total} photographs")
    check(
        f"start {WORKERS} at once" in part.decision,
        f"{WORKERS} workers were requested in one step: “{part.decision}”",
    )
    check(part.peak == WORKERS, f"up to {part.peak} workers ran, and now there are none: 0 → 5 → 0")

    title(f"The same folder goes in again, with {len(sets.second)} more in it")
    second = server.put("images", sets.all_folder)
    later = server.watch(second)
    edges = later.job("edges")
    check(edges.processed == len(sets.second), f"edges ran only the {edges.processed} new ones")
    check(edges.skipped == len(sets.first), f"edges skipped the {edges.skipped} that had not changed")
    check(later.job("montage").processed == 1, "montage ran again, because its input changed")

    title(f"{sets.replaced} is replaced by its mirror image, {sets.deleted} is deleted")
    before = server.hashes("edges@master")
    server.run("start", "commit", "images@master")
    server.run("put", "file", f"images@master:/{sets.replaced}", "-f", stage.displayed_path(sets.mirrored))
    server.run("delete", "file", f"images@master:/{sets.deleted}")
    third = server.head("images")
    server.run("finish", "commit", "images@master")
    last = server.watch(third)
    edges = last.job("edges")
    after = server.hashes("edges@master")
    check(edges.processed == 1, "edges ran only the replaced one")
    check(edges.skipped == edges.total - 1 == len(before) - 2, f"edges skipped the other {edges.skipped}")
    changed = {path for path in before if after.get(path) != before[path]} | (after.keys() - before.keys())
    check(
        changed == {f"/{sets.replaced}", f"/{sets.deleted}"} and f"/{sets.deleted}" not in after,
        "in the output of edges exactly these two changed",
    )

    title("The result")
    picture = FOLDER / "montage.png"
    server.run("get", "file", "montage@master:/montage.png", "-o", stage.displayed_path(picture))
    size = stage.png_size(picture)
    check(
        size is not None,
        f"the montage is a picture of {size[0]} by {size[1]} pixels" if size else "a picture",
    )
    summary([("first batch", part), ("second batch", later), ("replaced, deleted", last)])
    stored = server.storage()
    console.print(
        f"\nWritten by client and workers: {mib(stored.written_bytes)}\n"
        f"Already in the store:          {mib(stored.written_bytes - stored.chunk_bytes)}\n"
        f"Saved by compression:          {mib(stored.chunk_bytes - stored.stored_bytes)}\n"
        f"Stored:                        {mib(stored.stored_bytes)}"
    )
    console.print(Text.assemble("Look at it: ", (str(picture), "bold")))


def title(text: str) -> None:
    """Print the heading of a step."""
    console.print()
    console.print(Text(text, style="bold"))


def mib(size: int) -> str:
    """Return bytes for people."""
    return f"{size / (1 << 20):.1f} MiB"


def summary(parts: list[tuple[str, stage.Part]]) -> None:
    """Print a table of the three commits, with the datums of both pipelines."""
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="bold")
    for heading in ("COMMIT", "FINISHED AFTER", "PEAK WORKERS", "DATUMS RUN", "SKIPPED"):
        table.add_column(heading, justify="left" if heading == "COMMIT" else "right")
    for name, part in parts:
        table.add_row(name, f"{part.seconds:.1f} s", str(part.peak), str(part.processed), str(part.skipped))
    console.print()
    console.print(table)
    console.print("Datums are those of both pipelines, edges and montage.", style="dim")


def farewell(server: stage.Server) -> None:
    """Print how to use the server that continues to run."""
    host, _, port = server.address.rpartition(":")
    trunkline = stage.displayed_path(Path(stage.trunkline()))
    script = f"from pachyderm_sdk import Client; print(Client({json.dumps(host)}, {port}).get_version())"
    console.print(
        f"\nThe server is still running: process {server.pid} on {server.address}. Use it:\n\n"
        f"  http://{server.address}/ui/ in a browser\n"
        f"  export PACHD_ADDRESS={server.address}\n"
        f"  {trunkline} list job\n"
        f"  {trunkline} explain pipeline edges\n"
        f"  pip install pachyderm-sdk && python -c '{script}'\n\n"
        f"Stop it with: kill {server.pid}    (its data: {os.path.relpath(FOLDER)})",
        markup=False,
        soft_wrap=True,
    )


if __name__ == "__main__":
    sys.exit(main())
