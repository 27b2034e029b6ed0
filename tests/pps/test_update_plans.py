"""What an update would run, against what it does run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from pps_world import PpsWorld, Recovered, pfs

from trunkline.errors import InvalidArgument
from trunkline.pps import pipelines as pipeline_ops
from trunkline.pps.queries import update_plans
from trunkline.pps.queries.datum_causes import DatumCause

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trunkline.meta.jobs import JobRow
    from trunkline.pps.queries.update_plans import UpdatePlan


def copy(seen: Mapping[str, Mapping[str, bytes]]) -> dict[str, bytes]:
    return {path: data for files in seen.values() for path, data in files.items()}


def recovers(_: object) -> dict[str, bytes]:
    raise Recovered


def run(world: PpsWorld, input_spec: Any, command: Any = copy, **spec: Any) -> JobRow:
    """Create or update the pipeline and run its newest job."""
    world.pipeline("copy", input_spec, **spec)
    return world.staffed("copy", command).work_until_ended("copy")


def plan(world: PpsWorld, input_spec: Any, *, reprocess: bool = False, **spec: Any) -> UpdatePlan:
    document = {
        "pipeline": {"name": "copy"},
        "transform": {"cmd": ["true"]},
        "input": input_spec,
        "parallelism_spec": {"constant": 1},
        **spec,
    }
    request = pipeline_ops.read_request(document)
    return update_plans.plan_update(world.versions, world.specs, request, reprocess=reprocess)


def counts(answer: UpdatePlan) -> dict[DatumCause, int]:
    return {planned.cause: planned.count for planned in answer.causes}


def test_an_update_that_changes_no_datum_runs_nothing(world: PpsWorld) -> None:
    world.repo("in")
    world.put("in", {"/a": b"1", "/b": b"2"})
    first = plan(world, pfs("in"))
    run(world, pfs("in"))

    answer = plan(world, pfs("in"), transform={"cmd": ["false"]})

    assert counts(first) == {DatumCause.FIRST: 2}
    assert (first.version, first.datum_seconds, first.seconds) == (0, 0.0, 0.0)
    assert (answer.version, answer.total, answer.run, answer.removed) == (1, 2, 0, 0)
    assert [(field.path, field.after) for field in answer.fields] == [("transform.cmd", '["false"]')]


def test_inputs_without_commits_have_no_datums_yet(world: PpsWorld) -> None:
    world.repo("empty")
    document = {"pipeline": {"name": "new"}, "transform": {"cmd": ["true"]}}
    cron = {"cron": {"name": "tick", "spec": "@daily"}}

    for source in (pfs("empty"), cron, {"cross": [pfs("empty"), cron]}):
        request = pipeline_ops.read_request({**document, "input": source})
        plan = update_plans.plan_update(world.versions, world.specs, request, reprocess=False)
        assert (plan.total, plan.run, plan.version) == (0, 0, 0)


def test_new_and_changed_datums_are_counted_and_the_job_runs_as_many(world: PpsWorld) -> None:
    world.repo("in")
    world.put("in", {"/a": b"1", "/b": b"2", "/c.txt": b"3"})
    job = run(world, pfs("in"))
    world.put("in", {"/a": b"one", "/d": b"4"})

    answer = plan(world, pfs("in", "/[abd]"))
    world.pipeline("copy", pfs("in", "/[abd]"), update=True)
    later = world.staffed("copy", copy).work_until_ended("copy")

    assert job.total == 3
    assert counts(answer) == {DatumCause.CHANGED: 1, DatumCause.NEW: 1}
    assert (answer.total, answer.removed) == (3, 1)
    assert later.total == answer.total


def test_what_runs_for_the_pipelines_sake_has_its_cause(world: PpsWorld) -> None:
    world.repo("in")
    world.put("in", {"/a": b"1"})
    run(world, pfs("in"))

    again = plan(world, pfs("in"), reprocess=True)
    always = plan(world, pfs("in"), reprocess_spec="every_job")
    run(world, pfs("in"), recovers, update=True, reprocess=True)
    recovered = plan(world, pfs("in"))

    assert counts(again) == {DatumCause.SALT: 1}
    assert counts(always) == {DatumCause.EVERY_JOB: 1}
    assert counts(recovered) == {DatumCause.RECOVERED: 1}
    assert again.causes[0].examples == ["/a"]
    assert again.workers == 1


def test_a_cross_with_ten_million_datums_is_counted_and_refused_before_any_is_made(world: PpsWorld) -> None:
    world.repo("in")
    world.put("in", {f"/{number}": b"" for number in range(3_163)})
    sides = [{"pfs": {"repo": "in", "glob": "/*", "name": side}} for side in ("a", "b")]

    with pytest.raises(InvalidArgument) as refused:
        plan(world, {"cross": sides})
    world.pipeline("copy", {"cross": sides})
    job = world.until_state("copy", "FAILURE")

    for message in (refused.value.message, job.reason):
        assert "3,163 x 3,163" in message
        assert "10,004,569" in message
