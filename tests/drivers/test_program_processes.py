"""Processes that run programs of clients."""

from __future__ import annotations

from contextlib import ExitStack

from trunkline.drivers.programs.processes import ProgramProcesses


def test_filters_that_wait_for_their_client_delay_no_other_filter():
    programs = ProgramProcesses()
    with ExitStack() as open_filters:
        for _ in range(5):  # more than may compute at the same time
            open_filters.enter_context(programs.filter("true"))

        with programs.filter(".a > 1") as passing:
            assert passing(['{"a": 1}', '{"a": 2}']) == [False, True]
