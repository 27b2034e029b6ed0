"""Load tests of the store and of pipelines."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from google.protobuf.empty_pb2 import Empty

from trunkline.cli import output
from trunkline.cli.exit_codes import UsageError
from trunkline.cli.parsing import Command, argument
from trunkline.errors import DataLoss
from trunkline.rpc.gen import debug_pb2, pps_pb2

if TYPE_CHECKING:
    from trunkline.cli.invocation import Invocation

SPEC = argument("spec", metavar="FILE", nargs="?", help="load spec, JSON or YAML; a small test without it")
SEED = argument(
    "-s", "--seed", type=int, default=0, metavar="N", help="decides the files; any when not given"
)
STATE = argument(
    "--state-id", default="", metavar="ID", help="go on from an earlier load test, as it printed it"
)


def of_store(invocation: Invocation) -> None:
    """Commit random files to a branch, read them again and compare; print how it went.

    Raises:
        DataLoss: the load test failed.
    """
    options = invocation.options
    if options.spec is None:
        answer = invocation.debug.RunPFSLoadTestDefault(Empty())
    else:
        request = debug_pb2.RunPfsLoadTestRequest(
            spec=_text(options.spec), seed=options.seed, state_id=options.state_id
        )
        if options.branch:
            request.branch.CopyFrom(invocation.branch(options.branch))
        answer = invocation.debug.RunPFSLoadTest(request)
    _show(answer)


def of_pipelines(invocation: Invocation) -> None:
    """Commit random files that pipelines copy, read all output and compare; print how it went.

    Raises:
        DataLoss: the load test failed.
    """
    options = invocation.options
    if options.spec is None:
        answer = invocation.pps.RunLoadTestDefault(Empty())
    else:
        if not options.dag and not options.state_id:
            raise UsageError("the load test has no pipelines; name a file with lines as NAME: INPUT by --dag")
        answer = invocation.pps.RunLoadTest(
            pps_pb2.RunLoadTestRequest(
                load_spec=_text(options.spec),
                dag_spec=_text(options.dag) if options.dag else "",
                pod_patch=_text(options.pod_patch) if options.pod_patch else "",
                seed=options.seed,
                parallelism=options.parallelism,
                state_id=options.state_id,
            )
        )
    _show(answer)


def _show(answer: debug_pb2.RunPfsLoadTestResponse | pps_pb2.RunLoadTestResponse) -> None:
    output.documents([answer], "json")
    if answer.error:
        raise DataLoss(f"the load test failed: {answer.error}")


def _text(source: str) -> str:
    if source == "-":
        return sys.stdin.read()
    with open(source, encoding="utf-8") as file:
        return file.read()


COMMANDS = {
    "run pfs-load-test": Command(
        of_store,
        (
            SPEC,
            argument("-b", "--branch", metavar="REPO@BRANCH", help="takes the files; a new one"),
            SEED,
            STATE,
        ),
        examples=(
            ("trunkline run pfs-load-test", "a small test of the store"),
            ("trunkline run pfs-load-test --seed 7", "one that can be repeated"),
        ),
    ),
    "run pps-load-test": Command(
        of_pipelines,
        (
            SPEC,
            argument(
                "-d", "--dag", metavar="FILE", help="repos and pipelines, a line each: NAME: INPUT, INPUT"
            ),
            argument(
                "-p", "--parallelism", type=int, default=0, metavar="N", help="workers of each pipeline"
            ),
            argument("--pod-patch", metavar="FILE", help="pod patch of the pipelines"),
            SEED,
            STATE,
        ),
        examples=(("trunkline run pps-load-test", "a small test of pipelines"),),
    ),
}
