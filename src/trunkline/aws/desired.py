"""The desired Fargate profile and its role as one value, from which files are rendered and calls are made. Pure.

What several formats share (the trust policy, the managed policy, the parameters of a call) is defined here once,
so that the four kinds of files and ``apply`` agree.

Trust: only ``eks-fargate-pods.amazonaws.com`` may assume the role, and only for a profile of this cluster
(``aws:SourceArn``). Without that condition a cluster of another account could make EKS use it (the "confused
deputy" problem). Source: "Amazon EKS Pod execution IAM role", EKS user guide.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from msgspec import Struct, field
from msgspec.structs import replace

from trunkline.errors import InvalidArgument
from trunkline.scaling.profiles import Limits, Profile, Selector, mistakes

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

PRINCIPAL = "eks-fargate-pods.amazonaws.com"
POLICY = "AmazonEKSFargatePodExecutionRolePolicy"
#: Tag of roles that Trunkline created: only these are changed and deleted.
OURS = ("trunkline", "fargate")
_ROLE_NAME = 64  # characters; the limit of IAM
_CLUSTER = re.compile(r"[0-9A-Za-z][0-9A-Za-z_-]{0,99}", re.ASCII)
_REGION = re.compile(r"[a-z]{2}(?:-[a-z]+)+-[0-9]", re.ASCII)
_SUBNET = re.compile(r"subnet-[0-9a-f]{8,17}", re.ASCII)
_ROLE_ARN = re.compile(r"arn:aws[a-z-]*:iam::[0-9]{12}:role/(?:[\w+=,.@/-]+/)?([\w+=,.@-]{1,64})", re.ASCII)


class DesiredProfile(Struct, frozen=True, kw_only=True):
    """A Fargate profile as it should be."""

    cluster: str
    region: str
    profile: Profile
    #: ARN of an existing role; empty to create one named ``role_name``.
    role_arn: str = ""
    #: Private subnets; empty for all private subnets of the cluster, which only AWS knows.
    subnets: tuple[str, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def role_name(self) -> str:
        """Name of the pod execution role."""
        arn = _ROLE_ARN.fullmatch(self.role_arn)
        if arn is not None:
            return arn[1]
        return f"trunkline-fargate-{self.cluster}"[:_ROLE_NAME]

    @property
    def partition(self) -> str:
        """The AWS partition of the region, as in ARNs."""
        return "aws-cn" if self.region.startswith("cn-") else "aws"


def desired_profile(
    *,
    cluster: str,
    region: str,
    name: str,
    selectors: Iterable[Selector],
    role_arn: str = "",
    subnets: Iterable[str] = (),
    tags: Mapping[str, str] | None = None,
    limits: Limits | None = None,
) -> DesiredProfile:
    """Return a checked desired profile.

    Args:
        cluster: name of the EKS cluster.
        region: AWS region of the cluster.
        name: name of the profile.
        selectors: which pods it selects.
        role_arn: pod execution role; empty to create one.
        subnets: ids of private subnets; empty for all private subnets of the cluster.
        tags: tags of what is created.
        limits: the account's quotas; those of a new account when None.

    Raises:
        InvalidArgument: a value is not valid or breaks a rule of EKS.
    """
    if not _CLUSTER.fullmatch(cluster):
        raise InvalidArgument(
            f'"{cluster}" is not a valid name of an EKS cluster; use at most 100 letters, digits, - and _'
        )
    check_region(region)
    if role_arn and not _ROLE_ARN.fullmatch(role_arn):
        raise InvalidArgument(
            f'"{role_arn}" is not the ARN of a role; write for example arn:aws:iam::123456789012:role/NAME'
        )
    subnets = tuple(dict.fromkeys(subnets))
    for subnet in subnets:
        if not _SUBNET.fullmatch(subnet):
            raise InvalidArgument(
                f'"{subnet}" is not the id of a subnet; write for example subnet-0123456789abcdef0'
            )
    profile = Profile(name=name, selectors=tuple(dict.fromkeys(selectors)))
    wrong = mistakes(profile, limits)
    if wrong:
        raise InvalidArgument("; and ".join(wrong))
    return DesiredProfile(
        cluster=cluster,
        region=region,
        profile=profile,
        role_arn=role_arn,
        subnets=subnets,
        tags=dict(tags or {}),
    )


def check_region(region: str) -> None:
    """Check the name of a region, and that it has Fargate.

    Raises:
        InvalidArgument: it is not a region, or has no Fargate on EKS.
    """
    if not _REGION.fullmatch(region):
        raise InvalidArgument(f'"{region}" is not an AWS region; write for example us-east-1')
    if "-gov-" in region:
        raise InvalidArgument(f"EKS on Fargate is not offered in {region} (GovCloud); use a node group there")


# Shared by all formats ---------------------------------------------------------------------------------------


def policy_arn(partition: str) -> str:
    """Return the ARN of the managed policy that lets Fargate pull images."""
    return f"arn:{partition}:iam::aws:policy/{POLICY}"


def source_arn(desired: DesiredProfile, account: str, partition: str = "") -> str:
    """Return the pattern of source ARNs that may assume the role: the profiles of this cluster.

    The ARN of a profile ends with an id that is not known before it is created; hence a pattern.

    Args:
        desired: the profile.
        account: AWS account id.
        partition: AWS partition; that of the region when empty.
    """
    partition = partition or desired.partition
    return f"arn:{partition}:eks:{desired.region}:{account}:fargateprofile/{desired.cluster}/*"


def trust_policy(source: Any) -> dict[str, Any]:
    """Return the trust policy of the role. ``source`` is ``source_arn``, or a template expression for it."""
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


def role_tags(desired: DesiredProfile) -> dict[str, str]:
    """Return the tags of a role that Trunkline creates."""
    return {**desired.tags, OURS[0]: OURS[1]}


def api_selectors(profile: Profile) -> list[dict[str, Any]]:
    """Return selectors in the form of the EKS API and eksctl: labels are a map."""
    return [
        {"namespace": selector.namespace, **({"labels": dict(selector.labels)} if selector.labels else {})}
        for selector in profile.selectors
    ]


def profile_parameters(desired: DesiredProfile, role_arn: str, subnets: Iterable[str]) -> dict[str, Any]:
    """Return the parameters of CreateFargateProfile.

    Args:
        desired: the profile.
        role_arn: its pod execution role.
        subnets: ids of its subnets.
    """
    return {
        "clusterName": desired.cluster,
        "fargateProfileName": desired.profile.name,
        "podExecutionRoleArn": role_arn,
        "selectors": api_selectors(desired.profile),
        "subnets": list(subnets),
        **({"tags": dict(desired.tags)} if desired.tags else {}),
    }


# Selectors of pipelines and of existing profiles ----------------------------------------------------------


def selectors_for(
    namespace: str, labels: Iterable[Mapping[str, str]], *, limits: Limits | None = None
) -> list[Selector]:
    """Return selectors that match the workers of pipelines and no other pods.

    Args:
        namespace: where the workers run.
        labels: ``metadata.labels`` of each pipeline.
        limits: the account's quotas.

    Raises:
        InvalidArgument: a pipeline has no labels.
    """
    limits = limits or Limits()
    selectors = []
    for pipeline_labels in labels:
        if not pipeline_labels:
            raise InvalidArgument(
                "a pipeline has no metadata.labels, so a profile would select every pod of its namespace; "
                'add "metadata": {"labels": {"node": "fargate"}}, or use --label node=fargate'
            )
        selectors.append(
            Selector(namespace=namespace, labels=tuple(sorted(pipeline_labels.items())[: limits.labels]))
        )
    # A selector with more labels than another matches nothing that the other does not match.
    selectors = list(dict.fromkeys(selectors))
    return [
        selector
        for selector in selectors
        if not any(other != selector and set(other.labels) < set(selector.labels) for other in selectors)
    ]


def read_profiles(document: Any, where: str) -> list[Profile]:
    """Return the profiles in a document: of eksctl, of the EKS API, or of CloudFormation.

    Args:
        document: parsed JSON or YAML: an eksctl ClusterConfig, the answer of describe-fargate-profile, one
            profile, a CloudFormation template, or a list of any of these.
        where: name of the document in messages.

    Raises:
        InvalidArgument: it contains no profile, or a profile is not valid.
    """
    profiles = list(_profiles(document, where))
    if not profiles:
        raise InvalidArgument(
            f"{where} holds no Fargate profile; give an eksctl ClusterConfig with fargateProfiles, the output of "
            '"aws eks describe-fargate-profile", or a CloudFormation template'
        )
    names = [profile.name for profile in profiles]
    for name in names:
        if names.count(name) > 1:
            raise InvalidArgument(f'{where} holds two profiles named "{name}"; names are unique in a cluster')
    return profiles


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


def _profile(fields: Mapping[str, Any], where: str) -> Profile:
    fields = {key[:1].lower() + key[1:]: value for key, value in fields.items()}
    name = fields.get("name") or fields.get("fargateProfileName")
    selectors = fields.get("selectors")
    if not isinstance(name, str) or not isinstance(selectors, list):
        raise InvalidArgument(
            f"{where} is a Fargate profile without a name or without a list of selectors; add it"
        )
    profile = Profile(
        name=name,
        selectors=tuple(
            _selector(sentence, f"{where}: selectors[{at}]") for at, sentence in enumerate(selectors)
        ),
    )
    # Its name may begin with eks-, as those that EKS creates itself.
    wrong = mistakes(replace(profile, name="any"), Limits(selectors=1000, labels=1000))
    if wrong:
        raise InvalidArgument(
            f"{where}: " + "; and ".join(sentence.replace('"any"', f'"{name}"') for sentence in wrong)
        )
    return profile


def _selector(fields: Any, where: str) -> Selector:
    if not isinstance(fields, dict):
        raise InvalidArgument(f"{where} is not a selector; write namespace and labels")
    fields = {key[:1].lower() + key[1:]: value for key, value in fields.items()}
    labels = fields.get("labels") or {}
    if isinstance(labels, list):  # CloudFormation has a list where the API has a map
        labels = {pair.get("Key"): pair.get("Value") for pair in labels if isinstance(pair, dict)}
    if not isinstance(labels, dict) or not all(
        isinstance(text, str) for pair in labels.items() for text in pair
    ):
        raise InvalidArgument(f"{where}.labels is not a map of strings; write for example node: fargate")
    namespace = fields.get("namespace", "")
    if not isinstance(namespace, str):
        raise InvalidArgument(f"{where}.namespace is not a string; quote it")
    return Selector(namespace=namespace, labels=tuple(sorted(labels.items())))
