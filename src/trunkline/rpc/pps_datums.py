"""Datums over ``pps_v2.API``: inspects, lists and restarts them."""

from __future__ import annotations

from contextlib import aclosing
from itertools import islice
from typing import TYPE_CHECKING

from trunkline import errors
from trunkline.model import limits
from trunkline.pps.pipelines import read_request
from trunkline.pps.queries import datum_queries
from trunkline.pps.queries.datum_queries import DatumFilter
from trunkline.rpc import pps_convert
from trunkline.rpc.gen import pps_pb2
from trunkline.rpc.servicer import EMPTY_REPLY, ServicerBase, in_batches

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from google.protobuf.empty_pb2 import Empty

    from trunkline.model.spec import PipelineSpec
    from trunkline.pfs.repository import VersionedStore
    from trunkline.pps.spec_cache import Specs
    from trunkline.rpc.call import Call


class DatumCalls(ServicerBase):
    """Inspects, lists and restarts datums."""

    _specs: Specs

    async def InspectDatum(self, request: pps_pb2.InspectDatumRequest, call: Call) -> pps_pb2.DatumInfo:
        name = pps_convert.job_name(request.datum.job)
        context, listed = await self._blocking(
            datum_queries.datum, self._store(call), self._specs, name, request.datum.id
        )
        return pps_convert.DatumInfos(context).with_files(listed)

    async def ListDatum(
        self, request: pps_pb2.ListDatumRequest, call: Call
    ) -> AsyncIterator[pps_pb2.DatumInfo]:
        async with aclosing(self._ahead(in_batches(self._list(self._store(call), request)))) as batches:
            async for batch in batches:
                for info in batch:
                    yield info

    async def CreateDatum(
        self, requests: AsyncIterator[pps_pb2.CreateDatumRequest], call: Call
    ) -> AsyncIterator[pps_pb2.DatumInfo]:
        datums: Iterator[pps_pb2.DatumInfo] | None = None
        async for request in requests:
            start = request.start
            if request.HasField("start") == (datums is not None):
                raise errors.InvalidArgument(
                    "the first request of CreateDatum must start, all others continue; set the other field"
                )
            if datums is None:
                datums = await self._blocking(self._stream, self._store(call), start.input)
            number = (
                start.number if request.HasField("start") else getattr(request, "continue").number
            ) or _BATCH
            limits.check_count(number, limits.REQUEST_LIST, "number", "request fewer datums at a time")
            batch = await self._blocking(lambda rows, most: list(islice(rows, most)), datums, number)
            for info in batch:
                yield info
            if len(batch) < number:
                return

    async def RestartDatum(self, request: pps_pb2.RestartDatumRequest, call: Call) -> Empty:
        name = pps_convert.job_name(request.job)
        await self._blocking(datum_queries.restart, self._store(call), name, list(request.data_filters))
        return EMPTY_REPLY

    def _list(self, store: VersionedStore, request: pps_pb2.ListDatumRequest) -> Iterator[pps_pb2.DatumInfo]:
        """Yield the requested datums. A generator, so that nothing runs before a thread takes the first step."""
        filter_ = DatumFilter(
            states=[pps_convert.datum_state_of(state) for state in request.filter.state],
            marker=request.pagination_marker,
            reverse=request.reverse,
            number=request.number,
        )
        if request.job.id:
            name = pps_convert.job_name(request.job)
            context, listed = datum_queries.list_of_job(store, self._specs, name, filter_)
        elif not request.input.ByteSize():
            raise errors.InvalidArgument("must specify a job or an input: set one of them")
        else:
            context, listed = datum_queries.list_of_input(store, _spec_of(request.input), filter_)
        yield from map(pps_convert.DatumInfos(context).info, listed)

    def _stream(self, store: VersionedStore, message: pps_pb2.Input) -> Iterator[pps_pb2.DatumInfo]:
        context, listed = datum_queries.stream_of_input(store, _spec_of(message))
        return map(pps_convert.DatumInfos(context).info, listed)


#: Datums that a request of CreateDatum asks for when it names no number, as in Pachyderm.
_BATCH = 100


def _spec_of(message: pps_pb2.Input) -> PipelineSpec:
    """Return the specification of a pipeline with this input and a command that does nothing."""
    request = pps_pb2.CreatePipelineRequest(input=message)
    request.pipeline.name = "preview"
    request.transform.cmd.append("true")
    return read_request(pps_convert.spec_json(request)).spec
