"""The pipelines and repos of a project, with what they depend on: now, or as of a global id."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from msgspec import Struct

from trunkline.meta import commits, event_log, job_lines, topology
from trunkline.model.spec import cron_inputs
from trunkline.pfs import resolve
from trunkline.pps.queries import job_rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from trunkline.meta.topology import Dependency, PipelineNode, RepoNode
    from trunkline.model.events import Position
    from trunkline.model.spec import PipelineSpec
    from trunkline.pfs.reads import ReadTransaction
    from trunkline.pps.queries.job_rows import Row
    from trunkline.pps.spec_cache import Specs

#: Kinds of nodes.
REPO, CRON, PIPELINE = "repo", "cron", "pipeline"


class Node(Struct, frozen=True, kw_only=True):
    """A repo, or a pipeline together with its output repo."""

    project: str
    kind: str
    name: str
    #: Of another project: nothing but its name was read.
    outside: bool = False
    pipeline: PipelineNode | None = None
    #: Its specification.
    spec: PipelineSpec | None = None
    #: Its newest job; with a global id, the job of that. Without its cost.
    job: Row | None = None
    #: Ids of the workers that are there and may take datums.
    ready: Sequence[str] = ()
    #: Of repos: the head of master, or the commit of the global id.
    size: int = 0
    head_id: str = ""
    head_at: float | None = None

    @property
    def id(self) -> str:
        """Identify it among all nodes of the server."""
        return f"{self.project}/{REPO if self.kind == CRON else self.kind}:{self.name}"


class Edge(Struct, frozen=True, order=True):
    """Commits of a branch reach a node."""

    source: str
    target: str
    branch: str


class Graph(Struct, frozen=True):
    """What a project holds."""

    position: Position
    #: Of the ids and kinds of the nodes, and of the edges.
    etag: str
    nodes: Sequence[Node]
    edges: Sequence[Edge]


class RepoRow(Struct, frozen=True, kw_only=True):
    """A repo of users, or the output of a pipeline."""

    name: str
    description: str
    branches: int
    #: Of the head of master; while that is open, of the commit before it.
    size: int
    head_at: float | None
    #: A pipeline of the same name writes it.
    is_output: bool


class Repos(Struct, frozen=True):
    """The repos of a project, by name."""

    position: Position
    rows: Sequence[RepoRow]


def list_repos(read: ReadTransaction, project: str) -> Repos:
    """Return the repos of a project.

    Raises:
        NotFound: there is no such project.
    """
    resolve.project(read.conn, project)
    rows = [
        RepoRow(
            name=line.node.name,
            description=line.description,
            branches=line.branches,
            size=line.node.bytes,
            head_at=line.node.head_at,
            is_output=line.is_output,
        )
        for line in topology.repo_lines_of(read.conn, project)
    ]
    return Repos(event_log.newest(read.conn), rows)


def inspect(read: ReadTransaction, specs: Specs, project: str, set_id: str) -> Graph:
    """Return the graph of a project.

    Args:
        read: a snapshot.
        specs: the parsed specifications.
        project: name of the project.
        set_id: jobs and heads of this global id; empty: the newest ones.

    Raises:
        NotFound: there is no such project.
    """
    conn = read.conn
    resolve.project(conn, project)
    pipelines = topology.pipelines_of(conn, project)
    dependencies = topology.dependencies_of(conn, project)
    parsed = {row.id: specs.of(conn, row.id, row.version) for row in pipelines}
    if set_id:
        lines = job_lines.of_set(conn, set_id)
    else:
        numbers = [row.job_id for row in pipelines if row.job_id is not None]
        lines = list(job_lines.by_ids(conn, numbers).values())
    jobs = {row.job.pipeline_id: row for row in job_rows.unpriced(read, lines)}
    ready = topology.ready_workers(conn, project)
    crons = {(cron.project, cron.repo) for spec in parsed.values() for cron in cron_inputs(spec)}
    outputs = {row.name for row in pipelines}
    repos = [row for row in topology.repos_of(conn, project) if row.name not in outputs]
    at = _commits_of(read, set_id) if set_id else None
    nodes = [
        Node(
            project=project,
            kind=PIPELINE,
            name=row.name,
            pipeline=row,
            spec=parsed[row.id],
            job=jobs.get(row.id),
            ready=ready.get(row.id, ()),
        )
        for row in pipelines
    ]
    nodes += [_repo_node(project, row, at, is_cron=(project, row.name) in crons) for row in repos]
    nodes += _outside(read, project, dependencies)
    by_name = {(node.project, node.name): node.id for node in nodes}
    edges = sorted(
        Edge(by_name[each.project, each.repo], by_name[each.to_project, each.to_repo], each.branch)
        for each in dependencies
    )
    return Graph(event_log.newest(conn), _etag(nodes, edges), nodes, edges)


def _repo_node(
    project: str, row: RepoNode, at: Mapping[int, tuple[str, float | None, int]] | None, *, is_cron: bool
) -> Node:
    kind = CRON if is_cron else REPO
    if at is not None:
        head_id, head_at, size = at.get(row.id, ("", None, 0))
        return Node(project=project, kind=kind, name=row.name, size=size, head_id=head_id, head_at=head_at)
    return Node(
        project=project,
        kind=kind,
        name=row.name,
        size=row.bytes,
        head_id=row.head_id or "",
        head_at=row.head_at,
    )


def _commits_of(read: ReadTransaction, set_id: str) -> dict[int, tuple[str, float | None, int]]:
    """Return id, end and size of the commits of a global id, by repo."""
    rows = commits.of_set(read.conn, set_id)
    return {row.repo_id: (row.set_id, row.finished or row.started, row.size) for row in rows}


def _outside(read: ReadTransaction, project: str, dependencies: Iterable[Dependency]) -> list[Node]:
    """Return the nodes of other projects that have an edge to or from this one."""
    names = {(each.project, each.repo) for each in dependencies}
    names |= {(each.to_project, each.to_repo) for each in dependencies}
    outside = sorted(name for name in names if name[0] != project)
    if not outside:
        return []
    outputs = topology.pipeline_names(read.conn)
    return [
        Node(project=owner, kind=PIPELINE if (owner, name) in outputs else REPO, name=name, outside=True)
        for owner, name in outside
    ]


def _etag(nodes: Iterable[Node], edges: Iterable[Edge]) -> str:
    text = "\n".join(
        [
            *sorted(f"{node.id} {node.kind}" for node in nodes),
            *(f"{e.source} {e.target} {e.branch}" for e in edges),
        ]
    )
    return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()
