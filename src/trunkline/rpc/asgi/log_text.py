"""``/files/.log/PROJECT/PIPELINE``: a whole log as text, streamed (docs/reference/rest.md).

No project's name begins with a dot, so these addresses are not those of files.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qs, quote

from trunkline import errors
from trunkline.model import names
from trunkline.pps.queries import log_reading
from trunkline.rpc.asgi import file_headers
from trunkline.rpc.asgi.raw_calls import RawCall
from trunkline.rpc.asgi.responses import NO_SNIFF, TEXT
from trunkline.runtime import threads

if TYPE_CHECKING:
    from trunkline.pps.queries.log_reading import LogName
    from trunkline.rpc.asgi.headers import RequestHeaders
    from trunkline.rpc.call import Call

PREFIX = "/files/.log/"
#: Name of the call in the access log, in metrics and in traces.
GET = "trunkline.files/GetLog"
_METHODS = ("GET", "HEAD")
#: Parameters of the address: which part of the pipeline's log.
_PARTS = ("job", "datum", "worker")


class LogCall(RawCall):
    """One request for a log."""

    __slots__ = ()

    async def get(self, call: Call, _request: RequestHeaders) -> None:
        """Send the log."""
        log = self._target()
        store = self.versions.for_caller(call.caller, call.trace)
        # Opened first, so that a pipeline or job that does not exist is an error and not an empty log.
        text = await threads.run(self.executor, log_reading.whole_text, store, log)
        parts = (log.pipeline.name, log.job.id[:8] if log.job else "", log.datum[:8], log.worker_id[:8])
        file_name = quote(f"{'-'.join(filter(None, parts))}.log", safe="")
        headers = [
            (b"content-type", TEXT),
            (b"content-disposition", f"attachment; filename*=UTF-8''{file_name}".encode()),
            (b"cache-control", b"no-store"),
            NO_SNIFF,
            *file_headers.SAFETY,
        ]
        await self.start(200, headers)
        if not self.is_head:
            await self.send_pieces(text, "the client took nothing of the log; read faster")

    def _target(self) -> LogName:
        """Return the log that the address names.

        Raises:
            InvalidArgument: it does not have the form.
            Unimplemented: the method of HTTP is not supported.
        """
        method, path = self.scope["method"], self.scope["path"]
        if method not in _METHODS:
            raise errors.Unimplemented(f"{method} is not supported for logs; use {' or '.join(_METHODS)}")
        project, _, pipeline = path.removeprefix(PREFIX).partition("/")
        if not (project and pipeline) or "/" in pipeline:
            raise errors.InvalidArgument(
                f"{path[:200]} names no log; use {PREFIX}PROJECT/PIPELINE, with job=, datum= or worker= for a part"
            )
        values = parse_qs(self.scope.get("query_string", b"").decode("latin-1"))
        for name in values:
            if name not in _PARTS:
                raise errors.InvalidArgument(
                    f'parameter "{name[:100]}" of a log is unknown; use {", ".join(_PARTS)}'
                )
        job, datum, worker = (values.get(name, [""])[0] for name in _PARTS)
        if datum and not job:
            raise errors.InvalidArgument("the log of a datum needs its job too; add ?job=ID")
        owner = names.PipelineName(project, pipeline)
        return log_reading.LogName(
            pipeline=owner,
            job=names.JobName(owner, job) if job else None,
            datum=datum,
            worker_id=worker,
        )
