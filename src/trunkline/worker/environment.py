"""The environment variables of a command: a small base, the pipeline's own, and those of the contract.

Built anew rather than inherited, so that neither the worker's token nor the server's cloud credentials
reach user code. The contract's variables win over the pipeline's, which win over the base: what commands get
of this machine, or, where a launcher starts them, the environment of the container it lives in.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trunkline.rpc.gen import worker_api_pb2 as pb

#: Otherwise the output of a Python program arrives late, and is lost when the program is killed.
UNBUFFERED = {"PYTHONUNBUFFERED": "1"}
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def of_machine(venv: str) -> dict[str, str]:
    """Return the variables that commands get from this machine; ``venv`` is the image's folder or empty."""
    path = os.environ.get("PATH") or _PATH
    variables = {
        "PATH": f"{venv}/bin:{path}" if venv else path,
        "HOME": os.environ.get("HOME", "/"),
        "LANG": os.environ.get("LANG", "C.UTF-8"),
    } | UNBUFFERED
    if venv:
        variables["VIRTUAL_ENV"] = venv
    return variables


def of_datum(
    base: Mapping[str, str], pfs: str, tmp: str, assignment: pb.Assignment, datum: pb.Datum
) -> dict[str, str]:
    """Return all variables for one datum.

    Args:
        base: variables that do not depend on the datum or the pipeline.
        pfs: where the command finds the datum.
        tmp: folder for temporary files.
        assignment: the assignment that the datum belongs to.
        datum: the datum, one of the assignment.
    """
    return {
        **base,
        "TMPDIR": tmp,
        **assignment.datum_run.command.env,
        "PACH_IN_WORKER": "true",
        "PFS_ROOT": pfs,
        "PPS_PIPELINE_NAME": assignment.pipeline,
        "PPS_PROJECT_NAME": assignment.project,
        **of_next(pfs, assignment, datum),
    }


def of_next(pfs: str, assignment: pb.Assignment, datum: pb.Datum) -> dict[str, str]:
    """Return the variables that differ between the datums of a pipeline.

    Args:
        pfs: where the command finds the datum.
        assignment: the assignment that the datum belongs to.
        datum: the datum, one of the assignment.
    """
    run = assignment.datum_run
    variables = {}
    if run.job_id:  # a spout has no job
        variables = {
            "PACH_DATUM_ID": datum.id,
            "PACH_JOB_ID": run.job_id,
            "PACH_OUTPUT_COMMIT_ID": run.output_commit_id,
        }
    if datum.traceparent:
        variables["TRACEPARENT"] = datum.traceparent
    if run.tracestate:
        variables["TRACESTATE"] = run.tracestate
    for position in datum.items:
        item = run.items[position]
        name = item.input
        # Without a slash at the end, as Pachyderm does it: basename of a folder is its name.
        variables[name] = f"{pfs}/{name}{item.path}".rstrip("/")
        variables[f"{name}_COMMIT"] = item.commit_id
        if item.join_on:
            variables[f"PACH_DATUM_{name}_JOIN_ON"] = item.join_on
        if item.group_by:
            variables[f"PACH_DATUM_{name}_GROUP_BY"] = item.group_by
    return variables


def write_file(path: str, variables: Mapping[str, str]) -> None:
    """Write variables as a file that python-dotenv, which the published SDK uses, and shells read.

    Raises:
        OSError: the file exists or cannot be written.
    """
    lines = []
    for name, value in variables.items():
        quoted = value.replace("\\", "\\\\").replace("'", "\\'")
        lines.append(f"{name}='{quoted}'\n")
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o644)
    with open(descriptor, "wb", buffering=0) as file:
        file.write("".join(lines).encode("utf-8", "surrogateescape"))
