"""The environment variables of a command: a small base, the pipeline's own, and those of the contract.

Built anew rather than inherited, so that neither the worker's token nor the server's cloud credentials
reach user code. The contract's variables win over the pipeline's, which win over the base.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trunkline.rpc.gen import worker_api_pb2 as pb
    from trunkline.worker.world import World

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def base(world: World) -> dict[str, str]:
    """Return the variables that do not depend on the datum or the pipeline."""
    path = os.environ.get("PATH") or _PATH
    variables = {
        "PATH": f"{world.venv}/bin:{path}" if world.venv else path,
        "HOME": os.environ.get("HOME", "/"),
        "LANG": os.environ.get("LANG", "C.UTF-8"),
        "PACH_IN_WORKER": "true",
    }
    if world.venv:
        variables["VIRTUAL_ENV"] = world.venv
    return variables


def of_datum(
    fixed: dict[str, str], pfs: str, tmp: str, assignment: pb.Assignment, datum: pb.Datum
) -> dict[str, str]:
    """Return all variables for one datum.

    Args:
        fixed: what ``base`` returned.
        pfs: where the command finds /pfs.
        tmp: folder for temporary files.
        assignment: the claimed run that the datum belongs to.
        datum: the datum.
    """
    variables = fixed | {"TMPDIR": tmp} | dict(assignment.command.env)
    variables |= {
        "PFS_ROOT": pfs,
        "PACH_DATUM_ID": datum.id,
        "PACH_JOB_ID": assignment.job_id,
        "PACH_OUTPUT_COMMIT_ID": assignment.output_commit_id,
        "PPS_PIPELINE_NAME": assignment.pipeline,
        "PPS_PROJECT_NAME": assignment.project,
    }
    for position in datum.items:
        item = assignment.items[position]
        name = item.input
        variables[name] = f"{pfs}/{name}{item.path}"
        variables[f"{name}_COMMIT"] = item.commit_id
        if item.join_on:
            variables[f"PACH_DATUM_{name}_JOIN_ON"] = item.join_on
        if item.group_by:
            variables[f"PACH_DATUM_{name}_GROUP_BY"] = item.group_by
    return variables
