"""States: only legal moves are recorded, and only states that exist."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from pps_world import PpsWorld, pfs

from trunkline.errors import FailedPrecondition
from trunkline.meta import claims as claim_rows
from trunkline.meta import jobs, pipelines, schema, workers
from trunkline.model.states import ClaimState, JobState, PipelineState, WorkerState
from trunkline.pps import pipelines as pipeline_ops

pytestmark = pytest.mark.parametrize("world", ["sqlite", "postgres"], indirect=True)


@pytest.fixture
def failed(world: PpsWorld) -> PpsWorld:
    """A pipeline that has failed, with nobody who looks after it."""
    world.repo("images")
    world.pipeline("edges", pfs("images"))
    world.stop_controller()
    row = world.pipeline_row("edges")
    world.versions.write(
        lambda write: pipelines.move(write.conn, row, PipelineState.FAILURE, "the image does not exist")
    )
    return world


def test_stopping_a_failed_pipeline_succeeds_and_it_stays_failed_with_its_reason(failed: PpsWorld) -> None:
    failed.versions.write(pipeline_ops.stop, "default", "edges")

    row = failed.pipeline_row("edges")
    assert (row.state, row.stopped, row.reason) == (PipelineState.FAILURE, True, "the image does not exist")


def test_a_failed_pipeline_is_started_by_an_update_only(failed: PpsWorld) -> None:
    failed.versions.write(pipeline_ops.stop, "default", "edges")

    with pytest.raises(FailedPrecondition, match="the image does not exist"):
        failed.versions.write(pipeline_ops.start, "default", "edges")
    failed.pipeline("edges", pfs("images"), update=True)

    row = failed.pipeline_row("edges")
    assert (row.state, row.stopped, row.version) == (PipelineState.RESTARTING, False, 2)


def test_a_state_that_does_not_exist_is_not_written(world: PpsWorld) -> None:
    world.repo("images")
    world.pipeline("edges", pfs("images"))
    [worker_id] = world.until_workers("edges", 1)

    with pytest.raises((ValueError, sa.exc.StatementError), match="retirng"):
        world.versions.write(lambda write: write.conn.execute(schema.worker.update().values(state="retirng")))

    assert [row.state for row in world.workers("edges") if row.id == worker_id] == [WorkerState.PENDING]


def test_an_illegal_move_of_a_job_is_refused_with_its_history(world: PpsWorld) -> None:
    world.repo("images")
    world.put("images", {"/a": b"x"})
    world.pipeline("edges", pfs("images"))
    job = world.until_state("edges", "RUNNING")
    world.stop_controller()
    world.end(job, "KILLED", "a user stopped it")
    [killed] = world.jobs("edges")

    with pytest.raises(FailedPrecondition) as caught:
        world.versions.write(lambda write: jobs.move(write.conn, killed, JobState.RUNNING))

    assert killed.set_id in caught.value.message
    assert "reason: a user stopped it" in caught.value.message
    assert world.jobs("edges")[0].state is JobState.KILLED


def test_an_illegal_move_of_a_worker_or_claim_is_refused_with_its_history(world: PpsWorld) -> None:
    world.repo("images")
    world.put("images", {"/a": b"x"})
    world.pipeline("edges", pfs("images"))
    [hand] = world.hands("edges", 1, lambda seen: dict(seen["images"]))
    world.until_state("edges", "RUNNING")
    claimed = hand.take()
    assert claimed is not None
    world.stop_controller()
    world.has_all_events = False  # of the row that the test moves
    world.versions.write(lambda write: workers.move(write.conn, hand.id, WorkerState.RETIRING, "", write.now))

    with pytest.raises(FailedPrecondition, match=f"{hand.id}.*history"):
        world.versions.write(lambda write: workers.move(write.conn, hand.id, WorkerState.BUSY, "", write.now))
    world.versions.write(
        lambda write: claim_rows.advance_claim(write.conn, claimed.claim, claimed.claim.stop, ClaimState.DONE)
    )
    done = world.versions.read(claim_rows.claim_by_id, claimed.claim.id)
    assert done is not None
    with pytest.raises(FailedPrecondition, match="cannot become free"):
        world.versions.write(
            lambda write: claim_rows.advance_claim(write.conn, done, done.done, ClaimState.FREE)
        )
