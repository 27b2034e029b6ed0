"""How long a user waits for the server and for the command line.

The limit beside them is the time that the interpreter itself takes to start and stop (``python -c pass``), measured
in turns with them. The command is that of a development install; an installed wheel takes 1 ms less.
"""

from __future__ import annotations

import subprocess
import sys

import common

RUNS = 15


def run(*command: str) -> float:
    return common.timed(lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL))


def main() -> None:
    ready = []
    for _ in range(5):
        with common.server() as fresh:
            ready.append(fresh.ready_after)
    with common.server() as server:
        server.create_repo("images")
        commands = {
            "python -c pass": (sys.executable, "-c", "pass"),
            "trunkline version --client-only": (common.TRUNKLINE, "version", "--client-only"),
            "trunkline version": (common.TRUNKLINE, "--address", server.address, "version"),
            "trunkline list repo": (common.TRUNKLINE, "--address", server.address, "list", "repo"),
        }
        times: dict[str, list[float]] = {name: [] for name in commands}
        for turn in range(RUNS + 2):
            for name, command in commands.items():
                took = run(*command)
                if turn >= 2:
                    times[name].append(took)
    bare = common.median(times["python -c pass"])
    to_reach = {
        "trunkline version": "31",
        "trunkline list repo": "45",
    }
    recorded = {
        "trunkline version --client-only": "59",
        "trunkline version": "65",
        "trunkline list repo": "83",
    }
    rows = [
        [
            name,
            common.spread(took),
            f"{common.median(took) / bare:.1f}",
            to_reach.get(name, ""),
            recorded.get(name, ""),
        ]
        for name, took in times.items()
    ]
    rows.append(
        [
            "server: process start to ready",
            common.spread(ready),
            f"{common.median(ready) / bare:.1f}",
            "350",
            "2600",
        ]
    )
    common.table(
        "Start-up",
        [
            "what",
            "ms, median (min - max)",
            "times a bare interpreter",
            "to reach, ms",
            "pachctl/pachd, ms, recorded",
        ],
        rows,
    )


if __name__ == "__main__":
    main()
