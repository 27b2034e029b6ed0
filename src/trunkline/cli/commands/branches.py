"""Branches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trunkline.cli import deletion, output
from trunkline.cli.commands.repos import repo_name
from trunkline.cli.parsing import CHANGING, SHOWING, Command, argument
from trunkline.rpc.gen import pfs_pb2

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trunkline.cli.invocation import Invocation

BRANCH = argument("name", metavar="REPO@BRANCH", help="the branch")


def create(invocation: Invocation) -> None:
    """Create a branch, or move it."""
    options = invocation.options
    request = pfs_pb2.CreateBranchRequest(
        branch=invocation.branch(options.name), provenance=map(invocation.branch, options.provenance)
    )
    if options.head:
        # "--head master" and "--head <id>" mean the branch's own repo, as in pachctl.
        repo = options.name.partition("@")[0]
        head = options.head if "@" in options.head else f"{repo}@{options.head}"
        request.head.CopyFrom(invocation.commit(head))
    for field in ("branch", "all", "size", "commits", "rate_limit_spec", "cron_spec"):
        value = getattr(options, f"trigger_{field}")
        if value:
            setattr(request.trigger, field, value)
    invocation.pfs.CreateBranch(request)
    invocation.report("created", "branch", _name(request.branch))


def inspect(invocation: Invocation) -> None:
    """Show a branch."""
    branch = invocation.branch(invocation.options.name)
    info = invocation.pfs.InspectBranch(pfs_pb2.InspectBranchRequest(branch=branch))

    def fields(info: pfs_pb2.BranchInfo) -> Sequence[tuple[str, str]]:
        return [
            ("Name", _name(info.branch)),
            ("Head", info.head.id or "-"),
            ("Provenance", ", ".join(map(_name, info.provenance))),
            ("Direct provenance", ", ".join(map(_name, info.direct_provenance))),
            ("Trigger", _trigger(info.trigger)),
        ]

    output.show_one(invocation, info, fields, _name(info.branch))


def list_(invocation: Invocation) -> None:
    """List the branches of a repo."""
    repo = invocation.repo(invocation.options.repo)

    def row(info: pfs_pb2.BranchInfo) -> Sequence[str]:
        provenance = ", ".join(map(_name, info.direct_provenance))
        head = output.Id(info.head.id) if info.head.id else "-"
        return info.branch.name, head, _trigger(info.trigger) or "-", provenance or "-"

    branches = invocation.pfs.ListBranch(pfs_pb2.ListBranchRequest(repo=repo))
    columns = ("BRANCH", "HEAD", "TRIGGER", "PROVENANCE")
    output.show_many(invocation, branches, columns, row, lambda info: _name(info.branch))


def delete(invocation: Invocation) -> None:
    """Delete a branch; its commits stay."""
    options = invocation.options
    request = pfs_pb2.DeleteBranchRequest(branch=invocation.branch(options.name), force=options.force)

    def losses() -> list[deletion.Loss]:
        invocation.pfs.InspectBranch(pfs_pb2.InspectBranchRequest(branch=request.branch))
        return [deletion.Loss("branch", _name(request.branch))]

    if not deletion.is_wanted(invocation, losses):
        return
    invocation.pfs.DeleteBranch(request)
    invocation.report("deleted", "branch", _name(request.branch), "; its commits stay")


def _name(branch: pfs_pb2.Branch) -> str:
    return f"{repo_name(branch.repo)}@{branch.name}"


def _trigger(trigger: pfs_pb2.Trigger) -> str:
    conditions = [
        f"{label} {value}"
        for label, value in (
            ("size", trigger.size),
            ("commits", trigger.commits),
            ("rate", trigger.rate_limit_spec),
            ("cron", trigger.cron_spec),
        )
        if value
    ]
    return (
        f"{trigger.branch} when {(' and ' if trigger.all else ' or ').join(conditions)}" if conditions else ""
    )


COMMANDS = {
    "create branch": Command(
        create,
        (
            BRANCH,
            argument("--head", metavar="COMMIT", help="head of the branch: a branch or id of the same repo"),
            argument(
                "-p",
                "--provenance",
                metavar="REPO@BRANCH",
                action="append",
                default=[],
                help="make this branch its provenance; may be repeated",
            ),
            argument(
                "--trigger",
                dest="trigger_branch",
                metavar="BRANCH",
                help="move it to commits of this branch of its repo when any of the conditions holds",
            ),
            argument("--trigger-all", action="store_true", help="move it when all conditions hold"),
            argument("--trigger-size", metavar="SIZE", help="condition: growth of the files, such as 100MB"),
            argument("--trigger-commits", type=int, metavar="N", help="condition: number of commits"),
            argument(
                "--trigger-rate-limit",
                dest="trigger_rate_limit_spec",
                metavar="SCHEDULE",
                help="condition: a tick since the last move, such as @hourly",
            ),
            argument(
                "--trigger-cron",
                dest="trigger_cron_spec",
                metavar="SCHEDULE",
                help="move it at each tick; not beside conditions",
            ),
            *CHANGING,
        ),
        examples=(
            ("trunkline create branch texts@dev --head master", "start a branch where master is"),
            (
                "trunkline create branch texts@stable --trigger master --trigger-commits 10",
                "move it to every tenth commit of master",
            ),
        ),
    ),
    "inspect branch": Command(
        inspect,
        (BRANCH, *SHOWING),
        examples=(("trunkline inspect branch texts@master", "show its head and what it depends on"),),
    ),
    "list branch": Command(
        list_,
        (argument("repo", metavar="REPO", help="repo, or project/repo"), *SHOWING),
        examples=(("trunkline list branch texts", "show the branches of a repo"),),
    ),
    "delete branch": Command(
        delete,
        (
            BRANCH,
            argument(
                "-f", "--force", action="store_true", help="delete it even if other branches depend on it"
            ),
            deletion.DRY_RUN,
            *CHANGING,
        ),
        examples=(("trunkline delete branch texts@trial", "delete a branch; its commits stay"),),
    ),
}
