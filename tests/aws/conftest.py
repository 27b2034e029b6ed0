"""An AWS account on this machine: moto's server, with a cluster in a network as eksctl creates it."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

REGION = "us-east-1"


class Cloud(NamedTuple):
    """An account with the cluster "demo" in it."""

    url: str
    vpc: str
    private: tuple[str, ...]
    public: tuple[str, ...]

    def client(self, service: str, **settings: str) -> Any:
        import boto3

        return boto3.client(service, region_name=REGION, endpoint_url=self.url, **settings)

    def make_role(self, name: str, trust: Any, *, policy: bool = True, tags: Any = ()) -> str:
        iam = self.client("iam")
        role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust), Tags=list(tags))
        if policy:
            iam.attach_role_policy(
                RoleName=name,
                PolicyArn="arn:aws:iam::aws:policy/AmazonEKSFargatePodExecutionRolePolicy",
            )
        return role["Role"]["Arn"]


@pytest.fixture(scope="session")
def moto_url() -> Iterator[str]:
    """The address of moto's server."""
    # Before moto is imported: without it the managed policies of AWS do not exist there.
    os.environ["MOTO_IAM_LOAD_MANAGED_POLICIES"] = "true"
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def credentials(monkeypatch, tmp_path) -> None:
    """Invalid credentials instead of the machine's own."""
    for name in list(os.environ):
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "aws-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "aws-credentials"))


@pytest.fixture(scope="session")
def network(moto_url) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    """A network with two private and two public subnets, which no test changes."""
    import boto3

    ec2 = boto3.client(
        "ec2",
        region_name=REGION,
        endpoint_url=moto_url,
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
    )
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    out = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
    ec2.create_route(RouteTableId=out, DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway)
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{n}.0/24", AvailabilityZone=f"{REGION}{'ab'[n % 2]}")[
            "Subnet"
        ]["SubnetId"]
        for n in range(4)
    ]
    for subnet in subnets[2:]:
        ec2.associate_route_table(RouteTableId=out, SubnetId=subnet)
    return vpc, tuple(subnets[:2]), tuple(subnets[2:])


@pytest.fixture
def cloud(moto_url, network, credentials, monkeypatch) -> Iterator[Cloud]:
    """An account without roles and with one cluster."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto_url)
    vpc, private, public = network
    cloud = Cloud(moto_url, vpc, private, public)
    cloud.client("eks").create_cluster(
        name="demo",
        roleArn="arn:aws:iam::123456789012:role/cluster",
        resourcesVpcConfig={"subnetIds": [*private, *public]},
    )
    yield cloud
    # Emptied by hand: moto's own reset loads the managed policies again, five seconds for each test.
    monkeypatch.undo()
    eks, iam = (
        cloud.client(service, aws_access_key_id="testing", aws_secret_access_key="testing")
        for service in ("eks", "iam")
    )
    for cluster in eks.list_clusters()["clusters"]:
        for profile in eks.list_fargate_profiles(clusterName=cluster)["fargateProfileNames"]:
            eks.delete_fargate_profile(clusterName=cluster, fargateProfileName=profile)
        eks.delete_cluster(name=cluster)
    for role in iam.list_roles()["Roles"]:
        for policy in iam.list_attached_role_policies(RoleName=role["RoleName"])["AttachedPolicies"]:
            iam.detach_role_policy(RoleName=role["RoleName"], PolicyArn=policy["PolicyArn"])
        iam.delete_role(RoleName=role["RoleName"])
