"""What a claim means, and how a worker is told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from trunkline.pps import claims, datums
from trunkline.pps.spec_cache import input_of
from trunkline.rpc.gen import worker_api_pb2 as pb

if TYPE_CHECKING:
    from trunkline.meta.jobs import ClaimRow, JobRow
    from trunkline.meta.pipelines import PipelineRow
    from trunkline.model.spec import PipelineSpec
    from trunkline.pps import datum_rows
    from trunkline.storage.segments import TreeId


@dataclass(frozen=True, slots=True)
class Assigned:
    """What a claim means."""

    job: JobRow
    pipeline: PipelineRow
    spec: PipelineSpec
    #: Position in the job of the assignment's first datum.
    first: int
    datums: list[datum_rows.DatumRow]
    #: Distinct items, in order of first use.
    items: list[datum_rows.RowItem]
    #: Tree and commit id by input name.
    trees: dict[str, TreeId]
    commits: dict[str, str]
    #: Whether bytes can go between the worker and the object store.
    direct: bool


def message(claim: ClaimRow, assigned: Assigned) -> pb.Assignment:
    """Tell a worker what to do."""
    spec = assigned.spec
    transform = spec.transform
    assert transform is not None
    position = {item: number for number, item in enumerate(assigned.items)}
    leaves = {leaf.name: leaf for _, leaf in datums.leaves(input_of(spec))}
    return pb.Assignment(
        claim_id=claim.id,
        lease_seconds=claims.LEASE,
        direct=assigned.direct,
        project=assigned.pipeline.project,
        pipeline=assigned.pipeline.name,
        job_id=assigned.job.set_id,
        output_commit_id=assigned.job.set_id,
        command=pb.Command(
            cmd=transform.cmd,
            stdin=transform.stdin,
            err_cmd=transform.err_cmd,
            err_stdin=transform.err_stdin,
            env=dict(transform.env),
            working_dir=transform.working_dir,
            accept_return_code=transform.accept_return_code,
            user=transform.user,
        ),
        datum_tries=spec.datum_tries or 1,
        datum_timeout_seconds=spec.datum_timeout or 0.0,
        items=[
            pb.Item(
                input=item.input,
                path=item.path,
                hash=item.hash,
                commit_id=assigned.commits[item.input],
                size_bytes=item.size,
                empty_files=leaves[item.input].empty_files,
            )
            for item in assigned.items
        ],
        datums=[
            pb.Datum(id=row.id.hex(), items=[position[item] for item in row.items]) for row in assigned.datums
        ],
    )
