"""Commands against moto's AWS: what they create, change and refuse."""

from __future__ import annotations

import io
import json
import os

import pytest

from trunkline.aws.desired import desired_profile, policy_arn, source_arn, trust_policy
from trunkline.cli import exit_codes
from trunkline.cli.main import main
from trunkline.scaling.profiles import Selector

REGION = "us-east-1"
POLICY = policy_arn("aws")
SPEC = {
    "pipeline": {"name": "edges"},
    "metadata": {"labels": {"node": "fargate"}},
    "transform": {"cmd": ["true"]},
    "input": {"pfs": {"repo": "images", "glob": "/*"}},
}
DESIRED = desired_profile(
    cluster="demo",
    region=REGION,
    name="trunkline",
    selectors=[Selector(namespace="default", labels=(("node", "fargate"),))],
)
TRUST = trust_policy(source_arn(DESIRED, "123456789012"))
WHERE = ("--cluster", "demo", "--region", REGION)


@pytest.fixture
def run(cloud, capfd, tmp_path, monkeypatch):
    """Run a command line against the account, without a terminal."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "edges.json").write_text(json.dumps(SPEC))

    def run(*words):
        capfd.readouterr()
        code = main(words)
        captured = capfd.readouterr()
        return code, captured.out, captured.err

    with open(os.devnull) as nobody:
        monkeypatch.setattr("sys.stdin", nobody)
        yield run


def apply(run, *more):
    return run("fargate", "apply", *WHERE, "-f", "edges.json", "--yes", *more)


def profile_of(cloud, name="trunkline"):
    answer = cloud.client("eks").describe_fargate_profile(clusterName="demo", fargateProfileName=name)
    return answer["fargateProfile"]


def test_apply_makes_the_role_and_the_profile(run, cloud):
    code, out, err = apply(run)

    assert code == 0, err
    assert out == 'Fargate profile "trunkline" is ACTIVE\n'
    profile = profile_of(cloud)
    assert profile["selectors"] == [{"namespace": "default", "labels": {"node": "fargate"}}]
    assert profile["subnets"] == list(cloud.private)
    iam = cloud.client("iam")
    role = iam.get_role(RoleName="trunkline-fargate-demo")["Role"]
    assert profile["podExecutionRoleArn"] == role["Arn"]
    assert role["AssumeRolePolicyDocument"] == TRUST
    attached = iam.list_attached_role_policies(RoleName=role["RoleName"])["AttachedPolicies"]
    assert [policy["PolicyArn"] for policy in attached] == [POLICY]


def test_apply_again_changes_nothing_and_says_what_exists(run):
    apply(run)

    code, _, err = apply(run)

    assert code == 0
    assert 'role "trunkline-fargate-demo" trusts Fargate and has its policy' in err
    assert 'Fargate profile "trunkline" exists as requested and is ACTIVE' in err
    assert "nothing to do" in err


def test_the_plan_is_shown_and_nothing_is_done_without_a_yes(run, cloud):
    code, _, err = run("fargate", "apply", *WHERE, "-f", "edges.json")

    assert code == exit_codes.USAGE
    assert '+ create role "trunkline-fargate-demo"' in err
    assert '+ create Fargate profile "trunkline" of cluster "demo" for default: node=fargate' in err
    assert "3 changes to account 123456789012 were not made; add --yes" in err
    assert cloud.client("eks").list_fargate_profiles(clusterName="demo")["fargateProfileNames"] == []


class Person(io.StringIO):
    """A terminal at which the user types one line."""

    def isatty(self):
        return True


@pytest.mark.parametrize(("typed", "created"), [("n", []), ("", []), ("yes", ["trunkline"])])
def test_a_user_at_a_terminal_is_asked_for_a_confirmation(run, cloud, monkeypatch, typed, created):
    monkeypatch.setattr("sys.stdin", Person(f"{typed}\n"))

    code, _, err = run("fargate", "apply", *WHERE, "-f", "edges.json")

    assert "Make these 3 changes to account 123456789012? [y/N]" in err
    assert code == (0 if created else exit_codes.CONFLICT)
    assert cloud.client("eks").list_fargate_profiles(clusterName="demo")["fargateProfileNames"] == created


def test_a_second_profile_uses_the_same_role(run, cloud):
    apply(run)

    code, _, err = apply(run, "--name", "zz", "--label", "node=other")

    assert code == 0, err
    assert profile_of(cloud, "zz")["podExecutionRoleArn"] == profile_of(cloud)["podExecutionRoleArn"]


def test_a_profile_that_takes_the_same_pods_is_warned_of(run):
    apply(run)

    _, _, err = apply(run, "--name", "aa", "--label", "node=fargate", "--label", "x=y")

    assert '! profile "trunkline" also selects pods of default: node=fargate, x=y; "aa" gets them' in err


def test_a_role_created_by_trunkline_gets_its_missing_policy_back(run, cloud):
    apply(run)
    cloud.client("iam").detach_role_policy(RoleName="trunkline-fargate-demo", PolicyArn=POLICY)

    code, _, err = apply(run)

    assert code == 0
    assert '+ attach AmazonEKSFargatePodExecutionRolePolicy to role "trunkline-fargate-demo"' in err


def test_another_selector_under_the_same_name_is_refused_because_profiles_cannot_change(run):
    apply(run)

    code, _, err = apply(run, "--label", "node=other")

    assert code == exit_codes.CONFLICT
    assert "exists with other selectors (default: node=fargate instead of default: node=other)" in err
    assert "profiles cannot be changed" in err


def test_a_role_that_trusts_another_service_is_refused(run, cloud):
    trust = json.loads(json.dumps(TRUST).replace("eks-fargate-pods.amazonaws.com", "ec2.amazonaws.com"))
    arn = cloud.make_role("nodes", trust)

    code, _, err = apply(run, "--role", arn)

    assert code == exit_codes.CONFLICT
    assert 'role "nodes" trusts ec2.amazonaws.com and not eks-fargate-pods.amazonaws.com' in err


def test_a_role_without_the_policy_is_refused_unless_we_made_it(run, cloud):
    arn = cloud.make_role("bare", TRUST, policy=False)

    code, _, err = apply(run, "--role", arn)

    assert code == exit_codes.CONFLICT
    assert f'role "bare" lacks the policy {POLICY}' in err
    assert "aws iam attach-role-policy --role-name bare" in err


def test_a_role_for_another_cluster_is_refused_and_one_for_any_is_warned_of(run, cloud):
    other = cloud.make_role("other", json.loads(json.dumps(TRUST).replace("/demo/", "/prod/")))
    anyone = json.loads(json.dumps(TRUST))
    del anyone["Statement"][0]["Condition"]
    careless = cloud.make_role("careless", anyone)

    refused = apply(run, "--role", other)
    warned = apply(run, "--role", careless)

    assert refused[0] == exit_codes.CONFLICT
    assert "excludes profile trunkline of cluster demo" in refused[2]
    assert warned[0] == 0
    assert "may be assumed for any cluster of any account" in warned[2]


def test_a_role_that_does_not_exist_is_reported(run):
    code, _, err = apply(run, "--role", "arn:aws:iam::123456789012:role/nobody")

    assert code == exit_codes.NOT_FOUND
    assert 'role "nobody"' in err


def test_a_public_subnet_is_refused_and_all_of_them_being_public_too(run, cloud):
    code, _, err = apply(run, "--subnet", cloud.public[0])

    assert code == exit_codes.CONFLICT
    assert f"subnet {cloud.public[0]} is public (it has a route to an internet gateway)" in err

    cloud.client("eks").create_cluster(
        name="open",
        roleArn="arn:aws:iam::123456789012:role/x",
        resourcesVpcConfig={"subnetIds": list(cloud.public)},
    )
    code, _, err = run("fargate", "apply", "--cluster", "open", "--region", REGION, "--label", "a=b", "--yes")
    assert code == exit_codes.CONFLICT
    assert 'all subnets of cluster "open" are public' in err


def test_a_subnet_of_another_network_or_none_is_reported(run, cloud):
    ec2 = cloud.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    elsewhere = ec2.create_subnet(VpcId=vpc, CidrBlock="10.9.0.0/24")["Subnet"]["SubnetId"]

    code, _, err = apply(run, "--subnet", elsewhere)
    assert code == exit_codes.CONFLICT
    assert f"subnet {elsewhere} is in {vpc}" in err

    code, _, err = apply(run, "--subnet", "subnet-00000000")
    assert code == exit_codes.NOT_FOUND
    assert f"no subnet subnet-00000000 in {REGION}; check the id" in err


def test_a_cluster_name_with_a_typo_is_reported_with_similar_names(run):
    code, _, err = run("fargate", "apply", "--cluster", "dmeo", "--region", REGION, "--label", "a=b", "--yes")

    assert code == exit_codes.NOT_FOUND
    assert err == f'trunkline: no EKS cluster "dmeo" in {REGION}; did you mean demo?\n'


def test_a_wrong_region_is_reported_with_its_clusters(run):
    code, _, err = run("fargate", "status", "--cluster", "demo", "--region", "eu-west-1")

    assert code == exit_codes.NOT_FOUND
    assert 'no EKS cluster "demo" in eu-west-1; there are: none. Check --cluster and --region' in err


def test_missing_credentials_are_reported_with_a_way_to_log_in(run, monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")

    code, _, err = apply(run)

    assert code == exit_codes.DENIED
    assert "no AWS credentials" in err
    assert "aws sso login" in err


def test_a_profile_of_the_aws_cli_that_does_not_exist_is_reported(run, monkeypatch):
    monkeypatch.setenv("AWS_PROFILE", "nobody")

    code, _, err = apply(run)

    assert code == exit_codes.DENIED
    assert "nobody" in err
    assert "AWS_PROFILE" in err


def test_no_region_is_reported(run):
    code, _, err = run("fargate", "apply", "--cluster", "demo", "--label", "a=b")

    assert code == exit_codes.USAGE
    assert "no AWS region is set; add --region" in err


def test_a_region_in_the_files_of_the_aws_cli_is_taken(run, tmp_path):
    (tmp_path / "aws-config").write_text(f"[default]\nregion = {REGION}\n")

    code, _, err = run("fargate", "apply", "--cluster", "demo", "--label", "a=b", "--yes")

    assert code == 0, err


def test_a_service_that_does_not_answer_is_reported(run, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")

    code, _, err = apply(run)

    assert code == exit_codes.UNAVAILABLE
    assert f"eks of AWS in {REGION} does not answer" in err


def test_status_shows_profiles_and_what_became_of_their_role(run, cloud):
    apply(run)
    code, out, _ = run("fargate", "status", *WHERE)
    assert code == 0
    assert "trunkline  active  default: node=fargate  trunkline-fargate-demo" in out

    cloud.client("iam").detach_role_policy(RoleName="trunkline-fargate-demo", PolicyArn=POLICY)
    _, out, _ = run("fargate", "status", *WHERE, "-o", "json")

    (trouble,) = json.loads(out)["troubles"]
    assert "lacks the policy" in trouble


def test_status_of_a_profile_that_does_not_exist_names_those_that_do(run):
    apply(run)

    code, _, err = run("fargate", "status", *WHERE, "--name", "trunklin")

    assert code == exit_codes.NOT_FOUND
    assert 'has no Fargate profile "trunklin"; there are: trunkline' in err


def test_delete_removes_the_profile_and_the_role_we_made(run, cloud):
    apply(run)

    code, _, err = run("fargate", "delete", *WHERE, "--yes")

    assert code == 0, err
    assert cloud.client("eks").list_fargate_profiles(clusterName="demo")["fargateProfileNames"] == []
    assert [role["RoleName"] for role in cloud.client("iam").list_roles()["Roles"]] == []


def test_delete_leaves_a_role_that_is_used_or_was_created_elsewhere(run, cloud):
    apply(run)
    apply(run, "--name", "zz", "--label", "node=other")
    own = cloud.make_role("own", TRUST)
    apply(run, "--name", "yy", "--label", "a=b", "--role", own)

    _, _, shared = run("fargate", "delete", *WHERE, "--name", "zz", "--yes")
    _, _, owned = run("fargate", "delete", *WHERE, "--name", "yy", "--yes")

    assert 'role "trunkline-fargate-demo" is used by trunkline' in shared
    assert 'role "own" was not created by Trunkline' in owned
    names = {role["RoleName"] for role in cloud.client("iam").list_roles()["Roles"]}
    assert names == {"trunkline-fargate-demo", "own"}


def test_delete_of_a_missing_profile_names_the_existing_ones(run):
    apply(run)

    code, _, err = run("fargate", "delete", *WHERE, "--name", "nobody", "--yes")

    assert code == exit_codes.NOT_FOUND
    assert 'has no Fargate profile "nobody"; there are: trunkline' in err


def test_an_interrupted_delete_is_finished_by_the_next(run, cloud):
    apply(run)
    cloud.client("eks").delete_fargate_profile(clusterName="demo", fargateProfileName="trunkline")

    code, _, err = run("fargate", "delete", *WHERE, "--yes")

    assert code == 0, err
    assert cloud.client("iam").list_roles()["Roles"] == []
