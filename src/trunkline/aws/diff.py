"""What has to be done to an account so that a Fargate profile is as wanted, or gone. Pure.

``apply`` reads what is there (``Observed``), these functions decide, people see the steps, ``apply`` carries them
out. Deciding again after that gives no steps. Rules that AWS enforces late, vaguely or only in its console are
checked here, with a sentence each; a step that would be refused is never shown.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trunkline.aws.desired import (
    OURS,
    PRINCIPAL,
    Wanted,
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """A role that exists."""

    name: str
    arn: str
    #: Its trust policy.
    trust: Mapping[str, Any]
    #: ARNs of the managed policies that are attached.
    policies: tuple[str, ...]
    tags: Mapping[str, str]

    @property
    def ours(self) -> bool:
        """Whether we made it and may mend it."""
        return self.tags.get(OURS[0]) == OURS[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundProfile:
    """A Fargate profile that exists."""

    profile: Profile
    #: CREATING, ACTIVE, DELETING, CREATE_FAILED or DELETE_FAILED.
    status: str
    role_arn: str
    subnets: tuple[str, ...]
    #: What EKS says is wrong with it: code and message.
    issues: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Subnet:
    """A subnet of the cluster's network."""

    id: str
    vpc: str
    zone: str
    free_addresses: int
    #: Its routes lead to an internet gateway.
    public: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """What is there."""

    account: str
    partition: str
    cluster: str
    cluster_status: str
    vpc: str
    #: The cluster's subnets and those that were named.
    subnets: tuple[Subnet, ...]
    #: Which of them are the cluster's.
    cluster_subnets: tuple[str, ...]
    role: Role | None
    profiles: tuple[FoundProfile, ...]

    def profile(self, name: str) -> FoundProfile | None:
        """Return the profile of that name."""
        return next((one for one in self.profiles if one.profile.name == name), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A call that changes something."""

    sentence: str
    service: str
    operation: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What to do, in order, and what is worth knowing."""

    steps: tuple[Step, ...]
    #: What is as it should be already.
    kept: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def to_apply(wanted: Wanted, found: Observed, limits: Limits | None = None) -> Changes:
    """Return what makes the profile as wanted.

    Raises:
        FailedPrecondition: what exists is in the way; the message says what and how to mend it.
        ResourceExhausted: the cluster has as many profiles as it may have.
        Aborted: another profile is being deleted; only one can be at a time.
    """
    limits = limits or Limits()
    steps: list[Step] = []
    kept: list[str] = []
    warnings = list(takes_too_much(wanted.profile))
    if found.cluster_status not in ("ACTIVE", "UPDATING"):
        raise FailedPrecondition(
            f'cluster "{wanted.cluster}" is {found.cluster_status}; a profile can be made once it is ACTIVE'
        )
    subnets = _subnets(wanted, found, warnings)
    _role(wanted, found, steps, kept, warnings)
    role_arn = wanted.role_arn or f"arn:{found.partition}:iam::{found.account}:role/{wanted.role_name}"

    existing = found.profile(wanted.profile.name)
    if existing is not None:
        kept += _existing(wanted, existing, role_arn, subnets)
    else:
        _room(found, limits)
        steps.append(
            Step(
                sentence=f'create Fargate profile "{wanted.profile.name}" of cluster "{wanted.cluster}" for '
                f"{'; '.join(map(str, wanted.profile.selectors))} in {', '.join(subnets)}",
                service="eks",
                operation="create_fargate_profile",
                parameters=profile_parameters(wanted, role_arn, subnets),
            )
        )
    warnings += _rivals(wanted, found)
    return Changes(steps=tuple(steps), kept=tuple(kept), warnings=tuple(warnings))


def _subnets(wanted: Wanted, found: Observed, warnings: list[str]) -> list[str]:
    known = {subnet.id: subnet for subnet in found.subnets}
    if wanted.subnets:
        for id in wanted.subnets:
            if known[id].vpc != found.vpc:
                raise FailedPrecondition(
                    f'subnet {id} is in {known[id].vpc}, the cluster "{wanted.cluster}" in {found.vpc}; '
                    "name subnets of the cluster's network"
                )
            if known[id].public:
                raise FailedPrecondition(
                    f"subnet {id} is public (it has a route to an internet gateway), and Fargate takes private "
                    "subnets only; name one whose way out is a NAT gateway"
                )
        chosen = list(wanted.subnets)
    else:
        chosen = [id for id in found.cluster_subnets if not known[id].public]
        if not chosen:
            raise FailedPrecondition(
                f'all subnets of cluster "{wanted.cluster}" are public ({", ".join(found.cluster_subnets)}), and '
                "Fargate takes private subnets only; make one whose way out is a NAT gateway and name it with "
                "--subnet"
            )
    free = sum(known[id].free_addresses for id in chosen)
    if free < 50:
        warnings.append(
            f"the subnets have {free} free addresses together, and every pod takes one: no more than that run at "
            "once"
        )
    return chosen


def _role(wanted: Wanted, found: Observed, steps: list[Step], kept: list[str], warnings: list[str]) -> None:
    policy = policy_arn(found.partition)
    attach = Step(
        sentence=f'attach {policy.rpartition("/")[2]} to role "{wanted.role_name}"',
        service="iam",
        operation="attach_role_policy",
        parameters={"RoleName": wanted.role_name, "PolicyArn": policy},
    )
    role = found.role
    if role is None:
        if wanted.role_arn:
            raise NotFound(
                f'role "{wanted.role_name}" ({wanted.role_arn}) does not exist; leave --role out to have one made'
            )
        trust = trust_policy(source_arn(wanted, found.account, found.partition))
        tags = [{"Key": key, "Value": value} for key, value in role_tags(wanted).items()]
        steps += [
            Step(
                sentence=f'create role "{wanted.role_name}", which {PRINCIPAL} may take for profiles of this cluster',
                service="iam",
                operation="create_role",
                parameters={
                    "RoleName": wanted.role_name,
                    "AssumeRolePolicyDocument": json.dumps(trust),
                    "Description": f"Pod execution role of Fargate profiles of {wanted.cluster}",
                    "Tags": tags,
                },
            ),
            attach,
        ]
        return
    wrong, warning = judge_trust(role.trust, wanted, found)
    if wrong:
        raise FailedPrecondition(f'role "{role.name}" {wrong}')
    if warning:
        warnings.append(f'role "{role.name}" {warning}')
    if policy in role.policies:
        kept.append(f'role "{role.name}" trusts Fargate and has its policy')
    elif role.ours:
        steps.append(attach)
    else:
        raise FailedPrecondition(
            f'role "{role.name}" lacks the policy {policy}, without which Fargate can pull no image from ECR; '
            f"attach it: aws iam attach-role-policy --role-name {role.name} --policy-arn {policy}"
        )


def judge_trust(trust: Mapping[str, Any], wanted: Wanted, found: Observed) -> tuple[str, str]:
    """Return what is wrong with a trust policy, and what is only careless; empty when nothing is."""
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
            f"trusts {trusted} and not {PRINCIPAL}, so that Fargate cannot take it (the role of a node group will "
            "not do); name another role, or leave --role out to have one made"
        ), ""
    if any(not arns for arns in conditions):
        return "", (
            "may be taken on behalf of any cluster of any account: add the condition ArnLike aws:SourceArn "
            f"{source_arn(wanted, found.account, found.partition)}"
        )
    # The id at the end of a real ARN is anything.
    real = source_arn(wanted, found.account, found.partition)[:-1] + f"{wanted.profile.name}/id"
    if not any(matches_glob(arn, real) for arns in conditions for arn in arns):
        allowed = ", ".join(arn for arns in conditions for arn in arns)
        return (
            f"may be taken for {allowed} only, which leaves out profile {wanted.profile.name} of cluster "
            f"{wanted.cluster}; widen its condition aws:SourceArn to "
            f"{source_arn(wanted, found.account, found.partition)}"
        ), ""
    return "", ""


def judge_role(role: Role | None, profile: FoundProfile, region: str, found: Observed) -> list[str]:
    """Return what is wrong with the role of a profile that exists."""
    name = profile.role_arn.rpartition("/")[2]
    if role is None:
        return [
            f'its role "{name}" does not exist any more, so that no pod starts; delete and apply the profile'
        ]
    wanted = Wanted(cluster=found.cluster, region=region, profile=profile.profile, role_arn=role.arn)
    wrong = [f'its role "{name}" {one}' for one in judge_trust(role.trust, wanted, found) if one]
    policy = policy_arn(found.partition)
    if policy not in role.policies:
        wrong.append(f'its role "{name}" lacks the policy {policy}, so that no image can be pulled from ECR')
    return wrong


def _several(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]


def _existing(wanted: Wanted, existing: FoundProfile, role_arn: str, subnets: Sequence[str]) -> list[str]:
    name = f'Fargate profile "{wanted.profile.name}"'
    if existing.status == "DELETING":
        raise Aborted(f"{name} is being deleted; wait until it is gone (minutes) and apply again")
    if existing.status.endswith("_FAILED"):
        raise FailedPrecondition(f"{name} is {existing.status}{_issues(existing)}; delete it and apply again")
    differs = []
    if set(existing.profile.selectors) != set(wanted.profile.selectors):
        there = "; ".join(map(str, existing.profile.selectors))
        differs.append(f"selectors ({there} instead of {'; '.join(map(str, wanted.profile.selectors))})")
    if existing.role_arn != role_arn:
        differs.append(f"role ({existing.role_arn} instead of {role_arn})")
    # Which subnets the cluster has may change; only those that were named are an instruction.
    if wanted.subnets and set(existing.subnets) != set(subnets):
        differs.append(f"subnets ({', '.join(existing.subnets)} instead of {', '.join(subnets)})")
    if differs:
        raise FailedPrecondition(
            f"{name} exists with other {' and other '.join(differs)}, and profiles cannot be changed; choose another "
            f"--name, or delete it first: its pods stop then"
        )
    return [f"{name} exists as wanted and is {existing.status}"]


def _room(found: Observed, limits: Limits) -> None:
    for other in found.profiles:
        if other.status == "DELETING":
            raise Aborted(
                f'profile "{other.profile.name}" of cluster "{found.cluster}" is being deleted, and until it is gone '
                "EKS makes and deletes no other; try again in some minutes"
            )
    if len(found.profiles) >= limits.profiles:
        raise ResourceExhausted(
            f'cluster "{found.cluster}" has {len(found.profiles)} Fargate profiles, the quota is {limits.profiles}; '
            "delete one, add a selector to another, or have the quota raised"
        )


def _rivals(wanted: Wanted, found: Observed) -> Iterable[str]:
    """Warn of profiles that would take the same pods."""
    for other in found.profiles:
        if other.profile.name == wanted.profile.name or other.status.endswith("_FAILED"):
            continue
        for mine in wanted.profile.selectors:
            if any(_overlap(theirs, mine) for theirs in other.profile.selectors):
                first = min(other.profile.name, wanted.profile.name)
                yield (
                    f'profile "{other.profile.name}" takes pods of {mine} too; "{first}" wins, because its name '
                    "sorts first"
                )
                break


def _overlap(theirs: Any, mine: Any) -> bool:
    """Tell whether a pod made for ``mine`` is taken by ``theirs`` too."""
    return matches_glob(theirs.namespace, mine.namespace) and all(
        any(matches_glob(key, k) and matches_glob(value, v) for k, v in mine.labels)
        for key, value in theirs.labels
    )


def _issues(profile: FoundProfile) -> str:
    return "".join(f": {explain_issue(code, message)}" for code, message in profile.issues)


def explain_issue(code: str, message: str) -> str:
    """Return what EKS says is wrong with a profile, and what to do about it."""
    advice = {
        "PodExecutionRoleAlreadyInUse": "the role belongs to a node group too; give the profile one of its own",
        "AccessDenied": "the role cannot be used; check its trust policy and its policies",
        "ClusterUnreachable": "EKS does not reach the cluster's API server; look at the cluster's health",
        "InternalFailure": "EKS failed by itself; try again later",
    }.get(code, "")
    return " ".join(
        part for part in (f"{code}: {message}" if message else code, f"({advice})" * bool(advice)) if part
    )


def to_delete(name: str, role_name: str, found: Observed, *, keep_role: bool = False) -> Changes:
    """Return what removes a profile, and its role when we made it and nobody else uses it.

    Raises:
        NotFound: there is no such profile.
        Aborted: another profile is being deleted.
    """
    existing = found.profile(name)
    role = found.role
    users = [
        one.profile.name
        for one in found.profiles
        if role is not None and one.role_arn == role.arn and one.profile.name != name
    ]
    if existing is None and (role is None or not role.ours or users or keep_role):
        known = ", ".join(one.profile.name for one in found.profiles) or "none"
        raise NotFound(f'cluster "{found.cluster}" has no Fargate profile "{name}"; there is: {known}')
    for other in found.profiles:
        if other.status == "DELETING" and other.profile.name != name:
            raise Aborted(
                f'profile "{other.profile.name}" is being deleted, and until it is gone EKS deletes no other; '
                "try again in some minutes"
            )
    steps, kept = [], []
    if existing is not None and existing.status == "DELETING":
        kept.append(f'Fargate profile "{name}" is being deleted')
    elif existing is not None:
        steps.append(
            Step(
                sentence=f'delete Fargate profile "{name}" of cluster "{found.cluster}": its pods stop',
                service="eks",
                operation="delete_fargate_profile",
                parameters={"clusterName": found.cluster, "fargateProfileName": name},
            )
        )
    if role is not None and not keep_role:
        if not role.ours:
            kept.append(f'role "{role.name}" is not ours')
        elif users:
            kept.append(f'role "{role.name}" is used by {", ".join(users)}')
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
    return Changes(steps=tuple(steps), kept=tuple(kept))
