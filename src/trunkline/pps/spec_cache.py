"""Specifications by pipeline and version, parsed once: they never change."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

from trunkline.meta import pipelines
from trunkline.model import spec

if TYPE_CHECKING:
    import sqlalchemy as sa

    from trunkline.meta.database import Database
    from trunkline.model.spec import Input, PipelineSpec


class Specs:
    """Parsed specifications. Threads share it; two may parse the same one."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._parsed: dict[tuple[int, int], PipelineSpec] = {}

    def of(self, conn: sa.Connection, pipeline_id: int, version: int) -> PipelineSpec:
        """Return the specification of a pipeline's version.

        Args:
            conn: connection of the transaction.
            pipeline_id: row number of the pipeline.
            version: number of the version.
        """
        key = (pipeline_id, version)
        specification = self._parsed.get(key)
        if specification is None:
            row = pipelines.version(conn, pipeline_id, version)
            specification = replace(spec.from_json(json.loads(row.effective_json)), salt=row.salt)
            self._parsed[key] = specification
        return specification

    def get(self, pipeline_id: int, version: int) -> PipelineSpec:
        """Like ``of``, in a snapshot of its own. Blocks on the first look."""
        specification = self._parsed.get((pipeline_id, version))
        return (
            specification
            if specification is not None
            else self._db.read_blocking(self.of, pipeline_id, version)
        )


def input_of(specification: PipelineSpec) -> Input:
    """Return the input of a pipeline that has jobs; only such a pipeline has one for certain."""
    assert specification.input is not None
    return specification.input


def image_of(specification: PipelineSpec) -> str:
    """Return the image that a pipeline's commands run in."""
    return specification.transform.image if specification.transform is not None else ""
