"""The line that says how far something is while a command waits."""

from __future__ import annotations

import argparse
import io
import sys
import threading

import grpc
import pytest
from cli_messages import Refusal, commit, pipeline

from trunkline.cli.invocation import Invocation
from trunkline.cli.watch import waiting
from trunkline.rpc.gen import control_pb2, pfs_pb2, pps_pb2

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


@pytest.fixture
def described(server, monkeypatch):
    """Returns the line about something that is waited for; of two jobs one runs."""
    count, total = (pps_pb2.Job(pipeline=pipeline(name), id=ID) for name in ("count", "sum"))
    running = pps_pb2.JobInfo(
        job=count, state=pps_pb2.JOB_RUNNING, data_total=10, data_processed=3, data_failed=1
    )
    server.answers |= {
        "InspectJob": running,
        "InspectProgress": control_pb2.JobProgress(datums_per_second=2.5, seconds_left=4),
        "InspectJobSet": [pps_pb2.JobInfo(job=total, state=pps_pb2.JOB_SUCCESS), running],
        "InspectCommit": pfs_pb2.CommitInfo(commit=commit("count", ID)),
    }
    options = argparse.Namespace(
        address=server.address, ca=None, context=None, project=None, quiet=False, output=None
    )

    def line(kind, *arguments):
        screen = Screen(is_terminal=False)
        monkeypatch.setattr(sys, "stderr", screen)  # in the test: pytest replaces it after the fixtures
        with Invocation(options, "wait job") as invocation, kind(invocation, *arguments):
            while not screen.getvalue():
                threading.Event().wait(0.01)
        return screen.getvalue().splitlines()[0]

    return line


PROGRESS = "running, 4 of 10 datums, 1 failed, 2.5 datums/s, about 4 s left"


def test_a_job_is_described_by_its_datums_its_rate_and_the_time_it_takes(described):
    job = pps_pb2.Job(pipeline=pipeline("count"), id=ID)

    assert described(waiting.for_jobs, "count@", job, "") == f"count@: {PROGRESS}"


def test_jobs_of_an_id_are_described_by_the_first_that_runs(described):
    assert described(waiting.for_jobs, ID, None, ID) == f"{ID}: 1 of 2 jobs have ended; count {PROGRESS}"


def test_a_commit_is_described_by_the_jobs_of_its_id(described, server):
    line = described(waiting.for_commit, "count@master", commit("count", ""), "")

    assert line == f"count@master: 1 of 2 jobs have ended; count {PROGRESS}"
    assert server.asked["InspectJobSet"][0].job_set.id == ID


def test_a_commit_that_no_pipeline_makes_is_only_named(described, server):
    server.answers["InspectJobSet"] = Refusal(grpc.StatusCode.NOT_FOUND, "no jobs")

    assert described(waiting.for_commit, "a@b", commit("a", ""), "") == "waiting for commit a@b"
