"""Calls AWS: reads the state of an account and carries out steps.

The only module that uses boto3, which is imported when the first account is opened. It decides nothing; ``diff``
does. Errors of botocore become those of ``trunkline.errors`` here and name the missing IAM action.
"""

from __future__ import annotations

import difflib
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from trunkline.aws.desired import check_region
from trunkline.aws.diff import Observed, ObservedProfile, Role, Subnet
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

#: Seconds between two reads of a profile that is being created, which takes one to five minutes.
_POLL_EVERY = 5.0
#: Seconds until EKS accepts a new role at the latest: IAM is eventually consistent, usually within seconds.
_ROLE_PROPAGATION = 30.0

_DENIED = ("AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "NotAuthorized")
_THROTTLED = (
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
    "RequestLimitExceeded",
    "SlowDown",
)
_UNAUTHENTICATED = (
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
        """Open an account with the credentials that the AWS CLI would use.

        Raises:
            FailedPrecondition: boto3 is not installed.
            InvalidArgument: the region is not valid.
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
        # botocore repeats throttled calls with its own back-off, AWS_MAX_ATTEMPTS times (3).
        self._config = botocore.config.Config(
            region_name=region,
            connect_timeout=10,
            read_timeout=30,
            retries={"mode": "standard"},
        )
        with self._translated("sts", "session"):
            self._session = boto3.Session(region_name=region)
        self._clients: dict[str, Any] = {}

    # Reading ----------------------------------------------------------------------------------------------

    def find(self, cluster: str, role_name: str = "", subnets: Sequence[str] = ()) -> Observed:
        """Return the state of the account, as far as it matters for a cluster's profiles.

        Args:
            cluster: name of the cluster.
            role_name: name of the pod execution role to read; empty for none.
            subnets: ids of subnets to read in addition to the cluster's own.

        Raises:
            NotFound: the cluster or a subnet does not exist.
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
        subnet_ids = tuple(dict.fromkeys((*own, *subnets)))
        known_subnets = self._subnets(subnet_ids)
        if not vpc and own:
            vpc = next(subnet.vpc for subnet in known_subnets if subnet.id == own[0])
        return Observed(
            account=account,
            partition=partition,
            cluster=cluster,
            cluster_status=described["status"],
            vpc=vpc,
            subnets=known_subnets,
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
            # Without the right to list clusters the message still says that this one does not exist.
            return f'no EKS cluster "{cluster}" in {self.region}; check the name and the region'
        near = difflib.get_close_matches(cluster, names, 3)
        if near:
            return f'no EKS cluster "{cluster}" in {self.region}; did you mean {" or ".join(near)}?'
        listed = ", ".join(sorted(names)[:10]) or "none"
        return (
            f'no EKS cluster "{cluster}" in {self.region}; there are: {listed}. Check --cluster and --region'
        )

    def _subnets(self, ids: Sequence[str]) -> tuple[Subnet, ...]:
        if not ids:
            return ()
        # With a filter: a request by ids fails as a whole when one of them does not exist.
        desired = {"Name": "subnet-id", "Values": list(ids)}
        described = [
            subnet
            for page in self._pages("ec2", "describe_subnets", Filters=[desired])
            for subnet in page["Subnets"]
        ]
        missing = sorted(set(ids) - {subnet["SubnetId"] for subnet in described})
        if missing:
            raise NotFound(f"no subnet {', '.join(missing)} in {self.region}; check the id and the region")
        vpcs = sorted({subnet["VpcId"] for subnet in described})
        tables = [
            table
            for page in self._pages(
                "ec2", "describe_route_tables", Filters=[{"Name": "vpc-id", "Values": vpcs}]
            )
            for table in page["RouteTables"]
        ]
        return tuple(
            Subnet(
                id=subnet["SubnetId"],
                vpc=subnet["VpcId"],
                zone=subnet["AvailabilityZone"],
                free_addresses=subnet["AvailableIpAddressCount"],
                public=_is_public(_table_of(subnet, tables)),
            )
            for subnet in described
        )

    def role(self, name: str) -> Role | None:
        """Return a role; None when it does not exist."""
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

    def profiles(self, cluster: str) -> tuple[ObservedProfile, ...]:
        """Return the Fargate profiles of a cluster."""
        names = [
            name
            for page in self._pages("eks", "list_fargate_profiles", clusterName=cluster)
            for name in page["fargateProfileNames"]
        ]
        profiles = (self.profile(cluster, name) for name in names)
        return tuple(profile for profile in profiles if profile is not None)

    def profile(self, cluster: str, name: str) -> ObservedProfile | None:
        """Return a Fargate profile; None when it does not exist."""
        try:
            answer = self.call(
                "eks", "describe_fargate_profile", clusterName=cluster, fargateProfileName=name
            )
        except NotFound:
            return None
        described = answer["fargateProfile"]
        return ObservedProfile(
            profile=Profile(
                name=name,
                selectors=tuple(
                    Selector(
                        namespace=selector.get("namespace", ""),
                        labels=tuple(sorted(selector.get("labels", {}).items())),
                    )
                    for selector in described.get("selectors", ())
                ),
            ),
            status=described["status"],
            role_arn=described.get("podExecutionRoleArn", ""),
            subnets=tuple(described.get("subnets", ())),
            issues=tuple(
                (issue.get("code", ""), issue.get("message", ""))
                for issue in described.get("health", {}).get("issues", ())
            ),
        )

    # Changing ---------------------------------------------------------------------------------------------

    def carry_out(self, step: Step) -> None:
        """Make a step's call. Waits until EKS accepts a role that has just been created."""
        deadline = time.monotonic() + _ROLE_PROPAGATION
        while True:
            try:
                self.call(step.service, step.operation, **step.parameters)
                return
            except InvalidArgument as error:
                role_unknown = step.operation == "create_fargate_profile" and "role" in error.message.lower()
                if not role_unknown or time.monotonic() > deadline:
                    raise
            time.sleep(_POLL_EVERY)

    def wait(self, cluster: str, name: str, *, timeout: float) -> ObservedProfile | None:
        """Wait until a profile is created or deleted; return it as it is then, None when it is deleted.

        Args:
            cluster: name of the cluster.
            name: name of the profile.
            timeout: seconds.

        Raises:
            DeadlineExceeded: it took longer than ``timeout`` seconds.
        """
        deadline = time.monotonic() + timeout
        while True:
            profile = self.profile(cluster, name)
            if profile is None or profile.status not in ("CREATING", "DELETING"):
                return profile
            if time.monotonic() >= deadline:
                raise DeadlineExceeded(
                    f'Fargate profile "{name}" is still {profile.status} after {timeout:g} s; check again with: '
                    f"trunkline fargate status --cluster {cluster} --region {self.region} --name {name}"
                )
            time.sleep(min(_POLL_EVERY, max(0.0, deadline - time.monotonic())))

    # Calls ------------------------------------------------------------------------------------------------

    def _client(self, service: str) -> Any:
        if service not in self._clients:
            self._clients[service] = self._session.client(service, config=self._config)
        return self._clients[service]

    def call(self, service: str, operation: str, **parameters: Any) -> Any:
        """Make a call.

        Args:
            service: name of the AWS service, as boto3 knows it.
            operation: name of the method of its client.
            parameters: of the call.

        Raises:
            TrunklineError: the call failed; the class tells why.
        """
        with self._translated(service, operation):
            return getattr(self._client(service), operation)(**parameters)

    def _pages(self, service: str, operation: str, **parameters: Any) -> Iterator[Any]:
        with self._translated(service, operation):
            yield from self._client(service).get_paginator(operation).paginate(**parameters)

    @contextmanager
    def _translated(self, service: str, operation: str) -> Iterator[None]:
        """Turn errors of botocore into those of ``trunkline.errors``."""
        exceptions = self._exceptions
        action = f"{service}:{''.join(word.capitalize() for word in operation.split('_'))}"
        try:
            yield
        except (
            exceptions.NoCredentialsError,
            exceptions.PartialCredentialsError,
            exceptions.CredentialRetrievalError,
        ) as error:
            raise Unauthenticated(
                f"no AWS credentials ({str(error).rstrip('.')}); log in with aws configure or aws sso login, or set "
                "AWS_PROFILE"
            ) from error
        except exceptions.ProfileNotFound as error:
            raise Unauthenticated(f"{error}; set AWS_PROFILE to one of ~/.aws/config, or unset it") from error
        except (exceptions.TokenRetrievalError, exceptions.SSOError) as error:
            raise Unauthenticated(
                f"the AWS login has ended ({error}); log in again with aws sso login"
            ) from error
        except exceptions.ClientError as error:
            raise _translate(error, action, self.region) from error
        except exceptions.ParamValidationError as error:
            raise InvalidArgument(
                f"the parameters of {action} are not valid: {str(error).splitlines()[-1]}"
            ) from error
        except (exceptions.HTTPClientError, exceptions.ConnectionError) as error:
            raise Unavailable(
                f"{service} of AWS in {self.region} does not answer ({error}); check the region and the network"
            ) from error
        except exceptions.BotoCoreError as error:
            raise Unavailable(f"{action} failed: {error}") from error


def configured_region() -> str:
    """Return the region of the AWS CLI's configuration; empty when it has none, or boto3 is not installed."""
    try:
        import boto3
        import botocore.exceptions
    except ImportError:
        return ""
    try:
        return boto3.Session().region_name or ""
    except botocore.exceptions.BotoCoreError:
        return ""  # a broken configuration is reported when it is used


def _translate(error: Any, action: str, region: str) -> TrunklineError:
    code = error.response.get("Error", {}).get("Code", "")
    text = error.response.get("Error", {}).get("Message", "") or str(error)
    text = text.rstrip(".")
    if code in _DENIED:
        also = " and iam:PassRole on the role" if action == "eks:CreateFargateProfile" else ""
        return PermissionDenied(f"AWS denies {action} ({text}); have the IAM action {action}{also} allowed")
    if code in _THROTTLED:
        return Unavailable(f"AWS throttles {action} in {region} repeatedly ({text}); try again in a minute")
    if code in _UNAUTHENTICATED:
        return Unauthenticated(f"AWS does not accept the credentials ({code}: {text}); log in again")
    if code in _MISSING or code.endswith(".NotFound"):
        return NotFound(f"{text} ({action} in {region}); check the name and the region")
    if code == "ResourceLimitExceededException":
        return ResourceExhausted(
            f"an AWS quota is reached ({text}); request a higher quota, or delete what is unused"
        )
    if code in ("ResourceInUseException", "EntityAlreadyExists"):
        return AlreadyExists(f"{text} ({action}); see: trunkline fargate status")
    if code in ("InvalidParameterException", "InvalidRequestException", "ValidationError"):
        return InvalidArgument(f"AWS refuses {action}: {text}")
    if code in ("ServerException", "ServiceUnavailableException", "ServiceFailure"):
        return Unavailable(f"{action} failed in AWS ({text}); try again")
    return FailedPrecondition(f"AWS refuses {action} ({code}: {text})")


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


def _is_public(table: Any) -> bool:
    """Return whether a route table has a route to an internet gateway, which makes its subnets public."""
    return table is not None and any(
        str(route.get("GatewayId", "")).startswith("igw-") for route in table.get("Routes", ())
    )
