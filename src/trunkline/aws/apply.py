"""Talks to AWS: reads what is there, carries out steps, and says what went wrong in our words.

The only module that knows boto3, which is imported when an account is first spoken to. It decides nothing;
``changes`` does. Errors of botocore become ours here, and name the IAM action that was missing.
"""

from __future__ import annotations

import difflib
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from trunkline.aws.desired import check_region
from trunkline.aws.diff import FoundProfile, Observed, Role, Subnet
from trunkline.errors import (
    AlreadyExists,
    DeadlineExceeded,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
    TrunklineError,
    Unauthenticated,
    Unavailable,
)
from trunkline.scaling.profiles import Profile, Selector

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from trunkline.aws.diff import Step

#: Seconds: between looks at a profile that is being made (which takes one to five minutes), and that a role
#: takes at most until EKS knows it (IAM is "eventually consistent"; seconds, as a rule).
_LOOK_EVERY = 5.0
_ROLE_SPREADS = 30.0

_DENIED = ("AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "NotAuthorized")
_THROTTLED = (
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
    "RequestLimitExceeded",
    "SlowDown",
)
_NOBODY = (
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidClientTokenId",
    "UnrecognizedClientException",
    "SignatureDoesNotMatch",
    "AuthFailure",
)
_MISSING = ("ResourceNotFoundException", "NoSuchEntity", "NoSuchEntityException")


class Account:
    """An AWS account, in one region."""

    def __init__(self, region: str) -> None:
        """Find credentials as the AWS CLI does.

        Raises:
            FailedPrecondition: boto3 is not installed.
            InvalidArgument: the region is none.
            Unauthenticated: the profile of ``AWS_PROFILE`` does not exist.
        """
        check_region(region)
        try:
            import boto3
            import botocore.config
            import botocore.exceptions
        except ImportError as error:
            raise FailedPrecondition(
                'talking to AWS needs boto3, which is not installed; install Trunkline with its extra "aws", in a'
                " clone: pip install '.[aws]', or use \"trunkline fargate render\" and apply the file by other means"
            ) from error
        self._exceptions = botocore.exceptions
        self.region = region
        # Throttled calls are repeated by botocore, with its backoff and as often as AWS_MAX_ATTEMPTS says (3).
        self._config = botocore.config.Config(
            region_name=region,
            connect_timeout=10,
            read_timeout=30,
            retries={"mode": "standard"},
        )
        with self._told("sts", "session"):
            self._session = boto3.Session(region_name=region)
        self._clients: dict[str, Any] = {}

    # Reading ----------------------------------------------------------------------------------------------

    def find(self, cluster: str, role_name: str = "", subnets: Sequence[str] = ()) -> Observed:
        """Return what is there.

        Args:
            cluster: name of the cluster.
            role_name: name of the pod execution role; empty when it does not matter.
            subnets: those to look at beside the cluster's own.

        Raises:
            NotFound: there is no such cluster or subnet.
        """
        try:
            described = self.call("eks", "describe_cluster", name=cluster)["cluster"]
        except NotFound as error:
            raise NotFound(self._no_cluster(cluster)) from error
        # arn:PARTITION:eks:REGION:ACCOUNT:cluster/NAME
        _, partition, _, _, account, _ = described["arn"].split(":", 5)
        network = described.get("resourcesVpcConfig", {})
        own = tuple(network.get("subnetIds", ()))
        vpc = network.get("vpcId", "")
        looked_at = tuple(dict.fromkeys((*own, *subnets)))
        found_subnets = self._subnets(looked_at)
        if not vpc and own:
            vpc = next(one.vpc for one in found_subnets if one.id == own[0])
        return Observed(
            account=account,
            partition=partition,
            cluster=cluster,
            cluster_status=described["status"],
            vpc=vpc,
            subnets=found_subnets,
            cluster_subnets=own,
            role=self.role(role_name) if role_name else None,
            profiles=self.profiles(cluster),
        )

    def _no_cluster(self, cluster: str) -> str:
        names: list[str] = []
        try:
            for page in self._pages("eks", "list_clusters"):
                names += page["clusters"]
        except TrunklineError:
            # Who may not list clusters still learns that this one does not exist.
            return f'no EKS cluster "{cluster}" in {self.region}; check the name and the region'
        near = difflib.get_close_matches(cluster, names, 3)
        if near:
            return f'no EKS cluster "{cluster}" in {self.region}; did you mean {" or ".join(near)}?'
        there = ", ".join(sorted(names)[:10]) or "none"
        return f'no EKS cluster "{cluster}" in {self.region}; there is: {there}. Check --cluster and --region'

    def _subnets(self, ids: Sequence[str]) -> tuple[Subnet, ...]:
        if not ids:
            return ()
        # By a filter: asked for by their ids, one that is missing hides the others.
        wanted = {"Name": "subnet-id", "Values": list(ids)}
        found = [
            subnet
            for page in self._pages("ec2", "describe_subnets", Filters=[wanted])
            for subnet in page["Subnets"]
        ]
        missing = sorted(set(ids) - {one["SubnetId"] for one in found})
        if missing:
            raise NotFound(f"no subnet {', '.join(missing)} in {self.region}; check the id and the region")
        vpcs = sorted({one["VpcId"] for one in found})
        tables = [
            table
            for page in self._pages(
                "ec2", "describe_route_tables", Filters=[{"Name": "vpc-id", "Values": vpcs}]
            )
            for table in page["RouteTables"]
        ]
        return tuple(
            Subnet(
                id=one["SubnetId"],
                vpc=one["VpcId"],
                zone=one["AvailabilityZone"],
                free_addresses=one["AvailableIpAddressCount"],
                public=_leads_out(_table_of(one, tables)),
            )
            for one in found
        )

    def role(self, name: str) -> Role | None:
        """Return a role, None when there is none of that name."""
        try:
            role = self.call("iam", "get_role", RoleName=name)["Role"]
        except NotFound:
            return None
        attached = [
            policy["PolicyArn"]
            for page in self._pages("iam", "list_attached_role_policies", RoleName=name)
            for policy in page["AttachedPolicies"]
        ]
        return Role(
            name=name,
            arn=role["Arn"],
            trust=role["AssumeRolePolicyDocument"],
            policies=tuple(attached),
            tags={tag["Key"]: tag["Value"] for tag in role.get("Tags", ())},
        )

    def profiles(self, cluster: str) -> tuple[FoundProfile, ...]:
        """Return the Fargate profiles of a cluster."""
        names = [
            name
            for page in self._pages("eks", "list_fargate_profiles", clusterName=cluster)
            for name in page["fargateProfileNames"]
        ]
        found = (self.profile(cluster, name) for name in names)
        return tuple(one for one in found if one is not None)

    def profile(self, cluster: str, name: str) -> FoundProfile | None:
        """Return a Fargate profile, None when there is none of that name (any more)."""
        try:
            answer = self.call(
                "eks", "describe_fargate_profile", clusterName=cluster, fargateProfileName=name
            )
        except NotFound:
            return None
        one = answer["fargateProfile"]
        return FoundProfile(
            profile=Profile(
                name=name,
                selectors=tuple(
                    Selector(
                        namespace=selector.get("namespace", ""),
                        labels=tuple(sorted(selector.get("labels", {}).items())),
                    )
                    for selector in one.get("selectors", ())
                ),
            ),
            status=one["status"],
            role_arn=one.get("podExecutionRoleArn", ""),
            subnets=tuple(one.get("subnets", ())),
            issues=tuple(
                (issue.get("code", ""), issue.get("message", ""))
                for issue in one.get("health", {}).get("issues", ())
            ),
        )

    # Changing ---------------------------------------------------------------------------------------------

    def carry_out(self, step: Step) -> None:
        """Make a step's call. A role that was made a moment ago is waited for."""
        deadline = time.monotonic() + _ROLE_SPREADS
        while True:
            try:
                self.call(step.service, step.operation, **step.parameters)
                return
            except InvalidArgument as error:
                unknown_yet = step.operation == "create_fargate_profile" and "role" in error.message.lower()
                if not unknown_yet or time.monotonic() > deadline:
                    raise
            time.sleep(_LOOK_EVERY)

    def wait(self, cluster: str, name: str, *, timeout: float) -> FoundProfile | None:
        """Wait until a profile is made, or gone; return it as it is then.

        Raises:
            DeadlineExceeded: it took longer than ``timeout`` seconds.
        """
        deadline = time.monotonic() + timeout
        while True:
            found = self.profile(cluster, name)
            if found is None or found.status not in ("CREATING", "DELETING"):
                return found
            if time.monotonic() >= deadline:
                raise DeadlineExceeded(
                    f'Fargate profile "{name}" is still {found.status} after {timeout:g} s; look again with: '
                    f"trunkline fargate status --cluster {cluster} --region {self.region} --name {name}"
                )
            time.sleep(min(_LOOK_EVERY, max(0.0, deadline - time.monotonic())))

    # Calls ------------------------------------------------------------------------------------------------

    def _client(self, service: str) -> Any:
        if service not in self._clients:
            self._clients[service] = self._session.client(service, config=self._config)
        return self._clients[service]

    def call(self, service: str, operation: str, **parameters: Any) -> Any:
        """Make a call; what goes wrong with it is one of our errors."""
        with self._told(service, operation):
            return getattr(self._client(service), operation)(**parameters)

    def _pages(self, service: str, operation: str, **parameters: Any) -> Iterator[Any]:
        with self._told(service, operation):
            yield from self._client(service).get_paginator(operation).paginate(**parameters)

    @contextmanager
    def _told(self, service: str, operation: str) -> Iterator[None]:
        """Turn botocore's errors into ours."""
        known = self._exceptions
        action = f"{service}:{''.join(word.capitalize() for word in operation.split('_'))}"
        try:
            yield
        except (
            known.NoCredentialsError,
            known.PartialCredentialsError,
            known.CredentialRetrievalError,
        ) as error:
            raise Unauthenticated(
                f"no AWS credentials ({str(error).rstrip('.')}); log in with aws configure or aws sso login, or set "
                "AWS_PROFILE"
            ) from error
        except known.ProfileNotFound as error:
            raise Unauthenticated(f"{error}; set AWS_PROFILE to one of ~/.aws/config, or unset it") from error
        except (known.TokenRetrievalError, known.SSOError) as error:
            raise Unauthenticated(
                f"the AWS login has ended ({error}); log in again with aws sso login"
            ) from error
        except known.ClientError as error:
            raise _ours(error, action, self.region) from error
        except known.ParamValidationError as error:
            raise InvalidArgument(f"{action} cannot be asked: {str(error).splitlines()[-1]}") from error
        except (known.HTTPClientError, known.ConnectionError) as error:
            raise Unavailable(
                f"{service} of AWS in {self.region} does not answer ({error}); check the region and the network"
            ) from error
        except known.BotoCoreError as error:
            raise Unavailable(f"{action} failed: {error}") from error


def configured_region() -> str:
    """Return the region that the AWS CLI's files say; empty when they say none, or boto3 is missing."""
    try:
        import boto3
        import botocore.exceptions
    except ImportError:
        return ""
    try:
        return boto3.Session().region_name or ""
    except botocore.exceptions.BotoCoreError:
        return ""  # a broken profile is told when it is used


def _ours(error: Any, action: str, region: str) -> TrunklineError:
    code = error.response.get("Error", {}).get("Code", "")
    said = error.response.get("Error", {}).get("Message", "") or str(error)
    said = said.rstrip(".")
    if code in _DENIED:
        also = " and iam:PassRole on the role" if action == "eks:CreateFargateProfile" else ""
        return PermissionDenied(f"AWS denies {action} ({said}); have the IAM action {action}{also} allowed")
    if code in _THROTTLED:
        return Unavailable(
            f"AWS throttles {action} in {region} again and again ({said}); try again in a minute"
        )
    if code in _NOBODY:
        return Unauthenticated(f"AWS does not accept the credentials ({code}: {said}); log in again")
    if code in _MISSING or code.endswith(".NotFound"):
        return NotFound(f"{said} ({action} in {region}); check the name and the region")
    if code == "ResourceLimitExceededException":
        return ResourceExhausted(
            f"an AWS quota is reached ({said}); have it raised, or delete what is not used"
        )
    if code in ("ResourceInUseException", "EntityAlreadyExists"):
        return AlreadyExists(f"{said} ({action}); look with: trunkline fargate status")
    if code in ("InvalidParameterException", "InvalidRequestException", "ValidationError"):
        return InvalidArgument(f"AWS refuses {action}: {said}")
    if code in ("ServerException", "ServiceUnavailableException", "ServiceFailure"):
        return Unavailable(f"AWS fails at {action} ({said}); try again")
    return FailedPrecondition(f"AWS refuses {action} ({code}: {said})")


def _table_of(subnet: Any, tables: Sequence[Any]) -> Any:
    """Return the route table of a subnet: its own, else the main one of its network."""
    main = None
    for table in tables:
        for association in table.get("Associations", ()):
            if association.get("SubnetId") == subnet["SubnetId"]:
                return table
            if association.get("Main") and table.get("VpcId") == subnet["VpcId"]:
                main = table
    return main


def _leads_out(table: Any) -> bool:
    """Tell whether a route table leads to an internet gateway, which makes its subnets public."""
    return table is not None and any(
        str(route.get("GatewayId", "")).startswith("igw-") for route in table.get("Routes", ())
    )
