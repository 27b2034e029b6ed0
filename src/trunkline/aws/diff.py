"""The steps that create or delete a Fargate profile in an account. Pure.

``apply`` reads the state of the account (``Observed``), these functions return the steps, the command shows them,
and ``apply`` carries them out. A second run after that returns no steps. Rules that AWS checks late, reports
vaguely or enforces only in its console are checked here, each with its own message; a step that AWS would refuse
is never shown.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from trunkline.aws.desired import (
    OURS,
    PRINCIPAL,
    DesiredProfile,
    policy_arn,
    profile_parameters,
    role_tags,
    source_arn,
    trust_policy,
)
from trunkline.errors import Aborted, FailedPrecondition, NotFound, ResourceExhausted
from trunkline.scaling.profiles import Limits, Profile, matches_glob, takes_too_much

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


class Role(Struct, frozen=True, kw_only=True):
    """A role that exists."""

    name: str
    arn: str
    #: Its trust policy.
    trust: Mapping[str, Any]
    #: ARNs of the managed policies that are attached.
    policies: tuple[str, ...]
    tags: Mapping[str, str]

    @property
    def is_managed(self) -> bool:
        """Whether Trunkline created it and may change it."""
        return self.tags.get(OURS[0]) == OURS[1]


class ObservedProfile(Struct, frozen=True, kw_only=True):
    """A Fargate profile that exists."""

    profile: Profile
    #: CREATING, ACTIVE, DELETING, CREATE_FAILED or DELETE_FAILED.
    status: str
    role_arn: str
    subnets: tuple[str, ...]
    #: Health issues that EKS reports: code and message.
    issues: tuple[tuple[str, str], ...] = ()


class Subnet(Struct, frozen=True, kw_only=True):
    """A subnet of the cluster's network."""

    id: str
    vpc: str
    zone: str
    free_addresses: int
    #: Whether it has a route to an internet gateway.
    public: bool


class Observed(Struct, frozen=True, kw_only=True):
    """The state of an account, as far as it matters for a cluster's profiles."""

    account: str
    partition: str
    cluster: str
    cluster_status: str
    vpc: str
    #: The cluster's subnets and those that the user named.
    subnets: tuple[Subnet, ...]
    #: Which of them are the cluster's.
    cluster_subnets: tuple[str, ...]
    role: Role | None
    profiles: tuple[ObservedProfile, ...]

    def profile(self, name: str) -> ObservedProfile | None:
        """Return the profile of that name."""
        return next((profile for profile in self.profiles if profile.profile.name == name), None)


class Step(Struct, frozen=True, kw_only=True):
    """A call that changes something."""

    sentence: str
    service: str
    operation: str
    parameters: Mapping[str, Any]


class Changes(Struct, frozen=True, kw_only=True):
    """The steps in order, and notes for the user."""

    steps: tuple[Step, ...]
    #: Parts that need no change.
    unchanged: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def to_apply(desired: DesiredProfile, observed: Observed, limits: Limits | None = None) -> Changes:
    """Return the steps that create the desired profile.

    Args:
        desired: the profile as it should be.
        observed: the state of the account.
        limits: the account's quotas; those of a new account when None.

    Raises:
        FailedPrecondition: something that exists prevents it; the message says what, and how to fix it.
        ResourceExhausted: the cluster has reached the quota of profiles.
        Aborted: another profile is being deleted; EKS does one at a time.
    """
    limits = limits or Limits()
    steps: list[Step] = []
    unchanged: list[str] = []
    warnings = list(takes_too_much(desired.profile))
    if observed.cluster_status not in ("ACTIVE", "UPDATING"):
        raise FailedPrecondition(
            f'cluster "{desired.cluster}" is {observed.cluster_status}; a profile can be created once it is ACTIVE'
        )
    subnets = _subnets(desired, observed, warnings)
    _role(desired, observed, steps, unchanged, warnings)
    role_arn = (
        desired.role_arn or f"arn:{observed.partition}:iam::{observed.account}:role/{desired.role_name}"
    )

    existing = observed.profile(desired.profile.name)
    if existing is not None:
        unchanged += _existing(desired, existing, role_arn, subnets)
    else:
        _room(observed, limits)
        steps.append(
            Step(
                sentence=f'create Fargate profile "{desired.profile.name}" of cluster "{desired.cluster}" for '
                f"{'; '.join(map(str, desired.profile.selectors))} in {', '.join(subnets)}",
                service="eks",
                operation="create_fargate_profile",
                parameters=profile_parameters(desired, role_arn, subnets),
            )
        )
    warnings += _rivals(desired, observed)
    return Changes(steps=tuple(steps), unchanged=tuple(unchanged), warnings=tuple(warnings))


def _subnets(desired: DesiredProfile, observed: Observed, warnings: list[str]) -> list[str]:
    by_id = {subnet.id: subnet for subnet in observed.subnets}
    if desired.subnets:
        for id in desired.subnets:
            if by_id[id].vpc != observed.vpc:
                raise FailedPrecondition(
                    f'subnet {id} is in {by_id[id].vpc}, the cluster "{desired.cluster}" in {observed.vpc}; '
                    "name subnets of the cluster's network"
                )
            if by_id[id].public:
                raise FailedPrecondition(
                    f"subnet {id} is public (it has a route to an internet gateway), and Fargate needs private "
                    "subnets; name one that reaches the internet through a NAT gateway"
                )
        chosen = list(desired.subnets)
    else:
        chosen = [id for id in observed.cluster_subnets if not by_id[id].public]
        if not chosen:
            raise FailedPrecondition(
                f'all subnets of cluster "{desired.cluster}" are public ({", ".join(observed.cluster_subnets)}), and '
                "Fargate needs private subnets; create one that reaches the internet through a NAT gateway and name it "
                "with --subnet"
            )
    free = sum(by_id[id].free_addresses for id in chosen)
    if free < 50:
        warnings.append(
            f"the subnets have {free} free addresses together, and every pod needs one: no more pods than that "
            "run at a time"
        )
    return chosen


def _role(
    desired: DesiredProfile, observed: Observed, steps: list[Step], unchanged: list[str], warnings: list[str]
) -> None:
    policy = policy_arn(observed.partition)
    attach = Step(
        sentence=f'attach {policy.rpartition("/")[2]} to role "{desired.role_name}"',
        service="iam",
        operation="attach_role_policy",
        parameters={"RoleName": desired.role_name, "PolicyArn": policy},
    )
    role = observed.role
    if role is None:
        if desired.role_arn:
            raise NotFound(
                f'role "{desired.role_name}" ({desired.role_arn}) does not exist; omit --role to create one'
            )
        trust = trust_policy(source_arn(desired, observed.account, observed.partition))
        tags = [{"Key": key, "Value": value} for key, value in role_tags(desired).items()]
        steps += [
            Step(
                sentence=f'create role "{desired.role_name}", which {PRINCIPAL} may assume for profiles of this '
                "cluster",
                service="iam",
                operation="create_role",
                parameters={
                    "RoleName": desired.role_name,
                    "AssumeRolePolicyDocument": json.dumps(trust),
                    "Description": f"Pod execution role of Fargate profiles of {desired.cluster}",
                    "Tags": tags,
                },
            ),
            attach,
        ]
        return
    wrong, warning = judge_trust(role.trust, desired, observed)
    if wrong:
        raise FailedPrecondition(f'role "{role.name}" {wrong}')
    if warning:
        warnings.append(f'role "{role.name}" {warning}')
    if policy in role.policies:
        unchanged.append(f'role "{role.name}" trusts Fargate and has its policy')
    elif role.is_managed:
        steps.append(attach)
    else:
        raise FailedPrecondition(
            f'role "{role.name}" lacks the policy {policy}, without which Fargate cannot pull images from ECR; '
            f"attach it: aws iam attach-role-policy --role-name {role.name} --policy-arn {policy}"
        )


def judge_trust(trust: Mapping[str, Any], desired: DesiredProfile, observed: Observed) -> tuple[str, str]:
    """Check a trust policy.

    Args:
        trust: the policy document.
        desired: the profile that uses the role.
        observed: the state of the account.

    Returns:
        Why Fargate cannot assume the role, and what makes the policy unsafe; each empty when there is nothing.
    """
    services: list[str] = []
    conditions: list[list[str]] = []
    for statement in _several(trust.get("Statement")):
        principal = statement.get("Principal")
        named = _several(principal.get("Service")) if isinstance(principal, dict) else []
        allows = statement.get("Effect") == "Allow" and any(
            matches_glob(action, "sts:AssumeRole") for action in _several(statement.get("Action"))
        )
        if not allows:
            continue
        services += named
        if PRINCIPAL in named:
            conditions.append(
                [
                    arn
                    for operator, tests in statement.get("Condition", {}).items()
                    if operator.removesuffix("IfExists")
                    in ("ArnLike", "ArnEquals", "StringLike", "StringEquals")
                    for key, values in tests.items()
                    if key.lower() == "aws:sourcearn"
                    for arn in _several(values)
                ]
            )
    if PRINCIPAL not in services:
        trusted = ", ".join(services) or "no service"
        return (
            f"trusts {trusted} and not {PRINCIPAL}, so Fargate cannot assume it (the role of a node group does "
            "not work); name another role, or omit --role to create one"
        ), ""
    if any(not arns for arns in conditions):
        return "", (
            "may be assumed for any cluster of any account: add the condition ArnLike aws:SourceArn "
            f"{source_arn(desired, observed.account, observed.partition)}"
        )
    # The ARN of a profile ends with an arbitrary id.
    real = source_arn(desired, observed.account, observed.partition)[:-1] + f"{desired.profile.name}/id"
    if not any(matches_glob(arn, real) for arns in conditions for arn in arns):
        allowed = ", ".join(arn for arns in conditions for arn in arns)
        return (
            f"may be assumed for {allowed} only, which excludes profile {desired.profile.name} of cluster "
            f"{desired.cluster}; widen its condition aws:SourceArn to "
            f"{source_arn(desired, observed.account, observed.partition)}"
        ), ""
    return "", ""


def judge_role(role: Role | None, profile: ObservedProfile, region: str, observed: Observed) -> list[str]:
    """Return what is wrong with the role of an existing profile.

    Args:
        role: its role; None when it does not exist.
        profile: the existing profile and the ARN of its role.
        region: AWS region.
        observed: the state of the account.
    """
    name = profile.role_arn.rpartition("/")[2]
    if role is None:
        return [
            f'its role "{name}" does not exist any more, so no pod starts; delete the profile and apply it again'
        ]
    desired = DesiredProfile(
        cluster=observed.cluster, region=region, profile=profile.profile, role_arn=role.arn
    )
    wrong = [
        f'its role "{name}" {problem}' for problem in judge_trust(role.trust, desired, observed) if problem
    ]
    policy = policy_arn(observed.partition)
    if policy not in role.policies:
        wrong.append(f'its role "{name}" lacks the policy {policy}, so images cannot be pulled from ECR')
    return wrong


def _several(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]


def _existing(
    desired: DesiredProfile, existing: ObservedProfile, role_arn: str, subnets: Sequence[str]
) -> list[str]:
    name = f'Fargate profile "{desired.profile.name}"'
    if existing.status == "DELETING":
        raise Aborted(f"{name} is being deleted; wait until it is deleted (minutes) and apply again")
    if existing.status.endswith("_FAILED"):
        raise FailedPrecondition(f"{name} is {existing.status}{_issues(existing)}; delete it and apply again")
    differs = []
    if set(existing.profile.selectors) != set(desired.profile.selectors):
        existing_selectors = "; ".join(map(str, existing.profile.selectors))
        differs.append(
            f"selectors ({existing_selectors} instead of {'; '.join(map(str, desired.profile.selectors))})"
        )
    if existing.role_arn != role_arn:
        differs.append(f"role ({existing.role_arn} instead of {role_arn})")
    # The cluster's subnets may change; only subnets that the user named are compared.
    if desired.subnets and set(existing.subnets) != set(subnets):
        differs.append(f"subnets ({', '.join(existing.subnets)} instead of {', '.join(subnets)})")
    if differs:
        raise FailedPrecondition(
            f"{name} exists with other {' and other '.join(differs)}, and profiles cannot be changed; choose another "
            f"--name, or delete it first: its pods stop then"
        )
    return [f"{name} exists as requested and is {existing.status}"]


def _room(observed: Observed, limits: Limits) -> None:
    for other in observed.profiles:
        if other.status == "DELETING":
            raise Aborted(
                f'profile "{other.profile.name}" of cluster "{observed.cluster}" is being deleted, and EKS '
                "creates and deletes one at a time; try again in a few minutes"
            )
    if len(observed.profiles) >= limits.profiles:
        raise ResourceExhausted(
            f'cluster "{observed.cluster}" has {len(observed.profiles)} Fargate profiles, the quota is '
            f"{limits.profiles}; delete one, add a selector to another, or request a higher quota"
        )


def _rivals(desired: DesiredProfile, observed: Observed) -> Iterable[str]:
    """Yield a warning for each profile that selects the same pods."""
    for other in observed.profiles:
        if other.profile.name == desired.profile.name or other.status.endswith("_FAILED"):
            continue
        for own in desired.profile.selectors:
            if any(_overlap(theirs, own) for theirs in other.profile.selectors):
                first = min(other.profile.name, desired.profile.name)
                yield (
                    f'profile "{other.profile.name}" also selects pods of {own}; "{first}" gets them, because '
                    "its name sorts first"
                )
                break


def _overlap(theirs: Any, mine: Any) -> bool:
    """Return whether ``theirs`` also selects a pod that ``mine`` selects."""
    return matches_glob(theirs.namespace, mine.namespace) and all(
        any(matches_glob(key, k) and matches_glob(value, v) for k, v in mine.labels)
        for key, value in theirs.labels
    )


def _issues(profile: ObservedProfile) -> str:
    return "".join(f": {explain_issue(code, message)}" for code, message in profile.issues)


def explain_issue(code: str, message: str) -> str:
    """Return a health issue that EKS reports of a profile, and what to do about it."""
    advice = {
        "PodExecutionRoleAlreadyInUse": "the role belongs to a node group too; give the profile one of its own",
        "AccessDenied": "the role cannot be used; check its trust policy and its policies",
        "ClusterUnreachable": "EKS does not reach the cluster's API server; check the cluster's health",
        "InternalFailure": "an error inside EKS; try again later",
    }.get(code, "")
    return " ".join(
        part for part in (f"{code}: {message}" if message else code, f"({advice})" * bool(advice)) if part
    )


def to_delete(name: str, role_name: str, observed: Observed, *, keep_role: bool = False) -> Changes:
    """Return the steps that delete a profile, and its role when Trunkline created it and no other profile uses it.

    Args:
        name: name of the profile.
        role_name: name of its role.
        observed: the state of the account.
        keep_role: whether to leave the role.

    Raises:
        NotFound: the profile does not exist.
        Aborted: another profile is being deleted.
    """
    existing = observed.profile(name)
    role = observed.role
    users = [
        profile.profile.name
        for profile in observed.profiles
        if role is not None and profile.role_arn == role.arn and profile.profile.name != name
    ]
    if existing is None and (role is None or not role.is_managed or users or keep_role):
        names = ", ".join(profile.profile.name for profile in observed.profiles) or "none"
        raise NotFound(f'cluster "{observed.cluster}" has no Fargate profile "{name}"; there are: {names}')
    for other in observed.profiles:
        if other.status == "DELETING" and other.profile.name != name:
            raise Aborted(
                f'profile "{other.profile.name}" is being deleted, and EKS deletes one at a time; '
                "try again in a few minutes"
            )
    steps, unchanged = [], []
    if existing is not None and existing.status == "DELETING":
        unchanged.append(f'Fargate profile "{name}" is being deleted')
    elif existing is not None:
        steps.append(
            Step(
                sentence=f'delete Fargate profile "{name}" of cluster "{observed.cluster}": its pods stop',
                service="eks",
                operation="delete_fargate_profile",
                parameters={"clusterName": observed.cluster, "fargateProfileName": name},
            )
        )
    if role is not None and not keep_role:
        if not role.is_managed:
            unchanged.append(f'role "{role.name}" was not created by Trunkline')
        elif users:
            unchanged.append(f'role "{role.name}" is used by {", ".join(users)}')
        else:
            steps += [
                *(
                    Step(
                        sentence=f'detach {policy.rpartition("/")[2]} from role "{role_name}"',
                        service="iam",
                        operation="detach_role_policy",
                        parameters={"RoleName": role_name, "PolicyArn": policy},
                    )
                    for policy in role.policies
                ),
                Step(
                    sentence=f'delete role "{role_name}"',
                    service="iam",
                    operation="delete_role",
                    parameters={"RoleName": role_name},
                ),
            ]
    return Changes(steps=tuple(steps), unchanged=tuple(unchanged))
