"""Jobs belong to the trace of the write that made them, and their datums to the jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from trunkline.model import trace

if TYPE_CHECKING:
    from pps_world import PpsWorld

ABOVE = trace.from_headers("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "vendor=1")
TEXTS = {"pfs": {"repo": "texts", "glob": "/*"}}


@pytest.mark.parametrize("world", ["sqlite", "postgres"], indirect=True)
def test_jobs_all_along_the_dag_remember_the_trace_of_the_write(world: PpsWorld) -> None:
    world.repo("texts")
    world.pipeline("first", TEXTS)
    world.pipeline("second", {"pfs": {"repo": "first", "glob": "/*"}})

    world.versions.trace = ABOVE
    world.put("texts", {"/a": b"a"})

    assert [world.jobs(name)[0].trace for name in ("first", "second")] == [str(ABOVE)] * 2


def test_a_job_of_a_write_without_a_trace_has_none(world: PpsWorld) -> None:
    world.repo("texts")
    world.pipeline("first", TEXTS)

    world.put("texts", {"/a": b"a"})

    assert world.jobs("first")[0].trace is None


def test_where_nothing_is_exported_a_datum_is_directly_below_the_write(world: PpsWorld) -> None:
    world.repo("texts")
    world.pipeline("first", TEXTS)
    world.versions.trace = ABOVE
    world.put("texts", {"/a": b"a"})
    world.until_state("first", "RUNNING")

    [hand] = world.hands("first", 1, dict)
    claimed = hand.take()

    assert claimed is not None
    assignment = world.assignments.held_by(hand.id, claimed.claim.id)
    assert assignment.datum_traces() == [ABOVE]
