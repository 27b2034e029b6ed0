"""A Fargate profile in an AWS account: made, looked at, deleted.

Each command reads what is there, shows what it would do and does it when told to. Nothing is decided here.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from trunkline.cli import output
from trunkline.cli.exit_codes import CONFLICT, UsageError
from trunkline.cli.parsing import SHOWING, TIMEOUT, Command, argument

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trunkline.aws.apply import Account
    from trunkline.aws.desired import Wanted
    from trunkline.aws.diff import Changes, FoundProfile, Observed
    from trunkline.cli.invocation import Invocation

CLUSTER = argument("--cluster", required=True, metavar="NAME", help="the EKS cluster")
REGION = argument("--region", metavar="REGION", help="AWS region (AWS_REGION, or what the AWS CLI is set to)")
NAME = argument("--name", default="trunkline", metavar="NAME", help="name of the profile (trunkline)")
#: What makes up a profile.
PROFILE = (
    CLUSTER,
    REGION,
    NAME,
    argument("-f", "--file", metavar="FILE", help="pipeline specs whose metadata.labels the profile selects"),
    argument(
        "--namespace", default="default", metavar="NAMESPACE", help="namespace of the workers (default)"
    ),
    argument(
        "--label",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="select these pods instead of those of the specs; may be repeated, all must match",
    ),
    argument(
        "--subnet",
        action="append",
        default=[],
        metavar="ID",
        help="a private subnet; may be repeated (all private ones of the cluster)",
    ),
    argument("--role", default="", metavar="ARN", help="a pod execution role that exists (one is made)"),
    argument("--tag", action="append", default=[], metavar="KEY=VALUE", help="tag of what is made"),
)
YES = argument("-y", "--yes", action="store_true", help="do it without asking")
WAIT_SECONDS = 600.0  # for a profile that is made or deleted; AWS takes one to five minutes


def region_of(invocation: Invocation) -> str:
    """Return the region that the options, the environment or the AWS CLI's files say.

    Raises:
        UsageError: none of them says one.
    """
    given: str = (
        invocation.options.region
        or os.environ.get("AWS_REGION", "")
        or os.environ.get("AWS_DEFAULT_REGION", "")
    )
    if not given:
        from trunkline.aws.apply import configured_region

        given = configured_region()
    if not given:
        raise UsageError(
            "no AWS region is known; say --region, for example --region us-east-1, or set AWS_REGION"
        )
    return given


def wanted_of(invocation: Invocation) -> Wanted:
    """Return the profile that the options ask for.

    Raises:
        UsageError: nothing says which pods it shall take.
        InvalidArgument: it breaks a rule of EKS.
    """
    from trunkline.aws.desired import selectors_for, wanted
    from trunkline.scaling.profiles import Selector

    options = invocation.options
    if options.label:
        labels = tuple(sorted(pairs_of(options.label, "--label").items()))
        selectors = [Selector(namespace=options.namespace, labels=labels)]
    elif options.file:
        selectors = selectors_for(options.namespace, [_labels(spec) for spec in _specs(options.file)])
    else:
        raise UsageError(
            "nothing says which pods the profile takes; give the specs with -f FILE, or --label node=fargate"
        )
    return wanted(
        cluster=options.cluster,
        region=region_of(invocation),
        name=options.name,
        selectors=selectors,
        role_arn=options.role,
        subnets=options.subnet,
        tags=pairs_of(options.tag, "--tag"),
    )


def _specs(source: str) -> list[Any]:
    from trunkline.cli.specs import read_specs
    from trunkline.model import spec_rules

    return [spec_rules.load(one) for one in read_specs(source)]


def _labels(spec: Any) -> dict[str, str]:
    return dict(spec.metadata.labels) if spec.metadata is not None else {}


def pairs_of(texts: Sequence[str], option: str) -> dict[str, str]:
    """Return repeated KEY=VALUE options as a mapping.

    Raises:
        UsageError: one is not of that form.
    """
    pairs = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise UsageError(f'{option} "{text}" is not KEY=VALUE; write for example {option} node=fargate')
        pairs[key] = value
    return pairs


def apply(invocation: Invocation) -> int | None:
    """Make the role and the profile, as far as they are missing."""
    from trunkline.aws.apply import Account
    from trunkline.aws.diff import to_apply

    wanted = wanted_of(invocation)
    account = Account(wanted.region)
    found = account.find(wanted.cluster, wanted.role_name, wanted.subnets)
    changes = to_apply(wanted, found)
    if not _agreed(invocation, changes, found):
        return CONFLICT
    for step in changes.steps:
        invocation.note(f"{step.sentence} …")
        account.carry_out(step)
    profile = account.profile(wanted.cluster, wanted.profile.name)
    if profile is not None and profile.status == "CREATING" and not invocation.options.no_wait:
        invocation.note("waiting until the profile is active (one to five minutes) …")
        timeout = WAIT_SECONDS if invocation.timeout is None else invocation.timeout
        profile = account.wait(wanted.cluster, wanted.profile.name, timeout=timeout)
    if profile is None:
        print(f'Fargate profile "{wanted.profile.name}" is gone again: somebody deleted it')
        return CONFLICT
    print(_line(profile))
    return None if profile.status in ("ACTIVE", "CREATING") else CONFLICT


def delete(invocation: Invocation) -> int | None:
    """Delete the profile, and its role when it was made by ``apply``."""
    from trunkline.aws.apply import Account
    from trunkline.aws.diff import to_delete

    options = invocation.options
    account = Account(region_of(invocation))
    role_name = _role_name(account, options)
    found = account.find(options.cluster, role_name)
    changes = to_delete(options.name, role_name, found, keep_role=options.keep_role)
    if not _agreed(invocation, changes, found):
        return CONFLICT
    timeout = WAIT_SECONDS if invocation.timeout is None else invocation.timeout
    for step in changes.steps:
        if step.service == "iam":
            # A role is needed until the last pod of its profile has stopped.
            account.wait(options.cluster, options.name, timeout=timeout)
        invocation.note(f"{step.sentence} …")
        account.carry_out(step)
    if not options.no_wait:
        account.wait(options.cluster, options.name, timeout=timeout)
    return None


def _role_name(account: Account, options: Any) -> str:
    """Return the name of a profile's role, of the one that ``apply`` makes when there is no profile."""
    from trunkline.aws.desired import Wanted
    from trunkline.scaling.profiles import Profile

    existing = account.profile(options.cluster, options.name)
    if existing is not None and existing.role_arn:
        return existing.role_arn.rpartition("/")[2]
    nothing = Profile(name=options.name, selectors=())
    return Wanted(cluster=options.cluster, region=account.region, profile=nothing).role_name


def _agreed(invocation: Invocation, changes: Changes, found: Observed) -> bool:
    """Show what would be done, and ask.

    Raises:
        UsageError: nobody is there to be asked, and ``--yes`` was not said.
    """
    for sentence in changes.kept:
        invocation.note(f"  = {sentence}")
    for step in changes.steps:
        print(f"  + {step.sentence}", file=sys.stderr)
    for warning in changes.warnings:
        print(f"  ! {warning}", file=sys.stderr)
    if not changes.steps:
        invocation.note("nothing to do")
        return True
    if invocation.options.yes:
        return True
    if not sys.stdin.isatty():
        raise UsageError(
            f"{len(changes.steps)} changes to account {found.account} are shown and not made; say --yes to make them"
        )
    print(
        f"Make these {len(changes.steps)} changes to account {found.account}? [y/N] ", end="", file=sys.stderr
    )
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def status(invocation: Invocation) -> int | None:
    """Show the Fargate profiles of a cluster, and what is wrong with them."""
    from trunkline.aws.apply import Account

    options = invocation.options
    account = Account(region_of(invocation))
    found = account.find(options.cluster)
    profiles = [one for one in found.profiles if options.name in (None, one.profile.name)]
    if options.name and not profiles:
        from trunkline.errors import NotFound

        known = ", ".join(one.profile.name for one in found.profiles) or "none"
        raise NotFound(
            f'cluster "{found.cluster}" has no Fargate profile "{options.name}"; there is: {known}'
        )
    form = output.form_of(invocation)
    if form == "name":
        for one in profiles:
            print(one.profile.name)
    elif form != "table":
        output.values((_plain(one, found, _troubles(one, found, account)) for one in profiles), form)
    else:
        output.table(("NAME", "STATUS", "SELECTORS", "ROLE", ">SUBNETS"), (_row(one) for one in profiles))
        for one in profiles:
            for sentence in _troubles(one, found, account):
                print(f"{one.profile.name}: {sentence}")
    return None if all(one.status in ("ACTIVE", "CREATING") for one in profiles) else CONFLICT


def _row(one: FoundProfile) -> Sequence[str]:
    selectors = "; ".join(map(str, one.profile.selectors))
    return (
        one.profile.name,
        one.status.lower(),
        selectors,
        one.role_arn.rpartition("/")[2],
        str(len(one.subnets)),
    )


def _line(one: FoundProfile) -> str:
    from trunkline.aws.diff import explain_issue

    issues = "".join(f"; {explain_issue(code, message)}" for code, message in one.issues)
    return f'Fargate profile "{one.profile.name}" is {one.status}{issues}'


def _troubles(one: FoundProfile, found: Observed, account: Account) -> list[str]:
    """Return sentences on what is or may become wrong with a profile."""
    from trunkline.aws.diff import explain_issue, judge_role

    public = [subnet.id for subnet in found.subnets if subnet.public and subnet.id in one.subnets]
    role = account.role(one.role_arn.rpartition("/")[2])
    return [
        *(explain_issue(code, message) for code, message in one.issues),
        *judge_role(role, one, account.region, found),
        *([f"subnets {', '.join(public)} are public; Fargate takes private ones only"] if public else []),
    ]


def _plain(one: FoundProfile, found: Observed, troubles: list[str]) -> dict[str, Any]:
    from trunkline.aws.desired import api_selectors

    return {
        "name": one.profile.name,
        "cluster": found.cluster,
        "status": one.status,
        "selectors": api_selectors(one.profile),
        "pod_execution_role": one.role_arn,
        "subnets": list(one.subnets),
        "troubles": troubles,
    }


COMMANDS = {
    "fargate apply": Command(
        apply,
        (
            *PROFILE,
            YES,
            argument("--no-wait", action="store_true", help="do not wait until it is active"),
            TIMEOUT,
        ),
    ),
    "fargate status": Command(
        status,
        (
            CLUSTER,
            REGION,
            argument("--name", metavar="NAME", help="only this profile"),
            *SHOWING,
        ),
    ),
    "fargate delete": Command(
        delete,
        (
            CLUSTER,
            REGION,
            NAME,
            argument("--keep-role", action="store_true", help="leave the role even if it was made by apply"),
            YES,
            argument("--no-wait", action="store_true", help="do not wait until it is gone"),
            TIMEOUT,
        ),
    ),
}
