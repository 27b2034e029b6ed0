"""Machines that join a server, and their tokens."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from trunkline.cli import deletion, output
from trunkline.cli.parsing import CHANGING, SHOWING, Command, argument
from trunkline.cli.planning import count
from trunkline.errors import FailedPrecondition, InvalidArgument
from trunkline.rpc.gen import machines_pb2

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trunkline.cli.invocation import Invocation

COLUMNS = ("ID", "CREATED", "EXPIRES")


def worker(invocation: Invocation) -> None:
    """Run workers for a server until SIGTERM or Ctrl-C: this machine joins the fleet of processes."""
    import tempfile
    from importlib import import_module

    from trunkline.client import address as addresses
    from trunkline.model.quantities import parse_bytes
    from trunkline.runtime import loading

    options = invocation.options
    token = options.token or os.environ.get("TRUNKLINE_WORKER_TOKEN", "")
    if not token:
        raise InvalidArgument(
            "a machine joins with a worker token; make one with trunkline create worker-token and name it with"
            " --token or TRUNKLINE_WORKER_TOKEN"
        )
    address = addresses.parse(options.server)
    if not options.insecure and not address.is_local and not (address.tls or options.server_ca):
        raise FailedPrecondition(
            f"--server {options.server} is on another machine and has no TLS, so that the token and all data could be"
            " read on the way; use grpcs://HOST:PORT, or add --insecure where the network is trusted"
        )
    memory = parse_bytes(options.memory, "--memory") if options.memory else None
    with loading.without_collections():
        machine = import_module("trunkline.app.machine")
    with tempfile.TemporaryDirectory(prefix="trunkline-worker-", dir=options.data or None) as folder:
        machine.main(
            machine.MachineSettings(
                server=options.server,
                token=token,
                slots=options.slots or os.cpu_count() or 1,
                folder=Path(folder),
                memory=memory,
                ca=options.server_ca and str(Path(options.server_ca).absolute()),
                log_level=options.log_level,
            )
        )


def create_token(invocation: Invocation) -> None:
    """Make a worker token and print it, the only time that it is shown."""
    from trunkline.model.durations import parse_duration

    seconds = parse_duration(invocation.options.valid, "--valid")
    if seconds <= 0:
        raise InvalidArgument(f"--valid {invocation.options.valid} is not longer than 0; 720h is usual")
    info = invocation.machines.CreateWorkerToken(machines_pb2.CreateWorkerTokenRequest(valid_seconds=seconds))
    print(info.token)


def list_tokens(invocation: Invocation) -> None:
    """List the tokens of machines; the tokens themselves cannot be read again."""
    whole = invocation.options.full_timestamps

    def row(info: machines_pb2.WorkerTokenInfo) -> Sequence[str]:
        return info.id, output.when(info.created, whole=whole), output.when(info.expires, whole=True)

    tokens = invocation.machines.ListWorkerToken(machines_pb2.ListWorkerTokenRequest())
    output.show_many(invocation, tokens, COLUMNS, row, lambda info: info.id)


def revoke_token(invocation: Invocation) -> None:
    """Make a token invalid: the machines that joined with it lose their workers."""
    id = invocation.options.id

    def losses() -> list[deletion.Loss]:
        tokens = invocation.machines.ListWorkerToken(machines_pb2.ListWorkerTokenRequest())
        return deletion.listed("worker token", id, [token.id for token in tokens])

    if not deletion.is_wanted(invocation, losses):
        return
    invocation.machines.RevokeWorkerToken(machines_pb2.RevokeWorkerTokenRequest(id=id))
    invocation.report("revoked", "worker token", id)


COMMANDS = {
    "worker": Command(
        worker,
        (
            argument(
                "--server",
                required=True,
                metavar="ADDRESS",
                help="the server, HOST:PORT or grpcs://HOST:PORT",
            ),
            argument("--token", default="", metavar="TOKEN", help="worker token ($TRUNKLINE_WORKER_TOKEN)"),
            argument(
                "--server-ca",
                default="",
                metavar="FILE",
                help="CA by which the server is verified (the system's)",
            ),
            argument("--slots", type=count, metavar="N", help="workers to run at a time (the processors)"),
            argument("--memory", metavar="QUANTITY", help="memory that workers may request (the machine's)"),
            argument("--data", default="", metavar="FOLDER", help="where temporary files go (the system's)"),
            argument("--insecure", action="store_true", help="allow a server on another machine without TLS"),
            argument(
                "--log-level",
                default="info",
                choices=("debug", "info", "warning", "error", "off"),
                help="lowest level of log records on standard error (info)",
            ),
        ),
        examples=(
            (
                "trunkline worker --server lab.example.org:30650 --token TOKEN",
                "run workers here, one for each processor",
            ),
            ("trunkline worker --server localhost:30650 --token TOKEN --slots 2", "two at a time"),
        ),
    ),
    "create worker-token": Command(
        create_token,
        (argument("--valid", default="720h", metavar="DURATION", help="how long it is valid (720h)"),),
        examples=(("trunkline create worker-token --valid 24h", "a token that machines can use for a day"),),
    ),
    "list worker-token": Command(
        list_tokens,
        SHOWING,
        examples=(("trunkline list worker-token", "show which tokens are valid"),),
    ),
    "revoke worker-token": Command(
        revoke_token,
        (
            argument("id", metavar="ID", help="the token's id, from list worker-token"),
            deletion.DRY_RUN,
            *CHANGING,
        ),
        examples=(("trunkline revoke worker-token 5f0c2a9e1b7d4c36", "make a token invalid, by its id"),),
    ),
}
