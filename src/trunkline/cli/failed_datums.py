"""Why a job failed: its first failed datum, what the command printed last, and where the rest of its log is."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from trunkline.cli import output
from trunkline.errors import TrunklineError
from trunkline.rpc.gen import pps_pb2

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trunkline.cli.invocation import Invocation

#: Lines of the command that are shown, and lines of the log among which they are looked for.
LINES, _READ = 4, 50
_SHORT_DATUM = 8  # digits of a datum's id that are enough to name it in its job
_DATUM_ID = re.compile(r"\b([0-9a-f]{12})[0-9a-f]{52}\b")


class Failure(NamedTuple):
    """The failure of a datum."""

    #: Names of its files, such as ``/hamlet.txt``.
    files: str
    #: Such as ``exit code 3 (attempt 2 of 2)``.
    reason: str
    #: The last lines that the command printed.
    lines: tuple[str, ...]
    #: The command that prints its whole log.
    log: str

    @property
    def sentence(self) -> str:
        """The failure in one line."""
        last = f"; last line: {output.one_line(self.lines[-1], 100)}" if self.lines else ""
        return f"{self.files}: {self.reason}{last}"

    def fields(self) -> Sequence[tuple[str, str]]:
        """Return the lines that an ``inspect`` command shows."""
        lines = [("Last lines" if not number else "", line) for number, line in enumerate(self.lines)]
        return [*lines, ("Log", self.log)]


def first(invocation: Invocation, job: pps_pb2.Job) -> Failure | None:
    """Return the failure of the first datum of a job that failed; None when no datum has, or it cannot be read."""
    from trunkline.rpc.gen import console_pb2

    request = console_pb2.ListDatumRowRequest(
        project=job.pipeline.project.name,
        pipeline=job.pipeline.name,
        job_id=job.id,
        states=["failed"],
        number=1,
    )
    try:
        rows = invocation.console.ListDatumRow(request).rows
        if not rows:
            return None
        files = ", ".join(
            path.replace(" ", ":", 1) for path in rows[0].paths
        )  # "texts /a" becomes "texts:/a"
        return of(invocation, job, rows[0].id, files, rows[0].reason)
    except TrunklineError:  # what was asked for is the job; this only explains it
        return None


def of(invocation: Invocation, job: pps_pb2.Job, id: str, files: str, reason: str) -> Failure:
    """Return the failure of a datum.

    Args:
        invocation: asks the server.
        job: has the datum.
        id: of the datum.
        files: names of its files.
        reason: why it failed.
    """
    request = pps_pb2.GetLogsRequest(job=job, datum=pps_pb2.Datum(job=job, id=id), tail=_READ)
    texts: list[str] = []
    begins = False
    for message in invocation.pps.GetLogs(request):
        if message.user and begins:
            texts, begins = [], False  # the lines before are those of an earlier attempt
        if not message.user:
            begins = True
        elif text := message.message.rstrip():
            texts.append(text)
    project = job.pipeline.project.name
    pipeline = job.pipeline.name if project == invocation.project else f"{project}/{job.pipeline.name}"
    log = f"trunkline logs -j {pipeline}@{job.id[: output.SHORT_ID]} --datum {id[:_SHORT_DATUM]}"
    lines = tuple(output.one_line(text, 200) for text in texts[-LINES:])
    return Failure(output.one_line(files, 80), reason, lines, log)


def with_short_ids(reason: str) -> str:
    """Return a reason with the first digits of the ids of datums."""
    return _DATUM_ID.sub(r"\1", reason)
