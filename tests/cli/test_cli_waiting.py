"""The line that says how far something is while a command waits."""

from __future__ import annotations

import argparse
import io
import sys
import threading

import pytest
from cli_messages import pipeline

from trunkline.cli.invocation import Invocation
from trunkline.cli.watch import waiting
from trunkline.rpc.gen import control_pb2, pps_pb2

ID = "0123456789ab4def8123456789abcdef"


class Screen(io.StringIO):
    """Standard error, as a terminal or not."""

    def __init__(self, *, is_terminal):
        super().__init__()
        self._is_terminal = is_terminal

    def isatty(self):
        return self._is_terminal


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(waiting, "UPDATE_EVERY", 0.01)
    monkeypatch.setattr(waiting, "LINE_EVERY", 0.01)


def written(monkeypatch, *texts, is_terminal, quiet=False):
    """Return what is written while these texts come one after the other."""
    screen, rest, ended = Screen(is_terminal=is_terminal), list(texts), threading.Event()
    monkeypatch.setattr(sys, "stderr", screen)

    def describe():
        if len(rest) == 1:
            ended.set()
        return rest.pop(0) if len(rest) > 1 else rest[0]

    with waiting.Waiting(describe, quiet=quiet, close=lambda: None):
        if not quiet:
            assert ended.wait(30)
    return screen.getvalue()


def test_a_terminal_has_one_line_that_vanishes(monkeypatch):
    text = written(monkeypatch, "1 of 2", "2 of 2", "end", is_terminal=True)

    assert text.startswith("\r\033[2K1 of 2, ")
    assert "\r\033[2K2 of 2, " in text
    assert text.endswith("\r\033[2K")
    assert "\n" not in text


def test_elsewhere_each_change_is_a_line(monkeypatch):
    text = written(monkeypatch, "1 of 2", "1 of 2", "2 of 2", "2 of 2", "2 of 2", is_terminal=False)

    assert text == "1 of 2\n2 of 2\n"


def test_nothing_is_shown_when_it_is_to_be_quiet(monkeypatch):
    assert written(monkeypatch, "1 of 2", is_terminal=True, quiet=True) == ""


def test_a_job_is_described_by_its_datums_its_rate_and_the_time_it_takes(server, monkeypatch):
    job = pps_pb2.Job(pipeline=pipeline("count"), id=ID)
    server.answers["InspectJob"] = pps_pb2.JobInfo(
        job=job, state=pps_pb2.JOB_RUNNING, data_total=10, data_processed=3, data_failed=1
    )
    server.answers["InspectProgress"] = control_pb2.JobProgress(datums_per_second=2.5, seconds_left=4)
    server.answers["InspectJobSet"] = [
        pps_pb2.JobInfo(job=job, state=state) for state in (pps_pb2.JOB_RUNNING, pps_pb2.JOB_SUCCESS)
    ]
    options = argparse.Namespace(
        address=server.address, ca=None, context=None, project=None, quiet=False, output=None
    )
    screen = Screen(is_terminal=False)
    monkeypatch.setattr(sys, "stderr", screen)

    with Invocation(options, "wait job") as invocation:
        for name, named, set_id in (("count@", job, ""), (ID, None, ID)):
            lines = screen.getvalue().count("\n")
            with waiting.for_jobs(invocation, name, named, set_id):
                while screen.getvalue().count("\n") == lines:
                    threading.Event().wait(0.01)

    assert screen.getvalue().splitlines() == [
        "count@: running, 4 of 10 datums, 1 failed, 2.5 datums/s, about 4 s left",
        f"{ID}: 1 of 2 jobs have ended",
    ]
