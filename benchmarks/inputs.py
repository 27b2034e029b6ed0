"""The first plan of each kind of input, its memory, and the plan after one changed file; on the real store.

Times are processor time, which other work disturbs least. Memory is the growth of the largest resident set, measured in
a process of its own for each kind.

    python benchmarks/inputs.py [--files 1000000] [--kind join]
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from math import isqrt
from pathlib import Path

import common
from planning import SCRATCH, Planned, in_runs, row

#: Kinds with what is to be reached: datums a second.
KINDS = {"glob": 80_000, "cross": 80_000, "join": 40_000, "group": 40_000}
#: Mebibytes.
MEMORY = 400


def leaf(repo: str, kind: str) -> dict[str, object]:
    if kind in ("glob", "cross"):
        return {"pfs": {"repo": repo, "glob": "/*/*"}}
    return {"pfs": {"repo": repo, "glob": "/*/(*).dat", f"{kind}_{'on' if kind == 'join' else 'by'}": "$1"}}


def wide(number: int, text: str = "") -> tuple[bytes, bytes]:
    """Return a file whose name alone is a key: that of ``planning.row`` repeats in every folder."""
    path, value = row(number, text)
    folder, _, _ = path.rpartition(b"/")
    return b"%b/%09d.dat\0" % (folder, number), value


def measure(kind: str, files: int) -> dict[str, float]:
    """Return datums, seconds of the first plan, mebibytes, and milliseconds of the plan after one changed file."""
    from trunkline.model import names
    from trunkline.pfs import repos
    from trunkline.pfs.branches import BranchName
    from trunkline.pps import pipelines

    count = isqrt(files) if kind == "cross" else files
    make = row if kind == "glob" else wide
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="trunkline-bench-", dir=SCRATCH) as folder:
        planned = Planned(Path(folder))
        trees = planned.versions.trees
        sides = ["data"] if kind == "glob" else ["data", "other"]
        for repo in reversed(sides):
            name = names.RepoName("default", repo, names.USER)
            if repo != "data":
                planned.versions.write(repos.create_repo, name, "", update=False)
            planned.branch = BranchName(name, "master")
            tree = planned.commit(lambda writer: trees.build_runs(writer, in_runs(count, make)))
        children = [leaf(repo, kind) for repo in sides]
        document = {
            "pipeline": {"name": "each"},
            "transform": {"cmd": ["true"]},
            "input": children[0] if kind == "glob" else {kind: children},
        }
        request = pipelines.read_request(document)
        planned.versions.write(pipelines.create, request, update=False, reprocess=False)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        figures["seconds"], figures["datums"] = planned.job()
        figures["memory"] = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        times = []
        for turn in range(5):
            changes = [make(7919 * turn % count, f"changed {turn}")]
            tree = planned.commit(
                lambda writer, tree=tree, changes=changes: trees.merge(writer, tree, changes)
            )
            times.append(planned.job()[0])
        figures["changed"] = 1000 * sorted(times)[2]
        planned.close()
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--files", type=int, default=1_000_000, help="of each repo; a cross has as many datums"
    )
    parser.add_argument("--kind", choices=sorted(KINDS), action="append")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options.measure, options.files)))
        return
    rows = []
    for kind in options.kind or KINDS:
        command = [sys.executable, __file__, "--measure", kind, "--files", str(options.files)]
        answer = subprocess.run(command, env=os.environ, stdout=subprocess.PIPE, check=True, text=True).stdout
        figures = json.loads(answer)
        rows.append(
            [
                kind,
                f"{figures['datums']:,.0f}",
                f"{figures['datums'] / figures['seconds']:,.0f}",
                f"{KINDS[kind]:,}",
                f"{figures['memory']:,.0f}",
                f"{figures['changed']:,.1f}",
            ]
        )
    common.table(
        f"Plans with {options.files:,} files in each repo",
        [
            "input",
            "datums",
            "datums a second",
            "to reach",
            f"MiB of growth (≤ {MEMORY})",
            "1 file changed, ms",
        ],
        rows,
    )


if __name__ == "__main__":
    main()
