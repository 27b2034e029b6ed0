"""Whether output has colours: ``--color``, then ``NO_COLOR``, ``FORCE_COLOR``, and a terminal that is not dumb."""

from __future__ import annotations

import os
from typing import TextIO

CHOICES = ("auto", "always", "never")
#: What the command line says.
_choice = "auto"


def choose(choice: str) -> None:
    """Set what ``--color`` says for the rest of the process.

    Args:
        choice: one of ``CHOICES``.
    """
    global _choice
    _choice = choice


def is_wanted(out: TextIO) -> bool:
    """Tell whether to colour what is written to a stream."""
    if _choice != "auto":
        return _choice == "always"
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return os.environ.get("TERM") != "dumb" and out.isatty()
