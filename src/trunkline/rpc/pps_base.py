"""What the parts of the PPS servicer share: the store, names of jobs, and the way into threads."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from trunkline import errors
from trunkline.meta import jobs
from trunkline.pps import pipelines as pipeline_ops
from trunkline.rpc import pps_convert
from trunkline.rpc.servicer import ServicerBase

if TYPE_CHECKING:
    from concurrent.futures import Executor

    import sqlalchemy as sa

    from trunkline.meta.jobs import JobRow
    from trunkline.pfs.repository import VersionedStore
    from trunkline.pps import datum_rows
    from trunkline.pps.spec_cache import Specs
    from trunkline.rpc.gen import pps_pb2


class PpsPart(ServicerBase):
    """A part of the servicer of ``pps_v2.API``."""

    def __init__(self, versions: VersionedStore, specs: Specs, executor: Executor) -> None:
        super().__init__(versions, executor)
        self._specs = specs

    def _job_name(self, message: pps_pb2.Job) -> tuple[str, str, str]:
        if not message.id:
            raise errors.InvalidArgument("the request names no job; set the job's id")
        return *pps_convert.pipeline_name(message.pipeline), message.id

    def _find_job(self, conn: sa.Connection, project: str, name: str, set_id: str) -> JobRow:
        pipeline = pipeline_ops.find(conn, project, name)
        job = jobs.find(conn, pipeline.id, set_id)
        if job is None:
            raise errors.NotFound(f"job {project}/{name}@{set_id} not found")
        return job


def matches(item: datum_rows.RowItem, wanted: str) -> bool:
    """Tell whether a filter (a path, or a hash in hex) means an item."""
    return wanted.rstrip("/") == item.path.rstrip("/") or wanted == item.hash.hex()


def refuse_jq(expression: str) -> None:
    """Refuse a jq filter."""
    if expression:
        raise errors.Unimplemented(
            f"jq filters are not built yet (got {json.dumps(expression)}); list without one and filter the answer"
        )
