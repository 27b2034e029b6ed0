"""Projects: groups of repos and pipelines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trunkline.cli import deletion, output
from trunkline.cli.exit_codes import UsageError
from trunkline.cli.parsing import CHANGING, SHOWING, Command, argument
from trunkline.rpc.gen import pfs_pb2, pps_pb2

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trunkline.cli.invocation import Invocation

NAME = argument("name", metavar="PROJECT", help="name of the project")
DESCRIPTION = argument("-d", "--description", help="description of the project")


def _project(invocation: Invocation) -> pfs_pb2.Project:
    return pfs_pb2.Project(name=invocation.options.name)


def create(invocation: Invocation) -> None:
    """Create a project."""
    project, description = _project(invocation), invocation.options.description or ""
    invocation.pfs.CreateProject(pfs_pb2.CreateProjectRequest(project=project, description=description))
    invocation.report("created", "project", project.name)


def update(invocation: Invocation) -> None:
    """Change a project's description."""
    project, description = _project(invocation), invocation.options.description
    if description is None:
        raise UsageError("update project has nothing to change; give the new description with -d")
    request = pfs_pb2.CreateProjectRequest(project=project, description=description, update=True)
    invocation.pfs.CreateProject(request)
    invocation.report("updated", "project", project.name)


def inspect(invocation: Invocation) -> None:
    """Show a project."""
    info = invocation.pfs.InspectProject(pfs_pb2.InspectProjectRequest(project=_project(invocation)))

    def fields(info: pfs_pb2.ProjectInfo) -> Sequence[tuple[str, str]]:
        created = output.when(info.created_at, whole=invocation.options.full_timestamps)
        return [("Name", info.project.name), ("Description", info.description), ("Created", created)]

    output.show_one(invocation, info, fields, info.project.name)


def list_(invocation: Invocation) -> None:
    """List projects."""

    def row(info: pfs_pb2.ProjectInfo) -> Sequence[str]:
        created = output.when(info.created_at, whole=invocation.options.full_timestamps)
        active = "*" if info.project.name == invocation.project else ""
        return active, info.project.name, created, output.one_line(info.description)

    projects = invocation.pfs.ListProject(pfs_pb2.ListProjectRequest())
    columns = ("ACTIVE", "NAME", "CREATED", "DESCRIPTION")
    output.show_many(invocation, projects, columns, row, lambda info: info.project.name)


def delete(invocation: Invocation) -> None:
    """Delete a project; with --force also its pipelines and repos, which the server does not delete itself."""
    project, force = _project(invocation), invocation.options.force

    def losses() -> list[deletion.Loss]:
        invocation.pfs.InspectProject(pfs_pb2.InspectProjectRequest(project=project))
        own = [deletion.Loss("project", project.name)]
        if not force:
            return own
        return [*own, *_contents(invocation, [project])]

    if not deletion.is_wanted(invocation, losses, sweeping=force):
        return
    if force:
        invocation.pfs.InspectProject(pfs_pb2.InspectProjectRequest(project=project))
        invocation.pps.DeletePipelines(pps_pb2.DeletePipelinesRequest(projects=[project], force=True))
        invocation.pfs.DeleteRepos(pfs_pb2.DeleteReposRequest(projects=[project], force=True))
    invocation.pfs.DeleteProject(pfs_pb2.DeleteProjectRequest(project=project, force=force))
    invocation.report("deleted", "project", project.name)


def _contents(invocation: Invocation, projects: Sequence[pfs_pb2.Project]) -> list[deletion.Loss]:
    """Return the pipelines and repos of projects, of all when there are none; output repos count as repos."""
    from trunkline.cli.commands import pipelines, repos

    of_pipelines = [each._replace(content="") for each in pipelines.losses(invocation, projects)]
    return [*of_pipelines, *repos.losses(invocation, projects)]


def delete_all(invocation: Invocation) -> None:
    """Delete all pipelines, repos, projects and open transactions."""
    from google.protobuf.empty_pb2 import Empty

    from trunkline.rpc.gen import transaction_pb2

    if not deletion.is_wanted(invocation, lambda: _contents(invocation, []), sweeping=True, piped=True):
        return
    invocation.transactions.DeleteAll(transaction_pb2.DeleteAllRequest())
    invocation.pps.DeleteAll(Empty())
    invocation.pfs.DeleteAll(Empty())
    invocation.report(
        "deleted", "all", "", sentence="deleted all projects, repos, pipelines and transactions"
    )


COMMANDS = {
    "delete all": Command(
        delete_all,
        (deletion.YES, deletion.DRY_RUN, *CHANGING),
        examples=(
            ("trunkline delete all --dry-run", "show what would be deleted"),
            ("trunkline delete all --yes", "make the server empty; secrets stay"),
        ),
    ),
    "create project": Command(
        create,
        (NAME, DESCRIPTION, *CHANGING),
        examples=(
            ("trunkline create project art", "make a project"),
            ('trunkline create project lab -d "measurements"', "with a description"),
        ),
    ),
    "update project": Command(
        update,
        (NAME, DESCRIPTION, *CHANGING),
        examples=(('trunkline update project art -d "plays and poems"', "replace its description"),),
    ),
    "inspect project": Command(
        inspect,
        (NAME, *SHOWING),
        examples=(("trunkline inspect project default", "show its description and when it was made"),),
    ),
    "list project": Command(
        list_,
        SHOWING,
        examples=(
            ("trunkline list project", "show all projects"),
            ("trunkline list project -o name", "their names alone, for scripts"),
        ),
    ),
    "delete project": Command(
        delete,
        (
            NAME,
            argument("-f", "--force", action="store_true", help="delete its pipelines and repos first"),
            deletion.YES,
            deletion.DRY_RUN,
            *CHANGING,
        ),
        examples=(
            ("trunkline delete project sketches", "delete a project that is empty"),
            (
                "trunkline delete project drafts --force --yes",
                "with its pipelines and repos, without a question",
            ),
        ),
    ),
}
