"""The starts of cron inputs: each has one once its pipeline exists, so that missed ticks are known."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

from trunkline.model import limits, spec
from trunkline.model.schedules import parse_moment, parse_schedule, text_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trunkline.model.spec import CronInput, Input, PipelineSpec
    from trunkline.pps.pipelines import Request


def of_new(request: Request, now: float) -> Request:
    """Return the request for a new pipeline with a start for each cron input: now, unless it has one.

    Args:
        request: the request.
        now: seconds since the epoch.

    Raises:
        InvalidArgument: a start is so long ago that too many ticks would be made at once.
    """
    for cron in spec.cron_inputs(request.spec):
        if cron.start:
            _check_missed(cron, now)
    return _with_starts(request, {}, now)


def of_update(request: Request, old: PipelineSpec, now: float) -> Request:
    """Return the request for a new version with a start for each cron input: that of the old version, or now.

    Args:
        request: the request.
        old: the specification before.
        now: seconds since the epoch.
    """
    return _with_starts(request, {cron.name: cron.start for cron in spec.cron_inputs(old)}, now)


def _with_starts(request: Request, old: Mapping[str, str], now: float) -> Request:
    if request.spec.input is None or not spec.cron_inputs(request.spec):
        return request

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

    specification = replace(request.spec, input=started(request.spec.input))
    effective_json = json.dumps(spec.to_json(specification), ensure_ascii=False)
    return replace(request, spec=specification, effective_json=effective_json)


def _check_missed(cron: CronInput, now: float) -> None:
    schedule = parse_schedule(cron.spec, f"the schedule of cron input {cron.name}")
    at: float | None = parse_moment(cron.start, f"the start of cron input {cron.name}")
    missed = -1
    while at is not None and at <= now and missed <= limits.MISSED_TICKS:
        missed += 1
        at = schedule.after(at)
    what = f'the time from the start "{cron.start}" of cron input "{cron.name}" until now'
    limits.check_count(missed, limits.MISSED_TICKS, what, "write a later start, or leave it out for now")
