"""Repos."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trunkline.cli import deletion, output
from trunkline.cli.exit_codes import UsageError
from trunkline.cli.parsing import CHANGING, SHOWING, Command, argument
from trunkline.errors import NotFound
from trunkline.rpc.gen import pfs_pb2

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trunkline.cli.invocation import Invocation

NAME = argument("name", metavar="REPO", help="repo, or project/repo")
DESCRIPTION = argument("-d", "--description", help="description of the repo")
#: Commits that are counted before a question.
COUNTED = 1000
ALL_PROJECTS = argument("-A", "--all-projects", action="store_true", help="of all projects")


def create(invocation: Invocation) -> None:
    """Create a repo."""
    options = invocation.options
    request = pfs_pb2.CreateRepoRequest(
        repo=invocation.repo(options.name), description=options.description or ""
    )
    invocation.pfs.CreateRepo(request)
    invocation.report("created", "repo", repo_name(request.repo))


def update(invocation: Invocation) -> None:
    """Change a repo's description."""
    options = invocation.options
    if options.description is None:
        raise UsageError("update repo has nothing to change; give the new description with -d")
    repo = invocation.repo(options.name)
    request = pfs_pb2.CreateRepoRequest(repo=repo, description=options.description, update=True)
    invocation.pfs.CreateRepo(request)
    invocation.report("updated", "repo", repo_name(repo))


def inspect(invocation: Invocation) -> None:
    """Show a repo."""
    repo = invocation.repo(invocation.options.name)
    info = invocation.pfs.InspectRepo(pfs_pb2.InspectRepoRequest(repo=repo))

    def fields(info: pfs_pb2.RepoInfo) -> Sequence[tuple[str, str]]:
        return [
            ("Name", repo_name(info.repo)),
            ("Description", info.description),
            ("Created", output.when(info.created, whole=invocation.options.full_timestamps)),
            ("Size of HEAD on master", output.size(info.details.size_bytes)),
            ("Branches", ", ".join(branch.name for branch in info.branches)),
        ]

    output.show_one(invocation, info, fields, repo_name(info.repo))


def list_(invocation: Invocation) -> None:
    """List repos."""
    options = invocation.options
    request = pfs_pb2.ListRepoRequest(type="" if options.all else options.type)
    if not options.all_projects:
        request.projects.add(name=invocation.project)

    def row(info: pfs_pb2.RepoInfo) -> Sequence[str]:
        size = info.details.size_bytes if info.HasField("details") else info.size_bytes_upper_bound
        return (
            info.repo.project.name,
            info.repo.name if info.repo.type == "user" else f"{info.repo.name}.{info.repo.type}",
            output.when(info.created, whole=options.full_timestamps),
            output.size(size),
            output.one_line(info.description),
        )

    repos = invocation.existing(invocation.pfs.ListRepo(request), options.all_projects)
    columns = ("@PROJECT", "NAME", "CREATED", ">SIZE (MASTER)", "DESCRIPTION")
    output.show_many(invocation, repos, columns, row, lambda info: repo_name(info.repo))


def delete(invocation: Invocation) -> None:
    """Delete a repo, or all repos of the project."""
    options = invocation.options
    if options.name:
        request = pfs_pb2.DeleteRepoRequest(repo=invocation.repo(options.name), force=options.force)
        repo = repo_name(request.repo)
        if not deletion.is_wanted(invocation, lambda: [loss(invocation, request.repo)]):
            return
        if not invocation.pfs.DeleteRepo(request).deleted:
            raise NotFound(f'repo "{repo}" not found; "trunkline list repo -A" lists all repos')
        invocation.report("deleted", "repo", repo, " and its commits")
        return
    if not options.all:
        raise UsageError('delete repo needs a name or --all; see "trunkline delete repo --help"')
    projects = [] if options.all_projects else [pfs_pb2.Project(name=invocation.project)]
    if not deletion.is_wanted(invocation, lambda: losses(invocation, projects), sweeping=True):
        return
    every = pfs_pb2.DeleteReposRequest(projects=projects, force=options.force, all=options.all_projects)
    answer = invocation.pfs.DeleteRepos(every)
    for deleted in answer.repos:
        invocation.report("deleted", "repo", repo_name(deleted))


def losses(invocation: Invocation, projects: Sequence[pfs_pb2.Project]) -> list[deletion.Loss]:
    """Return what is deleted with the repos of projects.

    Args:
        invocation: asks the server.
        projects: empty for all.
    """
    request = pfs_pb2.ListRepoRequest(type="user", projects=projects)
    return [loss(invocation, info.repo) for info in list(invocation.pfs.ListRepo(request))]


def loss(invocation: Invocation, repo: pfs_pb2.Repo) -> deletion.Loss:
    """Return what is deleted with a repo.

    Raises:
        NotFound: it does not exist.
    """
    info = invocation.pfs.InspectRepo(pfs_pb2.InspectRepoRequest(repo=repo))
    request = pfs_pb2.ListCommitRequest(repo=repo, all=True, number=COUNTED + 1)
    count = sum(1 for _ in invocation.pfs.ListCommit(request))
    content = output.counted(count, "commit") if count <= COUNTED else f"more than {COUNTED:,} commits"
    if info.details.size_bytes:
        content += f", {output.size(info.details.size_bytes)} on master"
    return deletion.Loss("repo", repo_name(repo), content if count else "")


def repo_name(repo: pfs_pb2.Repo) -> str:
    """Return the name of a repo as in references."""
    suffix = f".{repo.type}" if repo.type not in ("", "user") else ""
    return f"{repo.project.name}/{repo.name}{suffix}"


COMMANDS = {
    "create repo": Command(
        create,
        (NAME, DESCRIPTION, *CHANGING),
        examples=(
            ("trunkline create repo plays", "make a repo in the project in use"),
            ('trunkline create repo art/plays -d "one file each"', "in project art, with a description"),
        ),
    ),
    "update repo": Command(
        update,
        (NAME, DESCRIPTION, *CHANGING),
        examples=(('trunkline update repo texts -d "one play a file"', "replace its description"),),
    ),
    "inspect repo": Command(
        inspect,
        (NAME, *SHOWING),
        examples=(
            ("trunkline inspect repo texts", "show its branches and size"),
            ("trunkline inspect repo texts --jq .branches[].name", "the names of its branches"),
        ),
    ),
    "list repo": Command(
        list_,
        (
            argument("--type", default="user", help="user (the default), meta or spec"),
            argument("--all", action="store_true", help="of all types"),
            ALL_PROJECTS,
            *SHOWING,
        ),
        examples=(
            ("trunkline list repo", "show the repos of the project in use"),
            ("trunkline list repo -A -o name", "the names of all repos, for scripts"),
            ("trunkline list repo --columns name,created", "two columns"),
        ),
    ),
    "delete repo": Command(
        delete,
        (
            argument("name", metavar="REPO", nargs="?", help="repo, or project/repo"),
            argument("--all", action="store_true", help="all repos of the project"),
            argument("-A", "--all-projects", action="store_true", help="with --all: of all projects"),
            argument("-f", "--force", action="store_true", help="delete it even if other repos depend on it"),
            deletion.YES,
            deletion.DRY_RUN,
            *CHANGING,
        ),
        examples=(
            ("trunkline delete repo --all --dry-run", "show what would be deleted"),
            ("trunkline delete repo old-texts", "delete a repo that no pipeline reads"),
        ),
    ),
}
