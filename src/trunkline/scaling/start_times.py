"""What to think of a start that takes longer than usual. Pure; ``pps.autoscaling.startup_times`` measures starts."""

from __future__ import annotations

#: A start is worrying when it takes longer than this many usual ones, and never before ``WORRY_LEAST`` seconds:
#: image pulls and machines vary by a factor of two from day to day.
WORRY_STARTS, WORRY_LEAST = 3.0, 60.0


def comparison(usual: float | None, waited: float) -> str:
    """Compare a start with the usual one, in brackets; empty without experience.

    Args:
        usual: seconds that starts usually take; None before the first.
        waited: seconds that this one has taken so far.
    """
    if usual is None:
        return ""
    worrying = max(WORRY_STARTS * usual, WORRY_LEAST)
    if waited > worrying:
        return f" (for longer than usual: starts take about {_about(usual)} s here)"
    return f" (starts take about {_about(usual)} s here; worry after {worrying:.0f} s)"


def _about(seconds: float) -> str:
    return f"{seconds:.1f}" if seconds < 10 else f"{seconds:.0f}"
