"""One run of a command: its options, its server and its output.

Data is printed to standard output, notes to standard error.
"""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from trunkline.cli import config
from trunkline.errors import DeadlineExceeded, NotFound

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import SimpleNamespace, TracebackType

    from trunkline.cli.tracing import CommandTrace
    from trunkline.client.channel import Channel
    from trunkline.client.stubs import Service
    from trunkline.model.names import CommitName, FileRef, PipelineName, RepoName
    from trunkline.rpc.gen import pfs_pb2, pps_pb2

T = TypeVar("T")
#: Any of them makes a command part of a trace.
_TRACE_VARIABLES = frozenset(
    ("TRACEPARENT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
)
#: Commands that are added to the active transaction.
_IN_TRANSACTIONS = frozenset(
    (
        "create repo", "update repo", "delete repo", "start commit", "finish commit", "squash commit",
        "create branch", "delete branch", "create pipeline", "update pipeline", "stop job",
    )
)  # fmt: skip


class Invocation:
    """The context of a command. The connection is opened when first used and closed at the end."""

    def __init__(self, options: SimpleNamespace, command: str) -> None:
        """Prepare to run.

        Args:
            options: those of the command line.
            command: its name, such as ``put file``.
        """
        #: The parsed options of the command.
        self.options: Any = options
        self.quiet: bool = options.quiet
        level = os.environ.get("TRUNKLINE_LOG", "")
        self._is_verbose = level == "debug" or getattr(options, "verbose", False)
        self._command = command
        self._trace: CommandTrace | None = None
        #: What the command line names, for the hint of an error: fields of a ``FindDeletionRequest``.
        self.references: list[dict[str, str]] = []

    @cached_property
    def target(self) -> config.Target:
        """The selected server and project."""
        options = self.options
        return config.target(options.address, options.context, options.project, ca=options.ca)

    @property
    def project(self) -> str:
        """The project of names that do not state one."""
        return self.target.project

    @cached_property
    def channel(self) -> Channel:
        """The channel to the server."""
        from trunkline.client.channel import Channel
        from trunkline.client.trust import Trust

        if not _TRACE_VARIABLES.isdisjoint(os.environ):
            from trunkline.cli.tracing import CommandTrace

            self._trace = CommandTrace(self._command)
        target = self.target
        metadata = list(self._trace.metadata) if self._trace is not None else []
        if target.token:
            metadata.append(("authn-token", target.token))
        if self.transaction:
            metadata.append(("pach-transaction", self.transaction))
        trust = Trust(target.ca_files, target.ca)
        if self._is_verbose:
            from trunkline.cli.call_log import LoggedChannel

            print(f"{target.address} (from {target.source}), project {target.project}", file=sys.stderr)
            return LoggedChannel(target.address, metadata, trust)
        return Channel(target.address, metadata, trust)

    @cached_property
    def transaction(self) -> str:
        """The id of the active transaction that this command is added to; empty for none."""
        return config.active_transaction(self.target.address) if self._command in _IN_TRANSACTIONS else ""

    @cached_property
    def _client(self) -> Any:
        from trunkline.client.stubs import Client

        return Client(self.channel)

    @property
    def pfs(self) -> Service:
        """Calls on projects, repos, branches, commits and files."""
        service: Service = self._client.pfs
        return service

    @property
    def pps(self) -> Service:
        """Calls on pipelines, jobs, datums and logs."""
        service: Service = self._client.pps
        return service

    @property
    def transactions(self) -> Service:
        """Calls on transactions."""
        service: Service = self._client.transactions
        return service

    @property
    def admin(self) -> Service:
        """Calls on the server as a whole."""
        service: Service = self._client.admin
        return service

    @property
    def metadata(self) -> Service:
        """Calls on the keys and values of things."""
        service: Service = self._client.metadata
        return service

    @property
    def control(self) -> Service:
        """Calls on workers, images and storage."""
        service: Service = self._client.control
        return service

    @property
    def machines(self) -> Service:
        """Calls on machines that join, and their tokens."""
        service: Service = self._client.machines
        return service

    @property
    def console(self) -> Service:
        """Summaries, and searches for names and ids."""
        service: Service = self._client.console
        return service

    @property
    def explain(self) -> Service:
        """Calls that explain datums, jobs and pipelines."""
        service: Service = self._client.explain
        return service

    @property
    def debug(self) -> Service:
        """Calls for dumps and profiles."""
        service: Service = self._client.debug
        return service

    @cached_property
    def timeout(self) -> float | None:
        """Seconds after which waiting ends; None for no limit."""
        return self.duration("timeout")

    @contextmanager
    def waiting(self, what: str) -> Iterator[None]:
        """Report which object was not finished when ``--timeout`` ends a wait; ``what`` names it."""
        try:
            yield
        except DeadlineExceeded as error:
            raise DeadlineExceeded(
                f"{what} was not finished after {self.options.timeout}; it continues,"
                " wait again with a longer --timeout"
            ) from error

    def duration(self, option: str) -> float | None:
        """Return the value of an option in seconds; None when it is not set."""
        text = getattr(self.options, option)
        if text is None:
            return None

        from trunkline.model.durations import parse_duration

        return float(text) if text.isdigit() else parse_duration(text, f"--{option}")

    def existing(self, infos: Iterable[T], anything: object) -> Iterator[T]:
        """Yield ``infos``; when there are none, check that the project exists.

        Args:
            infos: the answer of a list call for the selected project.
            anything: true when the list is not limited to the selected project.

        Raises:
            NotFound: the project does not exist.
        """
        from trunkline.rpc.gen import pfs_pb2

        empty = True
        for info in infos:
            empty = False
            yield info
        if empty and not anything:
            project = pfs_pb2.Project(name=self.project)
            self.pfs.InspectProject(pfs_pb2.InspectProjectRequest(project=project))

    def note(self, text: str) -> None:
        """Print a note to standard error, unless --quiet."""
        if not self.quiet:
            print(text, file=sys.stderr)

    def report(
        self, change: str, kind: str, name: str, note: str = "", *, sentence: str = "", **fields: object
    ) -> None:
        """Say what the command has changed: a note, or with ``-o json`` an object on standard output.

        Requests that were only added to a transaction have changed nothing yet.

        Args:
            change: what was done, such as ``created``.
            kind: of the thing, such as ``repo``.
            name: of the thing, as in references.
            note: ends the sentence.
            sentence: the whole note, where "CHANGE KIND NAME" is not one.
            fields: more of the object.
        """
        if self.transaction:
            return
        if self.options.output == "json":
            import json

            print(json.dumps({"change": change, "kind": kind, "name": name, **fields}, ensure_ascii=False))
        else:
            self.note(sentence or f"{change} {kind} {name}{note}")

    # References as messages -----------------------------------------------------------------------------

    def repo(self, text: str) -> pfs_pb2.Repo:
        """Parse ``[project/]repo``."""
        from trunkline.model.names import parse_repo

        return self.repo_message(parse_repo(text, self.project))

    def repo_message(self, name: RepoName) -> pfs_pb2.Repo:
        """Return the message that names a repo."""
        from trunkline.rpc.gen import pfs_pb2

        self.references.append({"project": name.project, "repo": name.name})
        return pfs_pb2.Repo(name=name.name, type=name.type, project=pfs_pb2.Project(name=name.project))

    def branch(self, text: str) -> pfs_pb2.Branch:
        """Parse ``[project/]repo@branch``."""
        from trunkline.errors import InvalidArgument
        from trunkline.model.names import parse_commit
        from trunkline.rpc.gen import pfs_pb2

        ref = parse_commit(text, self.project) if "@" in text else None
        if ref is None or ref.id or ref.ancestry:
            raise InvalidArgument(f'"{text}" is not a branch; write repo@branch')
        branch = pfs_pb2.Branch(repo=self.repo_message(ref.repo), name=ref.branch)
        self.references[-1]["ref"] = ref.branch
        return branch

    def commit(self, text: str) -> pfs_pb2.Commit:
        """Parse ``[project/]repo@branch-or-id[ancestry]``."""
        from trunkline.model.names import parse_commit

        return self.commit_message(self._with_whole_id(parse_commit(text, self.project)))

    def _with_whole_id(self, ref: CommitName) -> CommitName:
        """Complete an id of which only the first digits are given. A branch of that name has precedence."""
        from trunkline.cli import short_ids
        from trunkline.rpc.gen import pfs_pb2

        if ref.id or not short_ids.is_short(ref.branch):
            return ref
        repo = self.repo_message(ref.repo)
        try:
            branch = pfs_pb2.Branch(repo=repo, name=ref.branch)
            self.pfs.InspectBranch(pfs_pb2.InspectBranchRequest(branch=branch))
        except NotFound:
            from msgspec.structs import replace

            return replace(
                ref,
                id=short_ids.owned(self.console, ref.branch, "commit", (ref.repo.project, ref.repo.name)),
                branch="",
            )
        return ref

    def set_id(self, text: str) -> str:
        """Return the id of commits and jobs of one change, from all or the first of its digits.

        Empty when the text names something else.
        """
        from trunkline.cli import short_ids
        from trunkline.model.names import is_id

        if is_id(text):
            return text
        return short_ids.run(self.console, text) if short_ids.is_short(text) else ""

    def datum_id(self, job: pps_pb2.Job, text: str) -> str:
        """Return the id of a datum of a job, from all or the first of its digits."""
        from trunkline.cli import short_ids

        return text if len(text) == 64 else short_ids.datum(self.console, text, job)

    def commit_message(self, ref: CommitName) -> pfs_pb2.Commit:
        """Return the message that names a commit; ancestry is appended to the branch or the id."""
        from trunkline.rpc.gen import pfs_pb2

        steps = "".join(map(str, ref.ancestry))
        commit = pfs_pb2.Commit(repo=self.repo_message(ref.repo))
        self.references[-1]["ref"] = ref.id or ref.branch
        if ref.id:
            commit.id = ref.id + steps
        if ref.branch:
            commit.branch.repo.CopyFrom(commit.repo)
            commit.branch.name = ref.branch if ref.id else ref.branch + steps
        return commit

    def file(self, text: str) -> tuple[pfs_pb2.File, FileRef]:
        """Parse ``[project/]repo@branch-or-id[ancestry][:path]``."""
        from msgspec.structs import replace

        from trunkline.model.names import parse_file
        from trunkline.rpc.gen import pfs_pb2

        ref = parse_file(text, self.project)
        ref = replace(ref, commit=self._with_whole_id(ref.commit))
        return pfs_pb2.File(commit=self.commit_message(ref.commit), path=ref.path), ref

    def pipeline(self, text: str) -> pps_pb2.Pipeline:
        """Parse ``[project/]pipeline``."""
        from trunkline.errors import InvalidArgument
        from trunkline.model.names import PipelineName

        project, slash, name = text.rpartition("/")
        if not name or "@" in name or (slash and not project) or "/" in project:
            raise InvalidArgument(f'"{text}" is not a pipeline; write pipeline or project/pipeline')
        return self.pipeline_message(PipelineName(project or self.project, name))

    def pipeline_message(self, name: PipelineName) -> pps_pb2.Pipeline:
        """Return the message that names a pipeline."""
        from trunkline.rpc.gen import pfs_pb2, pps_pb2

        self.references.append({"project": name.project, "pipeline": name.name})
        return pps_pb2.Pipeline(project=pfs_pb2.Project(name=name.project), name=name.name)

    def job(self, text: str) -> pps_pb2.Job:
        """Parse ``[project/]pipeline@id``; the id may be its first digits, nothing (the last job), or ``^``, ``^2``."""
        import re

        from trunkline.cli import short_ids
        from trunkline.errors import InvalidArgument
        from trunkline.model.names import is_id
        from trunkline.rpc.gen import pps_pb2

        name, at, id = text.partition("@")
        if not at:
            raise InvalidArgument(
                f'"{text}" is not a job; use {text}@ for the last job of that pipeline, or {text}@ID'
                f' ("trunkline list job -p {text}")'
            )
        pipeline = self.pipeline(name)
        if is_id(id):
            self.references[-1]["job_id"] = id
            return pps_pb2.Job(pipeline=pipeline, id=id)
        if short_ids.is_short(id):
            owner = (pipeline.project.name, pipeline.name)
            return pps_pb2.Job(pipeline=pipeline, id=short_ids.owned(self.console, id, "job", owner))
        if steps := re.fullmatch(r"(\^*)|\^(\d+)", id):
            return self._job_before(pipeline, int(steps[2]) if steps[2] else len(id))
        raise InvalidArgument(
            f'"{text}" is not a job; after the @ write the first four digits of its id or more, nothing for the last'
            " job, or ^ for the one before it"
        )

    def _job_before(self, pipeline: pps_pb2.Pipeline, steps: int) -> pps_pb2.Job:
        """Return the last job of a pipeline, or one before it."""
        from trunkline.rpc.gen import pps_pb2

        request = pps_pb2.ListJobRequest(pipeline=pipeline, number=steps + 1)
        jobs: list[pps_pb2.Job] = [info.job for info in self.pps.ListJob(request)]
        if len(jobs) <= steps:
            name = f"{pipeline.project.name}/{pipeline.name}"
            raise NotFound(
                f"pipeline {name} has {len(jobs)} job{'s' if len(jobs) != 1 else ''} in this version"
            )
        return jobs[steps]

    def __enter__(self) -> Invocation:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        if "channel" in self.__dict__:
            self.channel.close()
            if kind is None and self.transaction:
                self.note(f'added to transaction {self.transaction}; "trunkline finish transaction" does it')
        if self._trace is not None:
            self._trace.end(error)
