"""The whole ids of commits, jobs and datums of which a command line has the first digits."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from trunkline.cli.exit_codes import UsageError
from trunkline.errors import NotFound

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from trunkline.client.stubs import Service
    from trunkline.rpc.gen import console_pb2, pps_pb2

_SHORT = re.compile(r"[0-9a-f]{4,31}")
#: Ids that are looked at for those of one repo or pipeline, and that a message lists.
_MOST, _LISTED = 100, 5


def is_short(text: str) -> bool:
    """Tell whether a text can be the beginning of an id of a commit or job."""
    return _SHORT.fullmatch(text) is not None


def run(console: Service, text: str) -> str:
    """Return the id of the commits and jobs of one change.

    Args:
        console: answers searches.
        text: its first digits.

    Raises:
        UsageError: several ids begin with them.
        NotFound: none does.
    """
    return _only(text, (hit.id for hit in _hits(console, text) if hit.kind == "run"), "a commit or job")


def owned(console: Service, text: str, kind: str, owner: tuple[str, str]) -> str:
    """Return the id of a commit of a repo, or of a job of a pipeline.

    Args:
        console: answers searches.
        text: its first digits.
        kind: ``commit`` or ``job``.
        owner: project and name of the repo or pipeline.

    Raises:
        UsageError: several ids begin with them.
        NotFound: none does.
    """
    ids = (hit.id for hit in _hits(console, text) if hit.kind == kind and (hit.project, hit.name) == owner)
    return _only(text, ids, f"a {kind} of {'/'.join(owner)}")


def datum(console: Service, text: str, job: pps_pb2.Job) -> str:
    """Return the id of a datum of a job; found by bisection, since datums can be listed from any place by their ids.

    Args:
        console: lists datums.
        text: its first digits.
        job: has the datum.

    Raises:
        UsageError: several ids begin with them.
        NotFound: none does.
    """
    from trunkline.rpc.gen import console_pb2

    def page(offset: int, number: int) -> console_pb2.DatumRowPage:
        request = console_pb2.ListDatumRowRequest(
            project=job.pipeline.project.name,
            pipeline=job.pipeline.name,
            job_id=job.id,
            offset=offset,
            number=number,
        )
        answer: console_pb2.DatumRowPage = console.ListDatumRow(request)
        return answer

    first = _bisect(page(0, 1).total, lambda offset: page(offset, 1).rows[0].id < text)
    rows = page(first, _LISTED).rows
    return _only(text, (row.id for row in rows if row.id.startswith(text)), f"a datum of job {job.id[:12]}")


def _bisect(stop: int, is_before: Callable[[int], bool]) -> int:
    """Return the first of the numbers below ``stop`` for which ``is_before`` does not hold."""
    start = 0
    while start < stop:
        middle = (start + stop) // 2
        if is_before(middle):
            start = middle + 1
        else:
            stop = middle
    return start


def _hits(console: Service, text: str) -> Iterable[console_pb2.SearchHit]:
    from trunkline.rpc.gen import console_pb2

    answer: console_pb2.SearchResponse = console.Search(console_pb2.SearchRequest(text=text, number=_MOST))
    return answer.hits


def _only(text: str, ids: Iterable[str], what: str) -> str:
    matches = sorted(set(ids))
    if not matches:
        raise NotFound(f'no id of {what} begins with "{text}"')
    if len(matches) > 1:
        several = ", ".join(matches[:_LISTED]) + ("…" if len(matches) > _LISTED else "")
        raise UsageError(f'"{text}" begins several ids of {what}: {several}; write more digits')
    return matches[0]
