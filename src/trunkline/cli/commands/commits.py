"""Commits, and the sets of commits that share an id."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trunkline.cli import deletion, failed_datums, output
from trunkline.cli.commands.repos import repo_name
from trunkline.cli.exit_codes import JobFailed, UsageError
from trunkline.cli.parsing import (
    CHANGING,
    SHOWING,
    TIMEOUT,
    WATCH,
    Command,
    argument,
    limit_option,
    natural,
)
from trunkline.cli.watch import waiting
from trunkline.model.names import is_id, parse_commit
from trunkline.rpc.gen import pfs_pb2, pps_pb2

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from types import ModuleType

    from trunkline.cli.invocation import Invocation

COMMIT = argument("commit", metavar="REPO@BRANCH-OR-ID", help="the commit; a branch means its head")
COMMIT_OR_ID = argument("commit", metavar="REPO@BRANCH-OR-ID|ID", help="a commit, or all commits of one id")
RECURSIVE = argument("--recursive", action="store_true", help="also the commits that depend on it")
ORIGIN = argument(
    "--origin",
    metavar="user|auto|fsck",
    type=str.upper,
    choices=("USER", "AUTO", "FSCK"),
    help="only commits of this origin: users, or pipelines",
)
MESSAGE = argument(
    "-m", "--message", "--description", dest="message", default="", help="description of the commit"
)
COLUMNS = ("@PROJECT", "REPO", "COMMIT", "STARTED", "STATE", ">SIZE", "ORIGIN", "DESCRIPTION")


def start(invocation: Invocation) -> None:
    """Open a commit to write to; print its id."""
    options = invocation.options
    request = pfs_pb2.StartCommitRequest(
        branch=invocation.branch(options.branch), description=options.message
    )
    if options.parent:
        repo = options.branch.partition("@")[0]
        request.parent.CopyFrom(invocation.commit(f"{repo}@{options.parent}"))
    print(invocation.pfs.StartCommit(request).id)


def finish(invocation: Invocation) -> None:
    """Finish an open commit."""
    options = invocation.options
    commit = invocation.commit(options.commit)
    request = pfs_pb2.FinishCommitRequest(commit=commit, description=options.message, force=options.force)
    invocation.pfs.FinishCommit(request)
    invocation.report("finished", "commit", options.commit)


def inspect(invocation: Invocation) -> None:
    """Show a commit, or all commits of one id."""
    options = invocation.options
    following: Iterable[pfs_pb2.CommitInfo] = ()
    if set_id := invocation.set_id(options.commit):
        if options.watch:
            following = _watched().commits(invocation, id=set_id)
        request = pfs_pb2.InspectCommitSetRequest(commit_set=pfs_pb2.CommitSet(id=set_id))
        _show_commits(invocation, invocation.pfs.InspectCommitSet(request), following)
        return
    commit = invocation.commit(options.commit)
    info = invocation.pfs.InspectCommit(pfs_pb2.InspectCommitRequest(commit=commit))
    if options.watch and not info.HasField("finished"):
        following = _watched().commit(invocation, info.commit)
        info = invocation.pfs.InspectCommit(pfs_pb2.InspectCommitRequest(commit=info.commit))
        following = () if info.HasField("finished") else following
    output.show_one(invocation, info, _fields(invocation), commit_name(info.commit), following)


def _watched() -> ModuleType:
    from trunkline.cli.watch import watched

    return watched


def _fields(invocation: Invocation) -> Callable[[pfs_pb2.CommitInfo], Sequence[tuple[str, str]]]:
    whole = invocation.options.full_timestamps

    def fields(info: pfs_pb2.CommitInfo) -> Sequence[tuple[str, str]]:
        return [
            ("Commit", commit_name(info.commit)),
            ("Description", info.description),
            ("State", _state(info)),
            ("Error", output.Prose(failed_datums.with_short_ids(info.error))),
            ("Parent", info.parent_commit.id),
            ("Children", ", ".join(child.id for child in info.child_commits)),
            ("Origin", _origin(info)),
            ("Started", output.when(info.started, whole=whole)),
            ("Finished", output.when(info.finished, whole=whole)),
            ("Size", _size(info)),
            ("Direct provenance", ", ".join(map(commit_name, info.direct_provenance))),
        ]

    return fields


def list_(invocation: Invocation) -> None:
    """List the commits of a repo or branch, newest first."""
    options = invocation.options
    if is_id(options.commit):
        raise UsageError(
            f'list commit takes a repo or branch; for one id use "trunkline inspect commit {options.commit}"'
        )
    request = pfs_pb2.ListCommitRequest(
        number=options.number, reverse=options.reverse, all=options.all, origin_kind=options.origin
    )
    if "@" in options.commit:
        ref = parse_commit(options.commit, invocation.project)
        request.repo.CopyFrom(invocation.repo_message(ref.repo))
        request.to.CopyFrom(invocation.commit_message(ref))
    else:
        request.repo.CopyFrom(invocation.repo(options.commit))
    if options.since:
        repo = options.commit.partition("@")[0]
        getattr(request, "from").CopyFrom(invocation.commit(f"{repo}@{options.since}"))
    following = _watched().commits(invocation, repo=request.repo) if options.watch else ()
    _show_commits(invocation, invocation.pfs.ListCommit(request), following)


def _show_commits(
    invocation: Invocation, infos: Iterable[pfs_pb2.CommitInfo], following: Iterable[pfs_pb2.CommitInfo] = ()
) -> None:
    whole = invocation.options.full_timestamps

    def row(info: pfs_pb2.CommitInfo) -> Sequence[str]:
        repo = info.commit.repo
        return (
            repo.project.name,
            repo.name if repo.type in ("", "user") else f"{repo.name}.{repo.type}",
            output.Id(info.commit.id),
            output.when(info.started, whole=whole),
            _state(info),
            _size(info),
            _origin(info),
            output.one_line(info.description),
        )

    output.show_many(invocation, infos, COLUMNS, row, lambda info: commit_name(info.commit), following)


def wait(invocation: Invocation) -> None:
    """Wait until a commit, or all commits of one id, are finished.

    Raises:
        JobFailed: a commit finished with an error.
    """
    name = invocation.options.commit
    infos: Iterable[pfs_pb2.CommitInfo]
    set_id = invocation.set_id(name)
    commit = None if set_id else invocation.commit(name)
    with invocation.waiting(f"commit {name}"), waiting.for_commit(invocation, name, commit, set_id):
        if commit is None:
            commit_set = pfs_pb2.CommitSet(id=set_id)
            request = pfs_pb2.InspectCommitSetRequest(commit_set=commit_set, wait=True)
            infos = list(invocation.pfs.InspectCommitSet(request, invocation.timeout))
        else:
            single = pfs_pb2.InspectCommitRequest(commit=commit, wait=pfs_pb2.CommitState.FINISHED)
            infos = [invocation.pfs.InspectCommit(single, invocation.timeout)]
    _show_commits(invocation, infos)
    for info in infos:
        if info.error:
            raise _failure(invocation, info)


def _failure(invocation: Invocation, info: pfs_pb2.CommitInfo) -> JobFailed:
    """Return the failure of a commit, explained by the first failed datum of its job."""
    repo, name = info.commit.repo, commit_name(info.commit)
    pipeline = pps_pb2.Pipeline(project=repo.project, name=repo.name)
    failure = failed_datums.first(invocation, pps_pb2.Job(pipeline=pipeline, id=info.commit.id))
    if failure:
        return JobFailed(f"commit {name} finished with an error: {failure.sentence}", failure.log)
    reason = failed_datums.with_short_ids(info.error)
    return JobFailed(f"commit {name} finished with an error: {reason}")


def subscribe(invocation: Invocation) -> None:
    """Print commits as they reach a state, existing ones first."""
    options = invocation.options
    repo, _, branch = options.branch.partition("@")
    request = pfs_pb2.SubscribeCommitRequest(
        repo=invocation.repo(repo),
        branch=branch,
        state=options.state.upper(),
        all=options.all,
        origin_kind=options.origin,
    )
    since = branch if options.new else options.since
    if since:
        getattr(request, "from").CopyFrom(invocation.commit(f"{repo}@{since}"))
    for info in invocation.pfs.SubscribeCommit(request, invocation.timeout):
        if options.output in (None, "table", "name") and not options.raw:
            print(commit_name(info.commit), flush=True)
        else:
            output.documents([info], options.output or "json")


def find(invocation: Invocation) -> None:
    """Print the commits of a branch that changed a file, newest first, from a commit back."""
    options = invocation.options
    file, _ = invocation.file(options.file)
    request = pfs_pb2.FindCommitsRequest(start=file.commit, file_path=file.path, limit=options.number)
    answers = invocation.pfs.FindCommits(request, invocation.timeout)
    matches = (answer.found_commit for answer in answers if answer.HasField("found_commit"))

    def row(commit: pfs_pb2.Commit) -> Sequence[str]:
        return repo_name(commit.repo), output.Id(commit.id)

    output.show_many(invocation, matches, ("REPO", "COMMIT"), row, commit_name)


def squash(invocation: Invocation) -> None:
    """Merge commits into their children."""
    options = invocation.options
    if not deletion.is_wanted(invocation, lambda: _losses(invocation)):
        return
    if set_id := invocation.set_id(options.commit):
        commit_set = pfs_pb2.CommitSet(id=set_id)
        invocation.pfs.SquashCommitSet(pfs_pb2.SquashCommitSetRequest(commit_set=commit_set))
    else:
        commit = invocation.commit(options.commit)
        request = pfs_pb2.SquashCommitRequest(commit=commit, recursive=options.recursive)
        invocation.pfs.SquashCommit(request)
    invocation.report("squashed", "commit", options.commit, "; its changes are in its children")


def delete(invocation: Invocation) -> None:
    """Delete commits without children, and their data."""
    options = invocation.options
    if not deletion.is_wanted(invocation, lambda: _losses(invocation)):
        return
    if set_id := invocation.set_id(options.commit):
        commit_set = pfs_pb2.CommitSet(id=set_id)
        invocation.pfs.DropCommitSet(pfs_pb2.DropCommitSetRequest(commit_set=commit_set))
    else:
        commit = invocation.commit(options.commit)
        request = pfs_pb2.DropCommitRequest(commit=commit, recursive=options.recursive)
        invocation.pfs.DropCommit(request)
    invocation.report("deleted", "commit", options.commit, " and its data")


def _losses(invocation: Invocation) -> list[deletion.Loss]:
    """Return the commits that the command line names, with their sizes."""
    text = invocation.options.commit
    infos: Iterable[pfs_pb2.CommitInfo]
    if set_id := invocation.set_id(text):
        commit_set = pfs_pb2.CommitSet(id=set_id)
        infos = invocation.pfs.InspectCommitSet(pfs_pb2.InspectCommitSetRequest(commit_set=commit_set))
    else:
        request = pfs_pb2.InspectCommitRequest(commit=invocation.commit(text))
        infos = [invocation.pfs.InspectCommit(request)]
    return [
        deletion.Loss("commit", commit_name(info.commit), _size(info).replace("-", "open")) for info in infos
    ]


def commit_name(commit: pfs_pb2.Commit) -> str:
    """Return the name of a commit as in references."""
    return f"{repo_name(commit.repo)}@{commit.id}"


def _state(info: pfs_pb2.CommitInfo) -> str:
    if info.error:
        return "failed"
    if info.HasField("finished"):
        return "finished"
    return "finishing" if info.HasField("finishing") else "open"


def _origin(info: pfs_pb2.CommitInfo) -> str:
    return pfs_pb2.OriginKind.Name(info.origin.kind).lower()


def _size(info: pfs_pb2.CommitInfo) -> str:
    if info.HasField("details"):
        return output.size(info.details.size_bytes)
    return f"≤ {output.size(info.size_bytes_upper_bound)}" if info.size_bytes_upper_bound else "-"


COMMANDS = {
    "start commit": Command(
        start,
        (
            argument("branch", metavar="REPO@BRANCH", help="the branch"),
            argument(
                "-p", "--parent", metavar="BRANCH-OR-ID", help="parent of the commit (the branch's head)"
            ),
            MESSAGE,
        ),
        examples=(
            ("trunkline start commit texts@master", "open a commit and print its id"),
            ('trunkline start commit texts@dev -m "two more plays"', "with a description"),
        ),
    ),
    "finish commit": Command(
        finish,
        (
            COMMIT,
            MESSAGE,
            argument("-f", "--force", action="store_true", help="also a commit of a pipeline's output"),
            *CHANGING,
        ),
        examples=(
            ("trunkline finish commit texts@master", "finish the open commit of a branch; pipelines start"),
        ),
    ),
    "inspect commit": Command(
        inspect,
        (COMMIT_OR_ID, WATCH, *SHOWING),
        examples=(
            ("trunkline inspect commit texts@master", "show the last commit of a branch"),
            ("trunkline inspect commit texts@master^", "the one before it"),
            ("trunkline inspect commit ff3b455be0da", "all commits of one change"),
        ),
    ),
    "list commit": Command(
        list_,
        (
            argument(
                "commit",
                metavar="REPO[@BRANCH-OR-ID]",
                help="with a branch or id, its commit and the ancestors",
            ),
            argument(
                "-f",
                "--from",
                dest="since",
                metavar="BRANCH-OR-ID",
                help="list only the commits after this one",
            ),
            limit_option("commits"),
            argument("--reverse", action="store_true", help="oldest first"),
            argument("--all", action="store_true", help="also commits of pipelines"),
            ORIGIN,
            WATCH,
            *SHOWING,
        ),
        examples=(
            ("trunkline list commit texts", "show the commits of a repo"),
            ("trunkline list commit texts@master -n 5", "the last five of a branch"),
        ),
    ),
    "wait commit": Command(
        wait,
        (COMMIT_OR_ID, TIMEOUT, *SHOWING),
        examples=(
            ("trunkline wait commit count@master", "wait until the output is complete"),
            (
                "trunkline wait commit ff3b455be0da --timeout 5m",
                "wait for everything that follows from a change",
            ),
        ),
    ),
    "subscribe commit": Command(
        subscribe,
        (
            argument("branch", metavar="REPO@BRANCH", help="the branch"),
            argument("--from", dest="since", metavar="ID", help="print only the commits after this one"),
            argument("--new", action="store_true", help="print only new commits"),
            argument(
                "--state",
                choices=("started", "ready", "finishing", "finished"),
                default="finished",
                help="print a commit when it reaches this state (finished)",
            ),
            argument("--all", action="store_true", help="also commits of pipelines"),
            ORIGIN,
            TIMEOUT,
            *SHOWING,
        ),
        examples=(
            ("trunkline subscribe commit texts@master", "print each commit when it is finished"),
            ("trunkline subscribe commit texts@master --new -o json", "new commits only, as JSON"),
        ),
    ),
    "find commit": Command(
        find,
        (
            argument("file", metavar="REPO@COMMIT:/PATH", help="the file, and the commit to begin with"),
            argument("-n", "--number", "--limit", type=natural, default=0, help="at most that many commits"),
            argument("--json", action="store_true", dest="raw", help="the same as -o json, as in pachctl"),
            TIMEOUT,
            *SHOWING,
        ),
        examples=(
            ("trunkline find commit texts@master:/hamlet.txt", "which commits changed a file, newest first"),
        ),
    ),
    "squash commit": Command(
        squash,
        (COMMIT_OR_ID, RECURSIVE, deletion.YES, deletion.DRY_RUN, *CHANGING),
        examples=(
            (
                "trunkline squash commit texts@master^ --recursive",
                "remove a commit and its outputs from the history; its files stay in the next one",
            ),
        ),
    ),
    "delete commit": Command(
        delete,
        (COMMIT_OR_ID, RECURSIVE, deletion.YES, deletion.DRY_RUN, *CHANGING),
        examples=(
            ("trunkline delete commit old-texts@master --dry-run", "show what would be deleted"),
            ("trunkline delete commit old-texts@master", "delete the last commit of a branch and its data"),
        ),
    ),
}
