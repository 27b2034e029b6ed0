"""Runs the server; everything about it is in ``trunkline.app``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trunkline.cli.parsing import Command, argument

if TYPE_CHECKING:
    from trunkline.cli.invocation import Invocation


def serve(invocation: Invocation) -> int:
    """Run a server in the foreground until it is told to stop."""
    from importlib import import_module
    from pathlib import Path

    options = invocation.options
    memory = None
    if options.capacity_memory:
        from trunkline.model.quantities import parse_bytes

        memory = parse_bytes(options.capacity_memory, "--capacity-memory")
    # Only this command knows the application, and by name: the command line is a client everywhere else.
    run = import_module("trunkline.app.serve").main
    code: int = run(data=Path(options.data), listen=options.listen, capacity_memory=memory)
    return code


COMMANDS = {
    "serve": Command(
        serve,
        (
            argument(
                "--data", required=True, metavar="FOLDER", help="where everything is kept; made if needed"
            ),
            argument(
                "--listen",
                default="127.0.0.1:30650",
                metavar="HOST:PORT",
                help="where to answer (127.0.0.1:30650); port 0 picks one",
            ),
            argument(
                "--capacity-memory",
                metavar="QUANTITY",
                help="memory that workers may ask for together, such as 16Gi",
            ),
        ),
    )
}
