"""The part of ``trunkline.console.v1.Console`` about the datums of a job."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trunkline import errors
from trunkline.model import limits, names
from trunkline.model.states import DatumState
from trunkline.pps.queries import datum_pages, datum_summary, job_comparison, timeline
from trunkline.rpc import convert
from trunkline.rpc.console_overview import job_row
from trunkline.rpc.gen import console_pb2 as pb
from trunkline.rpc.servicer import ServicerBase

if TYPE_CHECKING:
    from google.protobuf.timestamp_pb2 import Timestamp

    from trunkline.pps.datum_sums import FiveNumbers
    from trunkline.pps.queries.datum_summary import DatumSummary, Line
    from trunkline.pps.queries.timeline import Lane
    from trunkline.pps.spec_cache import Specs
    from trunkline.rpc.call import Call

#: Inputs that a line names.
_PATHS = 3
#: Outputs that a line names.
_OUTPUTS = 100


class ConsoleJobs(ServicerBase):
    """Summaries of datums, timelines, two jobs compared."""

    _specs: Specs

    async def InspectDatums(self, request: pb.InspectDatumsRequest, call: Call) -> pb.DatumSummary:
        limits.check_count(request.number, limits.PAGE, "number", "request fewer datums")
        summary = await self._blocking(
            datum_summary.summary, self._store(call), _job(request, request.job_id), request.number
        )
        return _summary(summary)

    async def ListDatumRow(self, request: pb.ListDatumRowRequest, call: Call) -> pb.DatumRowPage:
        order = convert.known_value(pb.ListDatumRowRequest.Order.items(), request.order, "order")
        selection = datum_pages.Selection(
            order=datum_pages.Order(order),
            states=[_state(text) for text in request.states],
            text=request.text,
            offset=max(0, request.offset),
            token=request.page_token,
            number=max(0, request.number),
            begin=_time(request, "from"),
            end=_time(request, "until"),
            worker_ids=list(request.worker_ids),
            positions=list(request.positions),
            ids=list(request.ids),
        )
        page = await self._blocking(
            datum_pages.page, self._store(call), _job(request, request.job_id), selection
        )
        rows = [_line(line) for line in page.lines]
        for row, line in zip(rows, page.lines, strict=True) if request.ids else ():
            outputs = line.listed.row.outputs
            row.outputs.extend(outputs[:_OUTPUTS])
            row.outputs_total = len(outputs)
        return pb.DatumRowPage(
            rows=rows,
            total=page.total,
            next_page_token=page.token,
            position=str(page.event),
            is_cut=page.is_cut,
        )

    async def InspectTimeline(self, request: pb.InspectTimelineRequest, call: Call) -> pb.Timeline:
        extent = timeline.Range(
            begin=_time(request, "from"),
            end=_time(request, "until"),
            width=max(0, request.width),
            lanes=max(0, request.lanes),
        )
        result = await self._blocking(
            timeline.timeline, self._store(call), _job(request, request.job_id), extent
        )
        message = pb.Timeline(
            width=result.width,
            lanes=map(_lane, result.lanes),
            lanes_total=result.lanes_total,
            position=str(result.event),
        )
        convert.set_time(getattr(message, "from"), result.begin)
        convert.set_time(message.until, result.end)
        return message

    async def CompareJobs(self, request: pb.CompareJobsRequest, call: Call) -> pb.JobComparison:
        a, b = _job(request, request.job_a), _job(request, request.job_b)
        compared = await self._blocking(job_comparison.compare, self._store(call), self._specs, a, b)
        row_a, row_b = map(job_row, compared.rows)
        message = pb.JobComparison(
            a=row_a,
            b=row_b,
            datums_a=_summary(compared.a),
            datums_b=_summary(compared.b),
            spec=[
                pb.SpecChange(path=change.path, before_json=change.before, after_json=change.after)
                for change in compared.spec
            ],
            inputs=[
                pb.InputChange(branch=change.branch, commit_a=change.commit_a, commit_b=change.commit_b)
                for change in compared.inputs
            ],
            now_failed=map(_line, compared.now_failed),
            now_good=map(_line, compared.now_good),
        )
        if compared.changes is not None:
            message.added = compared.changes.added
            message.removed = compared.changes.removed
            message.changed = compared.changes.changed
            message.changes_are_least = compared.changes.is_least
        return message


def _job(
    request: pb.InspectDatumsRequest
    | pb.ListDatumRowRequest
    | pb.InspectTimelineRequest
    | pb.CompareJobsRequest,
    job_id: str,
) -> names.JobName:
    """Return the job that a request names."""
    project = request.project or names.DEFAULT_PROJECT
    return names.JobName(names.PipelineName(project, request.pipeline), job_id)


def _state(text: str) -> DatumState:
    try:
        return DatumState(text.upper())
    except ValueError:
        raise errors.InvalidArgument(
            f'"{text[:100]}" is not a state of datums; use one of {", ".join(DatumState)}'
        ) from None


def _time(request: pb.ListDatumRowRequest | pb.InspectTimelineRequest, field: str) -> float | None:
    """Return a time of a request in seconds since the epoch; None when it is not set."""
    if not request.HasField(field):
        return None
    moment: Timestamp = getattr(request, field)
    return convert.seconds_of_time(moment, field)


def _summary(summary: DatumSummary) -> pb.DatumSummary:
    return pb.DatumSummary(
        states={str(state): count for state, count in summary.states.items()},
        seconds=_numbers(summary.seconds),
        input_bytes=_numbers(summary.input_bytes),
        output_bytes=_numbers(summary.output_bytes),
        slowest=map(_line, summary.slowest),
        failed=map(_line, summary.failed),
        failed_total=summary.job.failed,
        position=str(summary.event),
    )


def _numbers(numbers: FiveNumbers | None) -> pb.FiveNumbers | None:
    if numbers is None:
        return None
    return pb.FiveNumbers(**{name: getattr(numbers, name) for name in numbers.__struct_fields__})


def _line(line: Line) -> pb.DatumLine:
    row, position = line.listed.row, line.listed.position
    message = pb.DatumLine(
        id=row.id.hex(),
        state=line.listed.state,
        paths=[f"{item.input} {item.path}" for item in row.items[:_PATHS]],
        inputs=len(row.items),
        seconds=(row.download_ns + row.process_ns + row.upload_ns) / 1e9,
        worker_id=line.worker_id,
        input_bytes=row.size,
        output_bytes=row.upload_bytes,
        reason=row.reason,
        processed_by_job_id=row.job_id if line.listed.state is DatumState.SKIPPED else "",
        position=position,
    )
    if line.started is not None:
        convert.set_time(message.started, line.started)
    return message


def _lane(lane: Lane) -> pb.Lane:
    message = pb.Lane(
        worker_id=lane.worker_id,
        machine=lane.machine,
        busy=lane.busy,
        datums=lane.datums,
        has_bars=lane.bars is not None,
        failures=[pb.FailureSlice(slice=at, failed=count) for at, count in sorted(lane.failures.items())],
    )
    for bar in lane.bars or ():
        entry = message.bars.add(
            position=bar.position,
            seconds=bar.end - bar.begin,
            state=bar.state,
            count=bar.count,
            failed=bar.failed,
        )
        convert.set_time(entry.begin, bar.begin)
    return message
