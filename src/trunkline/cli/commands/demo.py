"""Runs the demos of the package, which are separate programs in ``examples``."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from trunkline.cli.parsing import Command, argument
from trunkline.errors import FailedPrecondition

if TYPE_CHECKING:
    from trunkline.cli.invocation import Invocation


def fargate(invocation: Invocation) -> None:
    """Run the image demo on simulated machines of AWS Fargate, with real workers."""
    options = invocation.options
    _execute("simulation.py", "--speed", f"{options.speed:g}", *(["--keep"] if options.keep else []))


def opencv(invocation: Invocation) -> None:
    """Run the image demo on this machine."""
    _execute("demo.py", *(["--keep"] if invocation.options.keep else []))


def _execute(program: str, *arguments: str) -> None:
    """Replace this process by a program of the example."""
    from importlib.util import find_spec

    if find_spec("skimage") is None or find_spec("sklearn") is None:
        raise FailedPrecondition(
            "the photographs of the demo come from scikit-image and scikit-learn, which are not installed;"
            " install Trunkline with its extra \"demo\", in a clone: pip install '.[demo]'"
        )
    path = os.path.join(_folder(), program)
    os.execv(sys.executable, [sys.executable, path, *arguments])


def _folder() -> str:
    """Return the folder of the example: in the installed package, or beside its source."""
    package = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    for folder in (
        os.path.join(package, "examples", "opencv"),
        os.path.join(package, "..", "..", "examples", "opencv"),
    ):
        if os.path.isdir(folder):
            return os.path.normpath(folder)
    raise FailedPrecondition(
        "the examples are not installed beside the package; install trunkline from a wheel or run it in a clone"
    )


KEEP = argument("--keep", action="store_true", help="leave the server running at the end")
COMMANDS = {
    "demo fargate": Command(
        fargate,
        (
            argument(
                "--speed",
                type=float,
                default=10.0,
                metavar="N",
                help="run this many times faster than Fargate (10)",
            ),
            KEEP,
        ),
        examples=(("trunkline demo fargate", "simulate a pipeline on AWS Fargate, ten times as fast"),),
    ),
    "demo opencv": Command(
        opencv,
        (KEEP,),
        examples=(
            ("trunkline demo opencv", "install, run and show the image example"),
            ("trunkline demo opencv --keep", "keep the server and its data"),
        ),
    ),
}
