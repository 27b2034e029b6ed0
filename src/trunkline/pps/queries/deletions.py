"""Says of names that lead nowhere which of them does not exist, when that was deleted, and which names are like it."""

from __future__ import annotations

import difflib
import json
import re
from typing import TYPE_CHECKING

from msgspec import Struct

from trunkline.meta import branches, commits, event_log, jobs, pipelines, repos
from trunkline.model import limits, names
from trunkline.pfs.commit_events import DELETED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trunkline.pfs.reads import ReadTransaction

#: Similar names and other projects that are returned, and how alike they are at least (``difflib``: 1 is equal).
SIMILAR, ALIKE = 5, 0.6
_ID = re.compile(r"[0-9a-f]{32}")


class Names(Struct, frozen=True, kw_only=True):
    """What a page or program was looking for; what it did not name is empty."""

    project: str
    repo: str = ""
    #: Name of a branch, or id of a commit.
    ref: str = ""
    pipeline: str = ""
    job_id: str = ""
    set_id: str = ""


class Deletion(Struct, frozen=True, kw_only=True):
    """The first of the names that does not exist."""

    #: project, repo, pipeline, branch, commit, job or run; empty when all exist.
    kind: str = ""
    name: str = ""
    #: When it was deleted, seconds since the epoch; None when the event log does not know.
    at: float | None = None
    #: The kind of what was deleted with all that it had; empty when it was deleted by itself.
    owner: str = ""
    similar: Sequence[str] = ()
    #: Other projects that have a repo or pipeline of this name.
    projects: Sequence[str] = ()


def find(read: ReadTransaction, sought: Names) -> Deletion:
    """Return which of the names does not exist.

    Args:
        read: a snapshot.
        sought: the names; a global id stands alone.
    """
    conn, project = read.conn, sought.project
    if sought.set_id:
        if commits.of_set(conn, sought.set_id):
            return Deletion()
        return Deletion(kind="run", name=sought.set_id, at=_deleted(read, "", "commit", commit=sought.set_id))
    if repos.find_project(conn, project) is None:
        return Deletion(kind="project", name=project, similar=_similar(project, _projects(read)))
    if sought.pipeline:
        return _of_pipeline(read, sought)
    if sought.repo:
        return _of_repo(read, sought)
    return Deletion()


def _of_pipeline(read: ReadTransaction, sought: Names) -> Deletion:
    project, name = sought.project, sought.pipeline
    row = pipelines.find(read.conn, project, name)
    if row is None:
        others = [each.name for each in pipelines.list_all(read.conn, [project])]
        at = _deleted(read, project, "pipeline", pipeline=name)
        elsewhere = pipelines.projects_with(read.conn, name, SIMILAR)
        return Deletion(kind="pipeline", name=name, at=at, similar=_similar(name, others), projects=elsewhere)
    if not sought.job_id or jobs.find(read.conn, row.id, sought.job_id) is not None:
        return Deletion()
    at = _deleted(read, project, "job", pipeline=name, job=sought.job_id)
    if at is not None:
        return Deletion(kind="job", name=sought.job_id, at=at)
    # The jobs of a pipeline go with it and have no events then; there is another pipeline of that name now.
    at = _deleted(read, project, "pipeline", pipeline=name)
    return Deletion(kind="job", name=sought.job_id, at=at, owner="pipeline" if at is not None else "")


def _of_repo(read: ReadTransaction, sought: Names) -> Deletion:
    project, name, ref = sought.project, sought.repo, sought.ref
    row = repos.find_repo(read.conn, project, name, names.USER)
    if row is None:
        others = [each.name for each in repos.list_repos(read.conn, names.USER, [project])]
        at = _deleted(read, project, "repo", repo=name, type=names.USER)
        elsewhere = repos.projects_with(read.conn, name, names.USER, SIMILAR)
        return Deletion(kind="repo", name=name, at=at, similar=_similar(name, others), projects=elsewhere)
    if not ref or branches.find(read.conn, row.id, ref) is not None:
        return Deletion()
    if not _ID.fullmatch(ref):
        others = [each.name for each in branches.of_repo(read.conn, row.id)]
        return Deletion(kind="branch", name=ref, similar=_similar(ref, others))
    if commits.find(read.conn, ref, row.id) is not None:
        return Deletion()
    at = _deleted(read, project, "commit", repo=name, commit=ref)
    if at is not None:
        return Deletion(kind="commit", name=ref, at=at)
    at = _deleted(read, project, "repo", repo=name, type=names.USER)
    return Deletion(kind="commit", name=ref, at=at, owner="repo" if at is not None else "")


def _deleted(read: ReadTransaction, project: str, kind: str, **fields: str) -> float | None:
    """Return when something was deleted, as far as the event log goes back.

    Args:
        read: a snapshot.
        project: its project; empty: any.
        kind: of events about it.
        fields: of the event.
    """
    expected = {"kind": kind, "state": DELETED, **fields}
    if project:
        expected["project"] = project
    name, value = list(fields.items())[-1 if kind in ("commit", "job") else 0]
    for event in event_log.with_texts(read.conn, f'"state":"{DELETED}"', f'"{name}":{json.dumps(value)}'):
        entries = json.loads(event.text)
        if all(entries.get(field) == text for field, text in expected.items()):
            return event.at
    return None


def _projects(read: ReadTransaction) -> list[str]:
    return [row.name for row in repos.list_projects(read.conn)]


def _similar(name: str, others: Sequence[str]) -> list[str]:
    """Return names that are much like a name, or contain it, the most alike first."""
    name = name[: limits.NAME].lower()
    lower = {each.lower(): each for each in others}
    close = difflib.get_close_matches(name, lower, SIMILAR, ALIKE)
    parts = sorted(each for each in lower if name in each or each in name)
    return [lower[each] for each in dict.fromkeys([*close, *parts])][:SIMILAR]
