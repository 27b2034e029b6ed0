"""Defaults of pipeline specs, of the cluster or of a project."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from trunkline.cli.exit_codes import UsageError
from trunkline.cli.parsing import Command, argument
from trunkline.rpc.gen import pfs_pb2, pps_pb2

if TYPE_CHECKING:
    from trunkline.cli.invocation import Invocation

_NONE = "{}"


def put(invocation: Invocation) -> None:
    """Set the defaults from a file, replacing all that were set."""
    from trunkline.cli.specs import read_specs

    documents = read_specs(invocation.options.file)
    if len(documents) != 1:
        raise UsageError(f"{invocation.options.file} holds {len(documents)} documents; write one")
    _set(invocation, json.dumps(documents[0]))


def delete(invocation: Invocation) -> None:
    """Remove all defaults."""
    _set(invocation, _NONE)


def inspect(invocation: Invocation) -> None:
    """Print the defaults."""
    if invocation.options.cluster:
        request = pps_pb2.GetClusterDefaultsRequest()
        print(invocation.pps.GetClusterDefaults(request).cluster_defaults_json)
        return
    project = pfs_pb2.Project(name=invocation.project)
    response = invocation.pps.GetProjectDefaults(pps_pb2.GetProjectDefaultsRequest(project=project))
    print(response.project_defaults_json)


def _set(invocation: Invocation, text: str) -> None:
    options = invocation.options
    flags = {
        "regenerate": options.regenerate or options.reprocess,
        "reprocess": options.reprocess,
        "dry_run": options.dry_run,
    }
    if options.cluster:
        request = pps_pb2.SetClusterDefaultsRequest(cluster_defaults_json=text, **flags)
        affected = invocation.pps.SetClusterDefaults(request).affected_pipelines
    else:
        project = pfs_pb2.Project(name=invocation.project)
        of_project = pps_pb2.SetProjectDefaultsRequest(project=project, project_defaults_json=text, **flags)
        affected = invocation.pps.SetProjectDefaults(of_project).affected_pipelines
    for pipeline in affected:
        print(f"{pipeline.project.name}/{pipeline.name}")


_CLUSTER = argument(
    "--cluster", action="store_true", help="those of the cluster, not those of the project in use"
)
_FILE = argument(
    "-f",
    "--file",
    default="-",
    metavar="FILE",
    help="defaults in JSON or YAML; - (the default) is standard input",
)
_SETTING = (
    argument("--regenerate", action="store_true", help="update the pipelines that the change affects"),
    argument("--reprocess", action="store_true", help="also run all their datums again"),
    argument(
        "--dry-run", action="store_true", help="change nothing; with --regenerate, list those pipelines"
    ),
)
COMMANDS = {
    "create defaults": Command(
        put,
        (_CLUSTER, _FILE, *_SETTING),
        examples=(
            ("trunkline create defaults -f defaults.json", "defaults of the project in use"),
            ("trunkline create defaults --cluster -f defaults.json", "of all projects"),
        ),
    ),
    "update defaults": Command(
        put,
        (_CLUSTER, _FILE, *_SETTING),
        examples=(
            (
                "trunkline update defaults -f defaults.json --regenerate --dry-run",
                "list the pipelines that would change",
            ),
            ("trunkline update defaults -f defaults.json --regenerate", "update them"),
        ),
    ),
    "inspect defaults": Command(
        inspect,
        (_CLUSTER,),
        examples=(("trunkline inspect defaults --cluster", "print the defaults of all projects"),),
    ),
    "delete defaults": Command(
        delete,
        (_CLUSTER, *_SETTING),
        examples=(("trunkline delete defaults", "remove those of the project in use"),),
    ),
}
