"""Rules of AWS that moto does not enforce, tested with hand-written states of an account."""

from __future__ import annotations

import json

import pytest
from msgspec.structs import replace

from trunkline.aws.desired import OURS, desired_profile, policy_arn, source_arn, trust_policy
from trunkline.aws.diff import (
    Changes,
    Observed,
    ObservedProfile,
    Role,
    Subnet,
    explain_issue,
    judge_role,
    to_apply,
    to_delete,
)
from trunkline.errors import Aborted, FailedPrecondition, NotFound, ResourceExhausted
from trunkline.scaling.profiles import Limits, Profile, Selector

ACCOUNT = "123456789012"
DESIRED = desired_profile(
    cluster="demo",
    region="us-east-1",
    name="trunkline",
    selectors=[Selector(namespace="default", labels=(("node", "fargate"),))],
)
ROLE = Role(
    name="trunkline-fargate-demo",
    arn=f"arn:aws:iam::{ACCOUNT}:role/trunkline-fargate-demo",
    trust=trust_policy(source_arn(DESIRED, ACCOUNT)),
    policies=(policy_arn("aws"),),
    tags={OURS[0]: OURS[1]},
)
SUBNET = Subnet(id="subnet-0000000a", vpc="vpc-1", zone="us-east-1a", free_addresses=250, public=False)
FOUND = Observed(
    account=ACCOUNT,
    partition="aws",
    cluster="demo",
    cluster_status="ACTIVE",
    vpc="vpc-1",
    subnets=(SUBNET,),
    cluster_subnets=(SUBNET.id,),
    role=ROLE,
    profiles=(),
)


def existing_profile(name="other", status="ACTIVE", **changes) -> ObservedProfile:
    selectors = changes.pop("selectors", (Selector(namespace="elsewhere"),))
    settings = {"role_arn": ROLE.arn, "subnets": (SUBNET.id,), **changes}
    return ObservedProfile(profile=Profile(name=name, selectors=selectors), status=status, **settings)


def after(observed: Observed, changes: Changes) -> Observed:
    """Return the state of the account after the steps."""
    for step in changes.steps:
        parameters = step.parameters
        if step.operation == "create_role":
            tags = {tag["Key"]: tag["Value"] for tag in parameters["Tags"]}
            trust = json.loads(parameters["AssumeRolePolicyDocument"])
            observed = replace(observed, role=replace(ROLE, policies=(), trust=trust, tags=tags))
        elif step.operation == "attach_role_policy":
            assert observed.role is not None
            observed = replace(observed, role=replace(observed.role, policies=(parameters["PolicyArn"],)))
        elif step.operation == "create_fargate_profile":
            profile = existing_profile(DESIRED.profile.name, selectors=DESIRED.profile.selectors)
            observed = replace(observed, profiles=(*observed.profiles, profile))
    return observed


@pytest.mark.parametrize("role", [None, ROLE, replace(ROLE, policies=())], ids=["none", "whole", "bare"])
def test_deciding_again_after_the_steps_gives_no_steps(role):
    observed = replace(FOUND, role=role)

    changes = to_apply(DESIRED, observed)

    assert changes.steps
    assert to_apply(DESIRED, after(observed, changes)).steps == ()


def test_more_profiles_than_the_quota_are_refused():
    full = replace(FOUND, profiles=tuple(existing_profile(f"p{n}") for n in range(10)))

    with pytest.raises(ResourceExhausted, match="has 10 Fargate profiles, the quota is 10"):
        to_apply(DESIRED, full)
    assert to_apply(DESIRED, full, Limits(profiles=11)).steps


def test_while_one_profile_is_being_deleted_no_other_is_made_or_deleted():
    observed = replace(FOUND, profiles=(existing_profile(status="DELETING"), existing_profile("mine")))

    with pytest.raises(Aborted, match='profile "other" of cluster "demo" is being deleted'):
        to_apply(DESIRED, observed)
    with pytest.raises(Aborted, match='profile "other" is being deleted'):
        to_delete("mine", ROLE.name, observed)


def test_the_same_profile_being_deleted_is_waited_for():
    observed = replace(
        FOUND, profiles=(existing_profile("trunkline", "DELETING", selectors=DESIRED.profile.selectors),)
    )

    with pytest.raises(Aborted, match="wait until it is deleted"):
        to_apply(DESIRED, observed)
    assert [step.service for step in to_delete("trunkline", ROLE.name, observed).steps] == ["iam", "iam"]


def test_a_profile_that_failed_says_what_eks_says_and_what_to_do():
    issues = (("PodExecutionRoleAlreadyInUse", "role x is used by a node group"),)
    observed = replace(FOUND, profiles=(existing_profile("trunkline", "CREATE_FAILED", issues=issues),))

    with pytest.raises(FailedPrecondition) as refusal:
        to_apply(DESIRED, observed)

    assert (
        "is CREATE_FAILED: PodExecutionRoleAlreadyInUse: role x is used by a node group"
        in refusal.value.message
    )
    assert "give the profile one of its own" in refusal.value.message


def test_an_unknown_issue_is_reported_as_it_is():
    assert explain_issue("Strange", "odd") == "Strange: odd"


def test_a_profile_that_is_being_created_needs_no_step():
    observed = replace(
        FOUND, profiles=(existing_profile("trunkline", "CREATING", selectors=DESIRED.profile.selectors),)
    )

    changes = to_apply(DESIRED, observed)

    assert changes.steps == ()
    assert "exists as requested and is CREATING" in changes.unchanged[-1]


def test_a_cluster_that_is_not_ready_is_reported():
    with pytest.raises(FailedPrecondition, match='cluster "demo" is CREATING'):
        to_apply(DESIRED, replace(FOUND, cluster_status="CREATING"))


def test_few_free_addresses_are_warned_of():
    few = replace(FOUND, subnets=(replace(SUBNET, free_addresses=7),))

    assert "have 7 free addresses together" in to_apply(DESIRED, few).warnings[0]


def test_a_role_named_by_the_user_must_exist():
    named = replace(DESIRED, role_arn=f"arn:aws:iam::{ACCOUNT}:role/mine")

    with pytest.raises(NotFound, match=r'role "mine" .* does not exist'):
        to_apply(named, replace(FOUND, role=None))


@pytest.mark.parametrize(
    ("arn", "allowed"),
    [
        ("arn:aws:eks:us-east-1:123456789012:fargateprofile/demo/*", True),
        ("arn:aws:eks:*:123456789012:fargateprofile/*", True),
        ("arn:aws:eks:us-east-1:123456789012:fargateprofile/demo/trunkline/*", True),
        ("arn:aws:eks:us-east-1:123456789012:fargateprofile/demo/trunkline", False),
        ("arn:aws:eks:us-east-1:123456789012:fargateprofile/prod/*", False),
        ("arn:aws:eks:eu-west-1:123456789012:fargateprofile/demo/*", False),
        ("arn:aws:eks:us-east-1:210987654321:fargateprofile/demo/*", False),
    ],
)
def test_the_condition_of_a_role_must_allow_this_profile(arn, allowed):
    observed = replace(FOUND, role=replace(ROLE, trust=trust_policy(arn)))

    if allowed:
        assert to_apply(DESIRED, observed).steps
    else:
        with pytest.raises(FailedPrecondition, match="widen its condition aws:SourceArn"):
            to_apply(DESIRED, observed)


def test_a_trust_policy_may_be_written_in_every_way_that_iam_allows():
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": ["ec2.amazonaws.com", "eks-fargate-pods.amazonaws.com"]},
        "Action": ["sts:TagSession", "sts:*"],
        "Condition": {"StringLike": {"AWS:SourceArn": [source_arn(DESIRED, ACCOUNT)]}},
    }
    observed = replace(FOUND, role=replace(ROLE, trust={"Statement": statement}))

    assert [step.operation for step in to_apply(DESIRED, observed).steps] == ["create_fargate_profile"]


@pytest.mark.parametrize("effect", ["Deny"])
def test_a_statement_that_denies_gives_no_trust(effect):
    trust = json.loads(json.dumps(ROLE.trust).replace("Allow", effect))

    with pytest.raises(FailedPrecondition, match="trusts no service"):
        to_apply(DESIRED, replace(FOUND, role=replace(ROLE, trust=trust)))


def test_a_deleted_role_of_an_existing_profile_is_reported():
    (trouble,) = judge_role(None, existing_profile(), "us-east-1", FOUND)

    assert "does not exist any more" in trouble


def test_a_profile_without_labels_is_created_with_a_warning():
    wide = desired_profile(
        cluster="demo", region="us-east-1", name="a", selectors=[Selector(namespace="default")]
    )

    changes = to_apply(wide, FOUND)

    assert 'takes every pod of namespace "default"' in changes.warnings[0]
    assert changes.steps
