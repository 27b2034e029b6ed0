"""The Fargate profile and its role as one value, from which files are rendered and calls are made. Pure.

Whatever is said twice (the trust policy, the managed policy, the parameters of a call) is said here once, so
that the four kinds of files and ``apply`` cannot disagree.

Trust: ``eks-fargate-pods.amazonaws.com`` may take the role, and only for a profile of this very cluster
(``aws:SourceArn``); without that condition another account's cluster could have EKS use it (the "confused
deputy"). Source: "Amazon EKS Pod execution IAM role", EKS user guide.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from trunkline.errors import InvalidArgument
from trunkline.scaling.profiles import Limits, Profile, Selector, mistakes

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

PRINCIPAL = "eks-fargate-pods.amazonaws.com"
POLICY = "AmazonEKSFargatePodExecutionRolePolicy"
#: Marks roles that we made: those we may mend and delete.
OURS = ("trunkline", "fargate")
_ROLE_NAME = 64  # characters, at most
_CLUSTER = re.compile(r"[0-9A-Za-z][0-9A-Za-z_-]{0,99}", re.ASCII)
_REGION = re.compile(r"[a-z]{2}(?:-[a-z]+)+-[0-9]", re.ASCII)
_SUBNET = re.compile(r"subnet-[0-9a-f]{8,17}", re.ASCII)
_ROLE_ARN = re.compile(r"arn:aws[a-z-]*:iam::[0-9]{12}:role/(?:[\w+=,.@/-]+/)?([\w+=,.@-]{1,64})", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A Fargate profile, as it shall be."""

    cluster: str
    region: str
    profile: Profile
    #: ARN of a role that exists; empty when one is to be made, under ``role_name``.
    role_arn: str = ""
    #: Private subnets; empty for all private ones of the cluster, which only who asks AWS can tell.
    subnets: tuple[str, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def role_name(self) -> str:
        """Name of the pod execution role."""
        given = _ROLE_ARN.fullmatch(self.role_arn)
        if given is not None:
            return given[1]
        return f"trunkline-fargate-{self.cluster}"[:_ROLE_NAME]

    @property
    def partition(self) -> str:
        """The part of AWS that the region is in, as ARNs name it."""
        return "aws-cn" if self.region.startswith("cn-") else "aws"


def wanted(
    *,
    cluster: str,
    region: str,
    name: str,
    selectors: Iterable[Selector],
    role_arn: str = "",
    subnets: Iterable[str] = (),
    tags: Mapping[str, str] | None = None,
    limits: Limits | None = None,
) -> Wanted:
    """Return a checked ``Wanted``.

    Raises:
        InvalidArgument: something is no name or breaks a rule of EKS.
    """
    if not _CLUSTER.fullmatch(cluster):
        raise InvalidArgument(
            f'"{cluster}" is no name of an EKS cluster; letters, digits, - and _ make one, 100 at most'
        )
    check_region(region)
    if role_arn and not _ROLE_ARN.fullmatch(role_arn):
        raise InvalidArgument(
            f'"{role_arn}" is no ARN of a role; write for example arn:aws:iam::123456789012:role/NAME'
        )
    subnets = tuple(dict.fromkeys(subnets))
    for subnet in subnets:
        if not _SUBNET.fullmatch(subnet):
            raise InvalidArgument(
                f'"{subnet}" is no id of a subnet; write for example subnet-0123456789abcdef0'
            )
    profile = Profile(name=name, selectors=tuple(dict.fromkeys(selectors)))
    wrong = mistakes(profile, limits)
    if wrong:
        raise InvalidArgument("; and ".join(wrong))
    return Wanted(
        cluster=cluster,
        region=region,
        profile=profile,
        role_arn=role_arn,
        subnets=subnets,
        tags=dict(tags or {}),
    )


def check_region(region: str) -> None:
    """Check that a region can be one, and has Fargate.

    Raises:
        InvalidArgument: it is no region's name, or one without Fargate on EKS.
    """
    if not _REGION.fullmatch(region):
        raise InvalidArgument(f'"{region}" is not an AWS region; write for example us-east-1')
    if "-gov-" in region:
        raise InvalidArgument(f"EKS on Fargate is not offered in {region} (GovCloud); use a node group there")


# What is said in several forms ------------------------------------------------------------------------------


def policy_arn(partition: str) -> str:
    """Return the ARN of the managed policy by which Fargate pulls images."""
    return f"arn:{partition}:iam::aws:policy/{POLICY}"


def source_arn(wanted: Wanted, account: str, partition: str = "") -> str:
    """Return the pattern of ARNs on whose behalf the role may be taken: profiles of this cluster.

    A profile's real ARN ends with an id after its name, so that it cannot be said exactly beforehand.
    """
    partition = partition or wanted.partition
    return f"arn:{partition}:eks:{wanted.region}:{account}:fargateprofile/{wanted.cluster}/*"


def trust_policy(source: Any) -> dict[str, Any]:
    """Return who may take the role. ``source`` is ``source_arn``, or what a template puts in its place."""
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": PRINCIPAL},
                "Action": "sts:AssumeRole",
                "Condition": {"ArnLike": {"aws:SourceArn": source}},
            }
        ],
    }


def role_tags(wanted: Wanted) -> dict[str, str]:
    """Return the tags of a role that we make."""
    return {**wanted.tags, OURS[0]: OURS[1]}


def api_selectors(profile: Profile) -> list[dict[str, Any]]:
    """Return selectors as the EKS API and eksctl write them: labels are a map."""
    return [
        {"namespace": one.namespace, **({"labels": dict(one.labels)} if one.labels else {})}
        for one in profile.selectors
    ]


def profile_parameters(wanted: Wanted, role_arn: str, subnets: Iterable[str]) -> dict[str, Any]:
    """Return the parameters of CreateFargateProfile."""
    return {
        "clusterName": wanted.cluster,
        "fargateProfileName": wanted.profile.name,
        "podExecutionRoleArn": role_arn,
        "selectors": api_selectors(wanted.profile),
        "subnets": list(subnets),
        **({"tags": dict(wanted.tags)} if wanted.tags else {}),
    }


# Selectors from elsewhere -----------------------------------------------------------------------------------


def selectors_for(
    namespace: str, labels: Iterable[Mapping[str, str]], *, limits: Limits | None = None
) -> list[Selector]:
    """Return selectors that take the workers of pipelines and no other pods.

    Args:
        namespace: where the workers run.
        labels: of each pipeline, its ``metadata.labels``.
        limits: the account's quotas.

    Raises:
        InvalidArgument: a pipeline has no label to be known by, or too many different ones.
    """
    limits = limits or Limits()
    found = []
    for own in labels:
        if not own:
            raise InvalidArgument(
                "a pipeline has no metadata.labels, so that a profile could only take every pod of its namespace; "
                'add "metadata": {"labels": {"node": "fargate"}}, or say --label node=fargate'
            )
        found.append(Selector(namespace=namespace, labels=tuple(sorted(own.items())[: limits.labels])))
    # One that asks for more than another takes nothing that the other does not.
    found = list(dict.fromkeys(found))
    return [
        one
        for one in found
        if not any(other != one and set(other.labels) < set(one.labels) for other in found)
    ]


def read_profiles(document: Any, where: str) -> list[Profile]:
    """Return the profiles in a document: of eksctl, of the EKS API, or of CloudFormation.

    Args:
        document: what JSON or YAML gave: an eksctl ClusterConfig, the answer of describe-fargate-profile, one
            profile, a CloudFormation template, or a list of any of these.
        where: what to call it in messages.

    Raises:
        InvalidArgument: no profile is in it, or one is broken.
    """
    found = list(_profiles(document, where))
    if not found:
        raise InvalidArgument(
            f"{where} holds no Fargate profile; give an eksctl ClusterConfig with fargateProfiles, the output of "
            '"aws eks describe-fargate-profile", or a CloudFormation template'
        )
    names = [profile.name for profile in found]
    for name in names:
        if names.count(name) > 1:
            raise InvalidArgument(f'{where} holds two profiles named "{name}"; names are unique in a cluster')
    return found


def _profiles(document: Any, where: str) -> Iterable[Profile]:
    if isinstance(document, list):
        for position, part in enumerate(document):
            yield from _profiles(part, f"{where}[{position}]")
    elif isinstance(document, dict):
        if isinstance(document.get("fargateProfiles"), list):
            yield from _profiles(document["fargateProfiles"], f"{where}: fargateProfiles")
        elif "fargateProfile" in document:
            yield from _profiles(document["fargateProfile"], f"{where}: fargateProfile")
        elif isinstance(document.get("Resources"), dict):
            for name, resource in document["Resources"].items():
                if isinstance(resource, dict) and resource.get("Type") == "AWS::EKS::FargateProfile":
                    properties = dict(resource.get("Properties", {}))
                    properties.setdefault("FargateProfileName", name)
                    yield _profile(properties, f"{where}: {name}")
        elif {"selectors", "Selectors"} & set(document):
            yield _profile(document, where)


def _profile(written: Mapping[str, Any], where: str) -> Profile:
    written = {key[:1].lower() + key[1:]: value for key, value in written.items()}
    name = written.get("name") or written.get("fargateProfileName")
    selectors = written.get("selectors")
    if not isinstance(name, str) or not isinstance(selectors, list):
        raise InvalidArgument(
            f"{where} is a Fargate profile without a name or without a list of selectors; add it"
        )
    profile = Profile(
        name=name,
        selectors=tuple(_selector(one, f"{where}: selectors[{at}]") for at, one in enumerate(selectors)),
    )
    # Its name may begin with eks-, EKS makes such ones itself.
    wrong = mistakes(replace(profile, name="any"), Limits(selectors=1000, labels=1000))
    if wrong:
        raise InvalidArgument(
            f"{where}: " + "; and ".join(one.replace('"any"', f'"{name}"') for one in wrong)
        )
    return profile


def _selector(written: Any, where: str) -> Selector:
    if not isinstance(written, dict):
        raise InvalidArgument(f"{where} is no selector; write namespace and labels")
    written = {key[:1].lower() + key[1:]: value for key, value in written.items()}
    labels = written.get("labels") or {}
    if isinstance(labels, list):  # CloudFormation has a list where the API has a map
        labels = {one.get("Key"): one.get("Value") for one in labels if isinstance(one, dict)}
    if not isinstance(labels, dict) or not all(
        isinstance(text, str) for pair in labels.items() for text in pair
    ):
        raise InvalidArgument(f"{where}.labels is no map of texts; write for example node: fargate")
    namespace = written.get("namespace", "")
    if not isinstance(namespace, str):
        raise InvalidArgument(f"{where}.namespace is no text; quote it")
    return Selector(namespace=namespace, labels=tuple(sorted(labels.items())))
