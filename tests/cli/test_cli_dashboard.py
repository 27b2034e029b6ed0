"""The dashboard of ``top``: without a terminal by Textual's pilot, and once in a terminal."""

from __future__ import annotations

import argparse
import asyncio
import os
import pty
import re
import select
import sys
import time
from contextlib import asynccontextmanager

import pytest
from cli_messages import Refusal, pipeline
from grpc import StatusCode

from trunkline.cli.invocation import Invocation
from trunkline.rpc.gen import console_pb2, control_pb2, pfs_pb2, pps_pb2

pytest.importorskip("textual", reason="needs Textual, which the command line depends on")
from textual.widgets import DataTable, Static

from trunkline.cli.dashboard.app import Dashboard

ID = "0123456789ab4def8123456789abcdef"
PATIENCE = 60  # seconds


def job(name, state):
    return pps_pb2.JobInfo(job=pps_pb2.Job(pipeline=pipeline(name), id=ID), state=state, data_total=3)


@pytest.fixture
def busy(server):
    """A server with two pipelines, a failed job, a worker, a datum and its log."""
    details = pps_pb2.PipelineInfo.Details(workers_requested=5, workers_available=3)
    server.answers["ListPipeline"] = [
        pps_pb2.PipelineInfo(pipeline=pipeline("edges"), state=pps_pb2.PIPELINE_RUNNING, details=details),
        pps_pb2.PipelineInfo(
            pipeline=pipeline("montage"), state=pps_pb2.PIPELINE_CRASHING, reason="no memory"
        ),
    ]
    server.answers["ListJob"] = [job("edges", pps_pb2.JOB_FAILURE), job("montage", pps_pb2.JOB_RUNNING)]
    server.answers["ListWorker"] = [
        control_pb2.WorkerInfo(id="w" * 32, project="default", pipeline="edges", state="busy", job_id=ID)
    ]
    server.answers["ListDatumRow"] = console_pb2.DatumRowPage(
        rows=[
            console_pb2.DatumLine(
                id="d" * 64, state="FAILED", paths=["images /cow.png"], reason="exit code 3"
            )
        ]
    )
    server.answers["GetLogs"] = [pps_pb2.LogMessage(message="boom\n"), pps_pb2.LogMessage(message="bye\n")]
    server.answers["ListProject"] = [pfs_pb2.ProjectInfo(project=pfs_pb2.Project(name="lab"))]
    return server


@asynccontextmanager
async def running(address, is_over=lambda _: False, size=(80, 24)):
    """Yield a dashboard without a terminal, and the pilot that presses its keys."""
    options = argparse.Namespace(
        address=address, ca=None, context=None, project="default", quiet=True, output=None, timeout=None
    )
    with Invocation(options, "top") as invocation:
        dashboard = Dashboard(invocation, "default", is_over)
        async with dashboard.run_test(size=size) as pilot:
            yield dashboard, pilot
        await asyncio.to_thread(dashboard.wait)


def cells(dashboard):
    """Return the texts of the table."""
    table = dashboard.query_one(DataTable)
    return [[str(cell).strip() for cell in table.get_row_at(row)] for row in range(table.row_count)]


async def shows(dashboard, pilot, *words):
    """Wait until the table has all of these texts, and return its rows."""
    end = time.monotonic() + PATIENCE
    while not set(words) <= {cell for row in cells(dashboard) for cell in row}:
        assert time.monotonic() < end, f"no {words} in {cells(dashboard)}"
        await pilot.pause(0.02)
    return cells(dashboard)


def line(dashboard, name):
    return str(dashboard.query_one(f"#{name}", Static).render())


def test_one_descends_from_a_pipeline_to_a_log_and_returns(busy):
    async def look():
        async with running(busy.address) as (dashboard, pilot):
            rows = await shows(dashboard, pilot, "edges", "montage")
            assert rows[0][:3] == ["edges", "running", "3/5"]
            assert rows[1][4] == "no memory"
            for words, last in (
                (("failure",), "Jobs of edges"),
                (("exit code 3",), ID[:12]),
                (("boom", "bye"), "Log of"),
            ):
                await pilot.press("enter")
                await shows(dashboard, pilot, *words)
                assert last in line(dashboard, "place")
            assert busy.asked["GetLogs"][-1].datum.id == "d" * 64
            for _ in range(3):
                await pilot.press("escape")
            await shows(dashboard, pilot, "edges", "3/5")
            await pilot.press("q")
        assert dashboard.return_code == 0

    asyncio.run(look())


def test_ctrl_c_ends_it_also_while_one_types(busy):
    async def look():
        async with running(busy.address) as (dashboard, pilot):
            await shows(dashboard, pilot, "edges")
            await pilot.press("slash", "q", "ctrl+c")
            end = time.monotonic() + PATIENCE
            while dashboard.is_running:
                assert time.monotonic() < end
                await pilot.pause(0.02)
        assert dashboard.return_code == 0

    asyncio.run(look())


def test_rows_are_filtered_and_sorted(busy):
    async def look():
        async with running(busy.address) as (dashboard, pilot):
            await shows(dashboard, pilot, "edges", "montage")
            await pilot.press("slash", *"mem", "enter")
            assert [row[0] for row in cells(dashboard)] == ["montage"]
            await pilot.press("escape")
            assert [row[0] for row in cells(dashboard)] == ["edges", "montage"]
            await pilot.press("s", "S")
            assert [row[0] for row in cells(dashboard)] == ["montage", "edges"]
            await pilot.press("s", "s", "S")  # by workers
            assert [row[0] for row in cells(dashboard)] == ["montage", "edges"]

    asyncio.run(look())


def test_views_projects_and_keys_are_a_key_away(busy):
    async def look():
        async with running(busy.address) as (dashboard, pilot):
            await pilot.press("3")
            await shows(dashboard, pilot, "busy")
            await pilot.press("tab", "tab", "tab")
            await shows(dashboard, pilot, "failure")
            await pilot.press("question_mark")
            assert len(dashboard.screen_stack) == 2
            await pilot.press("escape", "p")
            await shows(dashboard, pilot, "lab", "(all projects)")
            await pilot.press("down", "enter")
            await shows(dashboard, pilot, "edges")
            assert busy.asked["ListPipeline"][-1].projects[0].name == "lab"
            assert all(word in line(dashboard, "head") for word in ("lab", busy.address))

    asyncio.run(look())


def test_an_event_makes_the_table_new(busy, monkeypatch):
    monkeypatch.setattr("trunkline.cli.dashboard.app.AGAIN", 0.05)
    monkeypatch.setattr("trunkline.cli.dashboard.app.AT_LEAST_EVERY", 600.0)
    streams = [[]]
    busy.answers["WatchEvents"] = lambda _: streams[-1]

    async def look():
        async with running(busy.address) as (dashboard, pilot):
            await shows(dashboard, pilot, "edges")
            busy.answers["ListPipeline"] = [pps_pb2.PipelineInfo(pipeline=pipeline("blur"))]
            streams.append([control_pb2.Event(kind="pipeline", id="1", json="{}")])
            await shows(dashboard, pilot, "blur")

    asyncio.run(look())


def test_a_server_that_cannot_answer_is_shown(busy):
    busy.answers["ListPipeline"] = Refusal(StatusCode.UNAVAILABLE, "starting")

    async def look():
        async with running(busy.address) as (dashboard, pilot):
            end = time.monotonic() + PATIENCE
            while "starting" not in line(dashboard, "place"):
                assert time.monotonic() < end
                await pilot.pause(0.02)

    asyncio.run(look())


def test_it_ends_by_itself_when_nothing_runs(busy):
    async def look():
        async with running(busy.address, is_over=lambda _: True) as (dashboard, pilot):
            end = time.monotonic() + PATIENCE
            while dashboard.is_running:
                assert time.monotonic() < end
                await pilot.pause(0.02)

    asyncio.run(look())


@pytest.mark.parametrize("size", [(80, 24), (40, 8)])
def test_every_line_fits_the_window(busy, size):
    async def look():
        async with running(busy.address, size=size) as (dashboard, pilot):
            await shows(dashboard, pilot, "edges")
            assert all(widget.region.right <= size[0] for widget in dashboard.screen.children)
            assert dashboard.query_one("#hints").region.bottom <= size[1]

    asyncio.run(look())


@pytest.mark.slow
def test_in_a_terminal_it_draws_with_the_colours_of_the_terminal_and_q_ends_it(busy):
    pid, fd = pty.fork()
    if not pid:
        os.environ.update(TERM="xterm-256color", TRUNKLINE_ADDRESS=busy.address, COLUMNS="80", LINES="24")
        os.execv(sys.executable, [sys.executable, "-m", "trunkline.cli", "top"])
    text, end, quits = "", time.monotonic() + PATIENCE, False
    while time.monotonic() < end:
        if select.select([fd], (), (), 0.2)[0]:
            try:
                text += os.read(fd, 65536).decode(errors="replace")
            except OSError:  # the other side is closed
                break
        if not quits and "montage" in text:
            os.write(fd, b"q")
            quits = True
    os.close(fd)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert not re.search(r"\x1b\[[0-9;]*[34]8;[25];", text)  # 256 or 16 million colours
