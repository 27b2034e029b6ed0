"""Finds whatever a person may mean by some letters of a name or digits of an id."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from msgspec import Struct

from trunkline import errors
from trunkline.meta import search as rows

if TYPE_CHECKING:
    from trunkline.pfs.reads import ReadTransaction

#: Hits of each kind when the request does not say how many, and at most; characters of a text.
HITS, MOST_HITS, LENGTH = 8, 100, 128
#: Digits that are looked up as the beginning of an id: fewer are a part of too many.
_ID = re.compile(r"[0-9a-f]{4,32}")


class Hit(Struct, frozen=True):
    """Something whose name or id matches."""

    #: project, repo, pipeline, run, job, commit or worker.
    kind: str
    project: str = ""
    name: str = ""
    id: str = ""


def search(read: ReadTransaction, text: str, number: int) -> list[Hit]:
    """Return what matches: names that contain the text, the best first, then ids that begin with it.

    Args:
        read: a snapshot.
        text: letters of a name, or the first digits of an id.
        number: hits of each kind; 0: ``HITS``.

    Raises:
        InvalidArgument: the number is not valid, or the text is too long.
    """
    conn, number, text = read.conn, number or HITS, text.strip()
    if not 0 < number <= MOST_HITS:
        raise errors.InvalidArgument(f"number {number} is not valid; ask for 1 to {MOST_HITS} hits")
    if len(text) > LENGTH:
        raise errors.InvalidArgument(f"the text has {len(text)} characters; send at most {LENGTH}")
    if not text:
        return []
    hits = [Hit("pipeline", *names) for names in rows.pipelines(conn, text, number)]
    outputs = {(hit.project, hit.name) for hit in hits}
    hits += [Hit("repo", *names) for names in rows.repos(conn, text, number) if names not in outputs]
    hits += [Hit("project", name, name) for name in rows.projects(conn, text, number)]
    digits = text.lower().replace("-", "")
    if _ID.fullmatch(digits):
        jobs, commits = rows.jobs(conn, digits, number), rows.commits(conn, digits, number)
        runs = sorted({each[2] for each in (*jobs, *commits)})
        hits += [Hit("job", *each) for each in jobs]
        hits += [Hit("run", id=set_id) for set_id in runs[:number]]
        hits += [Hit("commit", *each) for each in commits]
        hits += [Hit("worker", *each) for each in rows.workers(conn, digits, number)]
    return hits
