"""Creates, shows and deletes a Fargate profile in an AWS account.

Each command reads the account's state, shows its changes and makes them after a confirmation. ``aws.diff`` decides.
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
    from trunkline.aws.desired import DesiredProfile
    from trunkline.aws.diff import Changes, Observed, ObservedProfile
    from trunkline.cli.invocation import Invocation

CLUSTER = argument("--cluster", required=True, metavar="NAME", help="the EKS cluster")
REGION = argument("--region", metavar="REGION", help="AWS region (AWS_REGION, or the AWS CLI's)")
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
        help="select pods with this label instead of those of the specs; may be repeated, all must match",
    ),
    argument(
        "--subnet",
        action="append",
        default=[],
        metavar="ID",
        help="private subnet; may be repeated (all private subnets of the cluster)",
    ),
    argument("--role", default="", metavar="ARN", help="existing pod execution role (a new one)"),
    argument(
        "--tag",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="tag for what is created; may be repeated",
    ),
)
YES = argument("-y", "--yes", action="store_true", help="make the changes without a question")
WAIT_SECONDS = 600.0  # for a profile to be created or deleted; AWS takes one to five minutes


def region_of(invocation: Invocation) -> str:
    """Return the region of the options, the environment or the AWS CLI's files.

    Raises:
        UsageError: none of them has one.
    """
    region: str = (
        invocation.options.region
        or os.environ.get("AWS_REGION", "")
        or os.environ.get("AWS_DEFAULT_REGION", "")
    )
    if not region:
        from trunkline.aws.apply import configured_region

        region = configured_region()
    if not region:
        raise UsageError(
            "no AWS region is set; add --region, for example --region us-east-1, or set AWS_REGION"
        )
    return region


def desired_of(invocation: Invocation) -> DesiredProfile:
    """Return the profile of the options.

    Raises:
        UsageError: neither specs nor labels select pods.
        InvalidArgument: it breaks a rule of EKS.
    """
    from trunkline.aws.desired import desired_profile, selectors_for
    from trunkline.scaling.profiles import Selector

    options = invocation.options
    if options.label:
        labels = tuple(sorted(pairs_of(options.label, "--label").items()))
        selectors = [Selector(namespace=options.namespace, labels=labels)]
    elif options.file:
        selectors = selectors_for(options.namespace, [_labels(spec) for spec in _specs(options.file)])
    else:
        raise UsageError("the profile selects no pods; add the specs with -f FILE, or --label node=fargate")
    return desired_profile(
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

    return [spec_rules.load(spec) for spec in read_specs(source)]


def _labels(spec: Any) -> dict[str, str]:
    return dict(spec.metadata.labels) if spec.metadata is not None else {}


def pairs_of(texts: Sequence[str], option: str) -> dict[str, str]:
    """Return repeated KEY=VALUE options as a mapping.

    Raises:
        UsageError: an option does not have this form.
    """
    pairs = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise UsageError(f'{option} "{text}" is not KEY=VALUE; write for example {option} node=fargate')
        pairs[key] = value
    return pairs


def apply(invocation: Invocation) -> int | None:
    """Create the role and the profile, unless they exist."""
    from trunkline.aws.apply import Account
    from trunkline.aws.diff import to_apply

    desired = desired_of(invocation)
    account = Account(desired.region)
    observed = account.find(desired.cluster, desired.role_name, desired.subnets)
    changes = to_apply(desired, observed)
    if not _confirmed(invocation, changes, observed):
        return CONFLICT
    for step in changes.steps:
        invocation.note(f"{step.sentence} …")
        account.carry_out(step)
    profile = account.profile(desired.cluster, desired.profile.name)
    if profile is not None and profile.status == "CREATING" and not invocation.options.no_wait:
        invocation.note("waiting until the profile is active (one to five minutes) …")
        timeout = WAIT_SECONDS if invocation.timeout is None else invocation.timeout
        profile = account.wait(desired.cluster, desired.profile.name, timeout=timeout)
    if profile is None:
        print(f'Fargate profile "{desired.profile.name}" does not exist any more: it was deleted meanwhile')
        return CONFLICT
    print(_line(profile))
    return None if profile.status in ("ACTIVE", "CREATING") else CONFLICT


def delete(invocation: Invocation) -> int | None:
    """Delete the profile, and its role when ``apply`` created it."""
    from trunkline.aws.apply import Account
    from trunkline.aws.diff import to_delete

    options = invocation.options
    account = Account(region_of(invocation))
    role_name = _role_name(account, options)
    observed = account.find(options.cluster, role_name)
    changes = to_delete(options.name, role_name, observed, keep_role=options.keep_role)
    if not _confirmed(invocation, changes, observed):
        return CONFLICT
    timeout = WAIT_SECONDS if invocation.timeout is None else invocation.timeout
    for step in changes.steps:
        if step.service == "iam":
            # The role is needed until the last pod of the profile has stopped.
            account.wait(options.cluster, options.name, timeout=timeout)
        invocation.note(f"{step.sentence} …")
        account.carry_out(step)
    if not options.no_wait:
        account.wait(options.cluster, options.name, timeout=timeout)
    return None


def _role_name(account: Account, options: Any) -> str:
    """Return the name of a profile's role; without a profile, that of the role that ``apply`` creates."""
    from trunkline.aws.desired import DesiredProfile
    from trunkline.scaling.profiles import Profile

    existing = account.profile(options.cluster, options.name)
    if existing is not None and existing.role_arn:
        return existing.role_arn.rpartition("/")[2]
    nothing = Profile(name=options.name, selectors=())
    return DesiredProfile(cluster=options.cluster, region=account.region, profile=nothing).role_name


def _confirmed(invocation: Invocation, changes: Changes, observed: Observed) -> bool:
    """Show the changes, and ask for a confirmation.

    Raises:
        UsageError: standard input is not a terminal, and ``--yes`` is not set.
    """
    for sentence in changes.unchanged:
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
            f"{len(changes.steps)} changes to account {observed.account} were not made; add --yes to make them"
        )
    print(
        f"Make these {len(changes.steps)} changes to account {observed.account}? [y/N] ",
        end="",
        file=sys.stderr,
    )
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def status(invocation: Invocation) -> int | None:
    """Show the Fargate profiles of a cluster with their problems."""
    from trunkline.aws.apply import Account

    options = invocation.options
    account = Account(region_of(invocation))
    observed = account.find(options.cluster)
    profiles = [profile for profile in observed.profiles if options.name in (None, profile.profile.name)]
    if options.name and not profiles:
        from trunkline.errors import NotFound

        names = ", ".join(profile.profile.name for profile in observed.profiles) or "none"
        raise NotFound(
            f'cluster "{observed.cluster}" has no Fargate profile "{options.name}"; there are: {names}'
        )
    form = output.form_of(invocation)
    if form == "name":
        for profile in profiles:
            print(profile.profile.name)
    elif form != "table":
        output.values(
            (_plain(profile, observed, _problems(profile, observed, account)) for profile in profiles), form
        )
    else:
        output.table(
            ("NAME", "STATUS", "SELECTORS", "ROLE", ">SUBNETS"), (_row(profile) for profile in profiles)
        )
        for profile in profiles:
            for sentence in _problems(profile, observed, account):
                print(f"{profile.profile.name}: {sentence}")
    return None if all(profile.status in ("ACTIVE", "CREATING") for profile in profiles) else CONFLICT


def _row(profile: ObservedProfile) -> Sequence[str]:
    selectors = "; ".join(map(str, profile.profile.selectors))
    return (
        profile.profile.name,
        profile.status.lower(),
        selectors,
        profile.role_arn.rpartition("/")[2],
        str(len(profile.subnets)),
    )


def _line(profile: ObservedProfile) -> str:
    from trunkline.aws.diff import explain_issue

    issues = "".join(f"; {explain_issue(code, message)}" for code, message in profile.issues)
    return f'Fargate profile "{profile.profile.name}" is {profile.status}{issues}'


def _problems(profile: ObservedProfile, observed: Observed, account: Account) -> list[str]:
    """Return the problems of a profile as sentences."""
    from trunkline.aws.diff import explain_issue, judge_role

    public = [subnet.id for subnet in observed.subnets if subnet.public and subnet.id in profile.subnets]
    role = account.role(profile.role_arn.rpartition("/")[2])
    return [
        *(explain_issue(code, message) for code, message in profile.issues),
        *judge_role(role, profile, account.region, observed),
        *([f"subnets {', '.join(public)} are public; Fargate needs private subnets"] if public else []),
    ]


def _plain(profile: ObservedProfile, observed: Observed, troubles: list[str]) -> dict[str, Any]:
    from trunkline.aws.desired import api_selectors

    return {
        "name": profile.profile.name,
        "cluster": observed.cluster,
        "status": profile.status,
        "selectors": api_selectors(profile.profile),
        "pod_execution_role": profile.role_arn,
        "subnets": list(profile.subnets),
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
        examples=(("trunkline fargate apply --cluster lab", "create the profile in the AWS account"),),
    ),
    "fargate status": Command(
        status,
        (
            CLUSTER,
            REGION,
            argument("--name", metavar="NAME", help="only this profile"),
            *SHOWING,
        ),
        examples=(("trunkline fargate status --cluster lab", "show the profiles of a cluster"),),
    ),
    "fargate delete": Command(
        delete,
        (
            CLUSTER,
            REGION,
            NAME,
            argument("--keep-role", action="store_true", help="leave the role even if apply created it"),
            YES,
            argument("--no-wait", action="store_true", help="do not wait until it is deleted"),
            TIMEOUT,
        ),
        examples=(("trunkline fargate delete --cluster lab --name trunkline", "delete a profile"),),
    ),
}
