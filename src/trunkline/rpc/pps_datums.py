"""Datums over the wire: listed, inspected, run again."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, TypeVar

from trunkline import errors
from trunkline.meta import jobs, repos
from trunkline.model.states import DatumState
from trunkline.pps import datum_rows, datums, listing, plan
from trunkline.pps import pipelines as pipeline_ops
from trunkline.pps.preview import Preview
from trunkline.pps.spec_cache import input_of
from trunkline.rpc import convert, pps_convert
from trunkline.rpc.gen import pfs_pb2, pps_pb2
from trunkline.rpc.pps_base import PpsPart, matches
from trunkline.rpc.servicer import BATCH, EMPTY_REPLY
from trunkline.storage.segments import TreeId

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    import sqlalchemy as sa
    from google.protobuf.empty_pb2 import Empty

    from trunkline.meta.jobs import JobRow
    from trunkline.pfs.writes import WriteTransaction

T = TypeVar("T")

#: Datums that are listed in reverse order at a time: they are held in memory.
MAX_REVERSED = 100_000


class DatumCalls(PpsPart):
    """The calls about datums."""

    async def InspectDatum(self, request: pps_pb2.InspectDatumRequest, _context: Any) -> pps_pb2.DatumInfo:
        name = self._job_name(request.datum.job)
        job, message, inputs = await self._versions.db.read(self._datum_context, *name)
        listed = await self._blocking(listing.inspect_datum, self._versions, job, request.datum.id)
        return pps_convert.datum_info(listed, message, inputs)

    async def ListDatum(
        self, request: pps_pb2.ListDatumRequest, _context: Any
    ) -> AsyncIterator[pps_pb2.DatumInfo]:
        if request.job.id:
            name = self._job_name(request.job)
            job, message, inputs = await self._versions.db.read(self._datum_context, *name)
            after = _marker(request.pagination_marker)
            reverse_marker = request.reverse and after
            found = listing.list_datums(self._versions, job, b"" if request.reverse else after)
            infos: Iterator[pps_pb2.DatumInfo] = (
                pps_convert.datum_info(listed, message, inputs) for listed in found
            )
            if reverse_marker:
                infos = (info for info in infos if bytes.fromhex(info.datum.id) < after)
        else:
            infos = self._datums_of_input(request.input)
        wanted = set(request.filter.state)
        chosen: Iterator[pps_pb2.DatumInfo] = (info for info in infos if not wanted or info.state in wanted)
        if request.reverse:
            chosen = iter(await self._blocking(_last, chosen, request.number))
        left = request.number or -1
        while batch := await self._blocking(_take, chosen, BATCH if left < 0 else min(BATCH, left)):
            for info in batch:
                yield info
            if left > 0:
                left -= len(batch)
                if left == 0:
                    return

    async def RestartDatum(self, request: pps_pb2.RestartDatumRequest, _context: Any) -> Empty:
        name = self._job_name(request.job)
        await self._blocking(self._restart, name, list(request.data_filters))
        return EMPTY_REPLY

    def _restart(self, name: tuple[str, str, str], filters: list[str]) -> None:
        job = self._versions.read(self._find_job, *name)
        for claim in self._versions.read(jobs.owned_claims, job.id):
            if claim.datum_position is None or job.todo is None:
                continue
            at = claim.datum_position
            [(key, value)] = datum_rows.trees(self._versions).rows(TreeId(job.todo), at, at + 1)
            items = datum_rows.decode(key, value).items
            if all(any(matches(item, one) for item in items) for one in filters):
                self._versions.write(_ask_restart, claim.id)
                return
        raise errors.NotFound(
            f"datum matching filter [{' '.join(filters)}] could not be found for job ID {name[2]}"
        )

    def _datum_context(
        self, conn: sa.Connection, project: str, name: str, set_id: str
    ) -> tuple[JobRow, pps_pb2.Job, dict[str, pfs_pb2.Commit]]:
        """Return a job, its name on the wire, and its input commits by input name."""
        job = self._find_job(conn, project, name, set_id)
        pipeline = pipeline_ops.find(conn, project, name)
        spec = self._specs.of(conn, pipeline.id, job.version)
        inputs = plan.inputs_of(conn, spec, job)
        told: dict[str, pfs_pb2.Commit] = {}
        for key, leaf in datums.leaves(input_of(spec)):
            row = inputs.commits[key]
            if row is not None:
                told[leaf.name] = convert.commit_message(repos.repo_by_id(conn, row.repo_id), row.set_id)
        return job, pps_convert.job_message(pipeline, set_id), told

    def _datums_of_input(self, message: pps_pb2.Input) -> Iterator[pps_pb2.DatumInfo]:
        """Yield the datums that an input would have now, from the heads of its branches."""
        request = pps_pb2.CreatePipelineRequest(input=message)
        request.pipeline.name = "preview"
        request.transform.cmd.append("true")
        spec = pipeline_ops.read_request(pps_convert.spec_json(request)).spec
        preview = Preview(self._versions, spec)
        heads = {
            name: convert.commit_message(head.commit_name.repo, head.commit_name.id)
            for name, head in preview.heads.items()
        }
        for row in preview.rows():
            yield pps_convert.datum_info(listing.ListedDatum(row, DatumState.UNKNOWN), None, heads)


def _marker(text: str) -> bytes:
    """Return the id of the datum that a page follows; empty for the first page.

    Raises:
        InvalidArgument: it is no id of a datum.
    """
    try:
        return bytes.fromhex(text)
    except ValueError as error:
        raise errors.InvalidArgument(
            f'pagination_marker "{text[:80]}" is not the id of a datum; send the id of the last datum received'
        ) from error


def _ask_restart(write: WriteTransaction, claim_id: str) -> None:
    jobs.ask_restart(write.conn, claim_id)


def _last(infos: Iterator[T], number: int) -> list[T]:
    """Return the last of an iterator, the very last first.

    Args:
        infos: the iterator.
        number: how many; 0 for all, as long as they are not too many to be held.

    Raises:
        InvalidArgument: there are too many to be turned round.
    """
    last = deque(infos, maxlen=number if 0 < number <= MAX_REVERSED else MAX_REVERSED + 1)
    if len(last) > MAX_REVERSED:
        raise errors.InvalidArgument(
            f"a list in reverse order has at most {MAX_REVERSED:,} datums; send a number of at most that many"
        )
    last.reverse()
    return list(last)


def _take(found: Iterator[T], number: int) -> list[T]:
    """Return the next ``number`` of an iterator; all of it when negative."""
    batch: list[T] = []
    for one in found:
        batch.append(one)
        if len(batch) == number:
            break
    return batch
