"""What the cron inputs of a pipeline need before they tick: a start, so that missed ticks are known, and a repo."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from trunkline.meta import repos
from trunkline.model import limits, names, spec
from trunkline.model.schedules import parse_moment, parse_schedule, text_of
from trunkline.pfs import repos as repo_ops

if TYPE_CHECKING:
    from collections.abc import Mapping

    import sqlalchemy as sa

    from trunkline.meta.repos import RepoRow
    from trunkline.model.spec import CronInput, Input, PipelineSpec
    from trunkline.pfs.writes import WriteTransaction


def started_new(new: PipelineSpec, now: float) -> PipelineSpec:
    """Return the specification of a new pipeline with a start for each cron input: now, unless it has one.

    Args:
        new: the specification.
        now: seconds since the epoch.

    Raises:
        InvalidArgument: a start is so long ago that too many ticks would be made at once.
    """
    for cron in spec.cron_inputs(new):
        if cron.start:
            _check_missed(cron, now)
    return _with_starts(new, {}, now)


def started_again(new: PipelineSpec, old: PipelineSpec, now: float) -> PipelineSpec:
    """Return the specification of a new version with a start for each cron input: that of the old version, or now.

    Args:
        new: the specification.
        old: the one before.
        now: seconds since the epoch.
    """
    return _with_starts(new, {cron.name: cron.start for cron in spec.cron_inputs(old)}, now)


def make_repos(write: WriteTransaction, specification: PipelineSpec) -> None:
    """Create the repos of cron inputs that do not exist."""
    for cron in spec.cron_inputs(specification):
        name = names.RepoName(cron.project, cron.repo, names.USER)
        if repos.find_repo(write.conn, name.project, name.name, name.type) is None:
            text = f"Cron tick repo for pipeline {specification.project}/{specification.name}."
            repo_ops.create_repo(write, name, text, update=False)


def own_repos(conn: sa.Connection, specification: PipelineSpec) -> list[RepoRow]:
    """Return the repos of cron inputs, without those that the specification names itself."""
    rows = (
        repos.find_repo(conn, cron.project, cron.repo, names.USER)
        for cron in spec.cron_inputs(specification)
        if cron.repo == spec.cron_repo(specification.name, cron.name)
    )
    return [row for row in rows if row is not None]


def _with_starts(new: PipelineSpec, old: Mapping[str, str], now: float) -> PipelineSpec:
    if new.input is None:
        return new

    def started(node: Input) -> Input:
        if node.cron is not None:
            start = node.cron.start or old.get(node.cron.name) or text_of(now)
            return replace(node, cron=replace(node.cron, start=start))
        return replace(
            node,
            cross=tuple(map(started, node.cross)),
            union=tuple(map(started, node.union)),
            join=tuple(map(started, node.join)),
            group=tuple(map(started, node.group)),
        )

    return replace(new, input=started(new.input))


def _check_missed(cron: CronInput, now: float) -> None:
    schedule = parse_schedule(cron.spec, f"the schedule of cron input {cron.name}")
    at: float | None = parse_moment(cron.start, f"the start of cron input {cron.name}")
    missed = -1
    while at is not None and at <= now and missed <= limits.MISSED_TICKS:
        missed += 1
        at = schedule.after(at)
    what = f'the time from the start "{cron.start}" of cron input "{cron.name}" until now'
    limits.check_count(missed, limits.MISSED_TICKS, what, "write a later start, or leave it out for now")
