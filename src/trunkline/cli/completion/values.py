"""Values that the Tab key offers: names that the server or the settings know.

Answers of the server are kept for a few seconds in one small file of the user's cache folder, since one reads a list
again and again while one types.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from trunkline.cli import config, output
from trunkline.cli.completion import candidates
from trunkline.cli.completion.candidates import Candidate, Question
from trunkline.cli.invocation import Invocation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

KEPT = 5.0  # seconds for which an answer is used again
MOST = 200  # candidates that one list offers
NEWEST = 20  # jobs and commits


def values(question: Question) -> Iterable[Candidate]:
    """Return the candidates for a question."""
    if question.kind == "context":
        contexts = config.load()["contexts"]
        return [Candidate(name, context["address"]) for name, context in sorted(contexts.items())]
    named = {option: question.settings.get(option) for option in ("address", "context", "project", "ca")}
    options = SimpleNamespace(**named, quiet=True, output=None, timeout=None)
    with Invocation(options, "") as invocation:
        return _Values(invocation, question).all()


class _Values:
    """The values of one question.

    Args:
        invocation: has the connection.
        question: what is asked.
    """

    def __init__(self, invocation: Invocation, question: Question) -> None:
        self._invocation = invocation
        self._current = question.current
        self._kind = question.kind
        self._before = question.before
        #: What a project in the text adds to names, such as ``lab/``.
        self._prefix = ""
        self._project = invocation.project
        project, slash, _ = question.current.partition("@")[0].partition("/")
        if slash:
            self._prefix, self._project = f"{project}/", project

    def all(self) -> list[Candidate]:
        name, at, rest = self._current.partition("@")
        match self._kind:
            case "repo" | "pipeline" | "project" | "secret":
                return self._names(self._kind)
            case "job":
                return self._jobs(name) if at else self._followed("pipeline", "@")
            case "datum":
                return self._datums()
            case "commit?" if not at:
                return self._names("repo")
            case "path?" | "path" if ":" in rest:
                return self._paths(*self._current.split(":", 1))
            case _:
                return self._commits(name, rest) if at else self._followed("repo", "@")

    def _followed(self, kind: str, by: str) -> list[Candidate]:
        return [Candidate(text + by, note) for text, note in self._names(kind)]

    def _names(self, kind: str) -> list[Candidate]:
        """Return the names of repos, pipelines, projects or secrets."""
        read = {
            "repo": self._repos,
            "pipeline": self._pipelines,
            "project": self._projects,
            "secret": self._secrets,
        }[kind]
        names = self._cached(f"{kind} {self._project}", read)
        return [Candidate(self._prefix + text, note) for text, note in names]

    def _repos(self) -> Iterable[tuple[str, str]]:
        from trunkline.rpc.gen import pfs_pb2

        request = pfs_pb2.ListRepoRequest(type="user", projects=[pfs_pb2.Project(name=self._project)])
        for info in self._invocation.pfs.ListRepo(request, candidates.LIMIT):
            yield info.repo.name, info.description or output.size(info.size_bytes_upper_bound)

    def _pipelines(self) -> Iterable[tuple[str, str]]:
        from trunkline.cli.commands.pipelines import pipeline_state
        from trunkline.rpc.gen import pfs_pb2, pps_pb2

        request = pps_pb2.ListPipelineRequest(projects=[pfs_pb2.Project(name=self._project)])
        for info in self._invocation.pps.ListPipeline(request, candidates.LIMIT):
            yield info.pipeline.name, pipeline_state(info.state)

    def _projects(self) -> Iterable[tuple[str, str]]:
        from trunkline.rpc.gen import pfs_pb2

        for info in self._invocation.pfs.ListProject(pfs_pb2.ListProjectRequest(), candidates.LIMIT):
            yield info.project.name, info.description

    def _secrets(self) -> Iterable[tuple[str, str]]:
        from google.protobuf.empty_pb2 import Empty

        for info in self._invocation.pps.ListSecret(Empty(), candidates.LIMIT).secret_info:
            yield info.secret.name, info.type

    def _commits(self, repo: str, text: str) -> list[Candidate]:
        """Return branches of a repo, and once a digit is typed the newest commits."""
        from trunkline.rpc.gen import pfs_pb2

        message = self._invocation.repo(repo)
        end = ":/" if self._kind == "path" else ""

        def branches() -> Iterable[tuple[str, str]]:
            for info in self._invocation.pfs.ListBranch(
                pfs_pb2.ListBranchRequest(repo=message), candidates.LIMIT
            ):
                yield info.branch.name, info.head.id[: output.SHORT_ID]

        def commits() -> Iterable[tuple[str, str]]:
            request = pfs_pb2.ListCommitRequest(repo=message, number=NEWEST)
            for info in self._invocation.pfs.ListCommit(request, candidates.LIMIT):
                yield info.commit.id[: output.SHORT_ID], output.when(info.started, whole=False)

        rows = list(self._cached(f"branch {self._project} {repo}", branches))
        if text and self._kind != "branch":
            rows += self._cached(f"commit {self._project} {repo}", commits)
        return [Candidate(f"{repo}@{name}{end}", note) for name, note in rows]

    def _paths(self, commit: str, path: str) -> list[Candidate]:
        """Return the entries of the folder that a path is in, from its last name on."""
        from trunkline.rpc.gen import console_pb2

        folder, _, begin = path.rpartition("/")
        ref = self._invocation.file(commit)[1].commit

        def entries() -> Iterable[tuple[str, str]]:
            tree = console_pb2.Tree(project=ref.repo.project, repo=ref.repo.name, ref=ref.id or ref.branch)
            request = console_pb2.ListFolderRequest(
                tree=tree, path=folder or "/", from_name=begin, number=MOST
            )
            for entry in self._invocation.console.ListFolder(request, candidates.LIMIT).entries:
                yield (
                    (f"{entry.name}/", "folder")
                    if entry.folder
                    else (entry.name, output.size(entry.size_bytes))
                )

        rows = list(entries()) if begin else self._cached(f"path {self._project} {commit} {folder}/", entries)
        return [Candidate(f"{commit}:{folder}/{name}", note) for name, note in rows]

    def _jobs(self, pipeline: str) -> list[Candidate]:
        from trunkline.cli.commands.jobs import progress
        from trunkline.cli.commands.pipelines import job_state
        from trunkline.rpc.gen import pps_pb2

        def jobs() -> Iterable[tuple[str, str]]:
            request = pps_pb2.ListJobRequest(pipeline=self._invocation.pipeline(pipeline), number=NEWEST)
            for info in self._invocation.pps.ListJob(request, candidates.LIMIT):
                age = output.when(info.created, whole=False)
                yield info.job.id[: output.SHORT_ID], f"{job_state(info.state)}, {age}, {progress(info)}"

        rows = self._cached(f"job {self._project} {pipeline}", jobs)
        return [Candidate(f"{pipeline}@{id}", note) for id, note in rows]

    def _datums(self) -> list[Candidate]:
        from trunkline.rpc.gen import console_pb2

        job = self._invocation.job(self._before[0])

        def datums() -> Iterable[tuple[str, str]]:
            request = console_pb2.ListDatumRowRequest(
                project=job.pipeline.project.name, pipeline=job.pipeline.name, job_id=job.id, number=MOST
            )
            for row in self._invocation.console.ListDatumRow(request, candidates.LIMIT).rows:
                yield row.id[: output.SHORT_ID], f"{row.state.lower()} {', '.join(row.paths)}"

        rows = self._cached(f"datum {job.pipeline.project.name} {job.pipeline.name} {job.id}", datums)
        return [Candidate(id, note) for id, note in rows]

    def _cached(self, key: str, read: Callable[[], Iterable[tuple[str, str]]]) -> list[tuple[str, str]]:
        """Return what was read less than ``KEPT`` ago, or read it again.

        Args:
            key: of the answer, at one server.
            read: yields names and notes.
        """
        file = cache_file()
        key = f"{self._invocation.target.address} {key}"
        now = time.time()
        entries = {name: entry for name, entry in _stored(file).items() if 0 <= now - entry["at"] < KEPT}
        if key in entries:
            return [(name, note) for name, note in entries[key]["rows"]]
        rows = []
        for row in read():
            rows.append(row)
            if len(rows) == MOST:
                break
        entries[key] = {"at": now, "rows": rows}
        with contextlib.suppress(OSError):
            os.makedirs(os.path.dirname(file), mode=0o700, exist_ok=True)
            partial = f"{file}.{os.getpid()}"
            with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as opened:
                json.dump(entries, opened)
            os.replace(partial, file)
        return rows


def cache_file() -> str:
    """Return the path of the file with recent answers."""
    folder = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(folder, "trunkline", "completion.json")


def _stored(file: str) -> dict[str, Any]:
    try:
        with open(file, encoding="utf-8") as opened:
            stored: dict[str, Any] = json.load(opened)
    except (OSError, ValueError):
        return {}
    return stored
