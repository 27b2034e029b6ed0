"""The part of ``trunkline.console.v1.Console`` about logs."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING

from trunkline.model import limits, names
from trunkline.pps.queries import log_pages
from trunkline.pps.queries.log_reading import LogName
from trunkline.rpc import convert
from trunkline.rpc.gen import console_pb2 as pb
from trunkline.rpc.servicer import ServicerBase

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from trunkline.pps.queries.log_reading import LogLine
    from trunkline.rpc.call import Call

#: Bytes of a line that are sent, and those of one that is asked for in full.
_CUT, _FULL = 10_000, 1 << 20


class ConsoleLogs(ServicerBase):
    """Windows of logs, searches, lines over time."""

    async def ReadLog(self, request: pb.ReadLogRequest, call: Call) -> pb.LogWindow:
        for number, name in ((request.before, "before"), (request.after, "after")):
            limits.check_count(number, limits.LOG_WINDOW, name, "request fewer lines")
        place = log_pages.Place(
            position=request.position,
            number=request.line if request.HasField("line") else None,
            since=_time(request, "from"),
            from_begin=request.from_begin,
            before=max(0, request.before),
            after=max(0, request.after),
        )
        window = await self._blocking(log_pages.window, self._store(call), _log(request.log), place)
        cut = _FULL if request.full else _CUT
        return pb.LogWindow(
            lines=[_line(line, cut) for line in window.lines],
            at_begin=window.before == 0,
            at_end=window.before + len(window.lines) == window.total,
            lines_total=window.total,
            lines_before=window.before,
            event_position=str(window.event),
            expired=window.is_expired,
        )

    async def SearchLog(self, request: pb.SearchLogRequest, call: Call) -> AsyncIterator[pb.LogHits]:
        limits.check_count(request.number, limits.REQUEST_LIST, "number", "request fewer lines")
        pattern = log_pages.Pattern(
            text=request.text, is_expression=request.regex, match_case=request.match_case
        )
        groups = log_pages.search(
            self._store(call),
            _log(request.log),
            pattern,
            begin=_time(request, "from"),
            end=_time(request, "until"),
            number=max(0, request.number),
        )
        async with aclosing(self._ahead(groups)) as hits:
            async for group in hits:
                yield pb.LogHits(
                    lines=[_line(line, _CUT) for line in group.lines],
                    total=group.total,
                    done=group.is_done,
                )

    async def InspectLog(self, request: pb.InspectLogRequest, call: Call) -> pb.LogHistogram:
        histogram = await self._blocking(
            log_pages.histogram,
            self._store(call),
            _log(request.log),
            _time(request, "from"),
            _time(request, "until"),
            max(0, request.width),
        )
        message = pb.LogHistogram(lines=histogram.lines)
        convert.set_time(getattr(message, "from"), histogram.begin)
        convert.set_time(message.until, histogram.end)
        return message


def _log(message: pb.LogName) -> LogName:
    pipeline = names.PipelineName(message.project or names.DEFAULT_PROJECT, message.pipeline)
    return LogName(
        pipeline=pipeline,
        job=names.JobName(pipeline, message.job_id) if message.job_id else None,
        datum=message.datum_id,
        worker_id=message.worker_id,
    )


def _time(
    request: pb.ReadLogRequest | pb.SearchLogRequest | pb.InspectLogRequest, field: str
) -> float | None:
    """Return a time of a request in seconds since the epoch; None when it is not set."""
    return convert.seconds_of_time(getattr(request, field), field) if request.HasField(field) else None


def _line(line: LogLine, cut: int) -> pb.LogLine:
    text = line.line.message.encode(errors="replace")
    message = pb.LogLine(
        position=line.position,
        text=text[:cut].decode(errors="ignore"),
        length=len(text),
        worker_id=line.line.worker,
        job_id=line.line.job,
        datum_id=line.line.datum,
        source="user" if line.line.user else "worker",
    )
    convert.set_time(message.at, line.line.ts)
    return message
