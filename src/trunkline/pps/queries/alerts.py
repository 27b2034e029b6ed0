"""What is wrong with pipelines that run: alerts that a specification asks for."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING

from trunkline.meta import pipelines, workers
from trunkline.model.durations import format_duration
from trunkline.model.schedules import text_of
from trunkline.pfs import resolve

if TYPE_CHECKING:
    from collections.abc import Iterable

    import sqlalchemy as sa

    from trunkline.meta.pipelines import PipelineRow
    from trunkline.model.spec import PipelineSpec
    from trunkline.pfs.reads import ReadTransaction
    from trunkline.pps.spec_cache import Specs


def of_pipelines(
    read: ReadTransaction, specs: Specs, project: str | None
) -> list[tuple[PipelineRow, list[str]]]:
    """Return the pipelines that have alerts, with these.

    Args:
        read: the snapshot.
        specs: the parsed specifications.
        project: only pipelines of this project; None for all.

    Raises:
        NotFound: there is no such project.
    """
    conn = read.conn
    rows = pipelines.list_all(conn, [] if project is None else [resolve.project(conn, project).name])
    alerts = ((row, _alerts(conn, specs, row, read.now)) for row in rows)
    return [(row, texts) for row, texts in alerts if texts]


def uptime(spec: PipelineSpec, ready: Iterable[float], now: float) -> list[str]:
    """Return an alert if workers of an autoscaling pipeline run longer than its specification expects. Pure.

    Args:
        spec: the specification.
        ready: when each worker became ready, in seconds since the epoch.
        now: seconds since the epoch.
    """
    since = min(ready, default=now)
    limit = spec.maximum_expected_uptime
    if limit is None or now - since <= limit:
        return []
    return [
        f"{spec.project}/{spec.name}: workers have run since {text_of(since)},"
        f" {format_duration(ceil(now - since - limit))} longer than maximum_expected_uptime ({format_duration(limit)})"
    ]


def _alerts(conn: sa.Connection, specs: Specs, row: PipelineRow, now: float) -> list[str]:
    spec = specs.of(conn, row.id, row.version)
    if spec.maximum_expected_uptime is None:
        return []
    staff = workers.of_pipeline(conn, row.id)
    return uptime(spec, (worker.ready for worker in staff if worker.ready is not None), now)
