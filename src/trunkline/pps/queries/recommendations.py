"""Which resources a pipeline should request, from what the datums of its last good job have used."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from msgspec import Struct

from trunkline import errors
from trunkline.meta import jobs
from trunkline.pps import datum_rows
from trunkline.pps.pipelines import find
from trunkline.scaling import requests
from trunkline.scaling.requests import Usage
from trunkline.storage.sums import TreeId

if TYPE_CHECKING:
    import sqlalchemy as sa

    from trunkline.meta.jobs import JobRow
    from trunkline.meta.pipelines import PipelineRow
    from trunkline.model.names import PipelineName
    from trunkline.model.spec import PipelineSpec, ResourceSpec
    from trunkline.pfs.repository import VersionedStore
    from trunkline.pps.spec_cache import Specs
    from trunkline.scaling.requests import Quantiles

#: Datums that are looked at. Their ids are hashes, so that the first ones are a random sample.
SAMPLE = 10_000


class Proposal(Struct, frozen=True):
    """A value for a field of a spec."""

    field: str
    #: Empty when the spec does not set it.
    current: str
    proposed: str


class Recommendation(Struct, frozen=True):
    """What a pipeline should request, and why."""

    pipeline: PipelineRow
    #: Id of the job whose datums were looked at.
    job_id: str
    #: Datums that were measured.
    sample: int
    proposals: tuple[Proposal, ...]
    cpus: Quantiles
    #: Bytes.
    memory: Quantiles
    download: Quantiles
    upload: Quantiles


def recommend(versions: VersionedStore, specs: Specs, name: PipelineName) -> Recommendation:
    """Return which resources a pipeline should request. Blocks.

    Args:
        versions: the store.
        specs: the parsed specifications.
        name: the pipeline.

    Raises:
        NotFound: there is no such pipeline.
        FailedPrecondition: no datum of it was measured yet.
    """
    pipeline, spec, job = versions.read(_look, specs, name)
    usages = []
    if job is not None and job.datums is not None:
        for key, value in islice(datum_rows.trees(versions).scan(TreeId(job.datums)), SAMPLE):
            row = datum_rows.decode(key, value)
            if row.peak_memory:
                usages.append(
                    Usage(
                        row.cpu_ns / 1e9,
                        row.process_ns / 1e9,
                        row.peak_memory,
                        row.download_bytes,
                        row.upload_bytes,
                    )
                )
    if job is None or not usages:
        raise errors.FailedPrecondition(
            f"no datum of pipeline {pipeline} was measured yet; let it process some files, without datum_batching"
        )
    advice = requests.propose(usages)
    asked, limits = spec.resource_requests, spec.resource_limits
    return Recommendation(
        pipeline,
        job.set_id,
        len(usages),
        (
            Proposal("resource_requests.cpu", _cpu(asked), f"{advice.cpu:g}"),
            Proposal("resource_requests.memory", _memory(asked), _quantity(advice.memory)),
            Proposal("resource_limits.memory", _memory(limits), _quantity(advice.memory_limit)),
        ),
        requests.quantiles([usage.cpus for usage in usages]),
        requests.quantiles([usage.peak_memory for usage in usages]),
        requests.quantiles([usage.download_bytes for usage in usages]),
        requests.quantiles([usage.upload_bytes for usage in usages]),
    )


def _look(
    conn: sa.Connection, specs: Specs, name: PipelineName
) -> tuple[PipelineRow, PipelineSpec, JobRow | None]:
    pipeline = find(conn, name.project, name.name)
    good = (
        jobs.last_with_results(conn, pipeline.id, version)
        for version in (pipeline.version, pipeline.version - 1)
    )
    return pipeline, specs.of(conn, pipeline.id, pipeline.version), next(filter(None, good), None)


def _cpu(resources: ResourceSpec | None) -> str:
    return f"{resources.cpu:g}" if resources is not None and resources.cpu else ""


def _memory(resources: ResourceSpec | None) -> str:
    return resources.memory if resources is not None else ""


def _quantity(size_bytes: int) -> str:
    return f"{size_bytes >> 20}Mi"
