"""The files for the four tools match the calls, and pass the tools' own checks."""

from __future__ import annotations

import json
import re
import shlex
import subprocess

import hcl2
import jsonschema
import pytest
import yaml
from cfnlint.api import lint

from trunkline.aws.desired import (
    api_selectors,
    desired_profile,
    policy_arn,
    read_profiles,
    role_tags,
    selectors_for,
    source_arn,
    trust_policy,
)
from trunkline.aws.documents import FORMATS, render
from trunkline.errors import InvalidArgument
from trunkline.scaling.profiles import Profile, Selector

ACCOUNT = "123456789012"
SELECTORS = (
    Selector(namespace="default", labels=(("node", "fargate"), ("tier", "batch"))),
    Selector(namespace="team-*"),
)
ROLE = f"arn:aws:iam::{ACCOUNT}:role/mine"


def make(**changes):
    settings = {
        "cluster": "demo",
        "region": "eu-west-1",
        "name": "pipelines",
        "selectors": SELECTORS,
        "subnets": ("subnet-0a1b2c3d", "subnet-0123456789abcdef0"),
        "tags": {"team": "vision"},
        **changes,
    }
    return desired_profile(**settings)


FULL = make()
OPEN = make(subnets=(), tags={})  # what has to be known is left to the tool
NAMED = make(role_arn=ROLE)
ALL = pytest.mark.parametrize("case", [FULL, OPEN, NAMED], ids=["full", "open", "named role"])

#: The part of eksctl's schema that a Fargate profile is in, from its published facts.
EKSCTL = {
    "type": "object",
    "required": ["apiVersion", "kind", "metadata"],
    "additionalProperties": False,
    "properties": {
        "apiVersion": {"const": "eksctl.io/v1alpha5"},
        "kind": {"const": "ClusterConfig"},
        "metadata": {
            "type": "object",
            "required": ["name", "region"],
            "additionalProperties": False,
            "properties": {"name": {"type": "string"}, "region": {"type": "string"}},
        },
        "fargateProfiles": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["name", "selectors"],
                "additionalProperties": False,
                "properties": {
                    "name": {"type": "string", "pattern": "^(?!eks-)"},
                    "podExecutionRoleARN": {"type": "string"},
                    "subnets": {"type": "array", "items": {"type": "string"}},
                    "tags": {"type": "object", "additionalProperties": {"type": "string"}},
                    "status": {"type": "string"},
                    "selectors": {
                        "type": "array",
                        "minItems": 1,
                        "maxItems": 5,
                        "items": {
                            "type": "object",
                            "required": ["namespace"],
                            "additionalProperties": False,
                            "properties": {
                                "namespace": {"type": "string", "minLength": 1},
                                "labels": {"type": "object", "additionalProperties": {"type": "string"}},
                            },
                        },
                    },
                },
            },
        },
    },
}


@ALL
def test_the_eksctl_file_passes_the_schema_and_says_what_the_call_says(case):
    config = yaml.safe_load(render(case, "eksctl"))

    jsonschema.validate(config, EKSCTL)
    assert config["metadata"] == {"name": "demo", "region": "eu-west-1"}
    (profile,) = config["fargateProfiles"]
    assert profile["name"] == "pipelines"
    assert profile["selectors"] == api_selectors(case.profile)
    assert tuple(profile.get("subnets", ())) == case.subnets
    assert profile.get("tags", {}) == case.tags
    assert profile.get("podExecutionRoleARN", "") == case.role_arn


@ALL
def test_the_cloudformation_template_passes_its_linter_and_says_what_the_call_says(case):
    text = render(case, "cloudformation")

    assert [str(match) for match in lint(text, regions=["eu-west-1"])] == []
    resources = yaml.safe_load(text)["Resources"]
    profile = resources["FargateProfile"]["Properties"]
    (read,) = read_profiles(yaml.safe_load(text), "template")
    assert (profile["ClusterName"], read) == ("demo", case.profile)
    assert profile["Subnets"] == (list(case.subnets) or {"Ref": "Subnets"})
    if case.role_arn:
        assert profile["PodExecutionRoleArn"] == case.role_arn
        assert list(resources) == ["FargateProfile"]
        return
    role = json.loads(
        json.dumps(resources["PodExecutionRole"]["Properties"])
        .replace("${AWS::Partition}", "aws")
        .replace("${AWS::Region}", "eu-west-1")
        .replace("${AWS::AccountId}", ACCOUNT)
    )
    assert role["AssumeRolePolicyDocument"] == trust_policy({"Fn::Sub": source_arn(case, ACCOUNT)})
    assert role["ManagedPolicyArns"] == [{"Fn::Sub": policy_arn("aws")}]
    assert role["RoleName"] == case.role_name
    assert {tag["Key"]: tag["Value"] for tag in role["Tags"]} == role_tags(case)


@ALL
def test_the_terraform_file_parses_and_says_what_the_call_says(case):
    text = render(case, "terraform")

    parsed = hcl2.loads(text)
    resources = {
        strip(kind): {strip(name): body for name, body in block.items()}
        for part in parsed["resource"]
        for kind, block in part.items()
    }
    profile = plain(resources["aws_eks_fargate_profile"]["trunkline"])
    assert profile["cluster_name"] == "demo"
    assert profile["fargate_profile_name"] == "pipelines"
    selectors = [
        {
            "namespace": selector["namespace"],
            **({"labels": selector["labels"]} if "labels" in selector else {}),
        }
        for selector in profile["selector"]
    ]
    assert selectors == api_selectors(case.profile)
    assert profile["subnet_ids"] == (list(case.subnets) or "${var.private_subnet_ids}")
    assert profile.get("tags", {}) == case.tags
    if case.role_arn:
        assert profile["pod_execution_role_arn"] == case.role_arn
        assert list(resources) == ["aws_eks_fargate_profile"]
        return
    trust = re.search(r"<<POLICY\n(.*?)\nPOLICY", text, re.DOTALL)
    assert trust is not None
    document = (
        trust[1]
        .replace("${data.aws_partition.current.partition}", "aws")
        .replace("${data.aws_caller_identity.current.account_id}", ACCOUNT)
    )
    assert json.loads(document) == trust_policy(source_arn(case, ACCOUNT))
    role = plain(resources["aws_iam_role"]["trunkline_fargate"])
    assert (role["name"], role["tags"]) == (case.role_name, role_tags(case))
    attached = plain(resources["aws_iam_role_policy_attachment"]["trunkline_fargate"])
    assert attached["policy_arn"].replace("${data.aws_partition.current.partition}", "aws") == policy_arn(
        "aws"
    )


def strip(text):
    return text.strip('"') if isinstance(text, str) else text


def plain(value):
    """Remove what the parser keeps: quotes around texts and keys, and its own marks."""
    if isinstance(value, dict):
        return {strip(key): plain(item) for key, item in value.items() if not strip(key).startswith("__")}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return strip(value)


@ALL
def test_the_commands_of_the_aws_cli_make_the_calls(case, tmp_path):
    """Run by a real shell, with a program in place of aws that records its arguments."""
    output = tmp_path / "said"
    aws = tmp_path / "aws"
    aws.write_text(
        "#!/bin/sh\n"
        f'for word in "$@"; do printf "%s\\0" "$word" >> {output}; done; printf "\\n\\0" >> {output}\n'
        f'[ "$1" = sts ] && echo {ACCOUNT}\nexit 0\n'
    )
    aws.chmod(0o755)
    script = tmp_path / "script"
    script.write_text(render(case, "aws-cli"))

    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "SUBNETS": "subnet-0000000a subnet-0000000b"}
    subprocess.run(["sh", str(script)], env=environment, check=True, timeout=60)

    calls = [call.rstrip("\0").split("\0") for call in output.read_text().split("\n\0") if call]
    options = {f"{call[0]} {call[1]}": options_of(call[2:]) for call in calls}
    create = options["eks create-fargate-profile"]
    assert create["region"] == ["eu-west-1"]
    assert create["cluster-name"] == ["demo"]
    assert create["fargate-profile-name"] == ["pipelines"]
    assert json.loads(create["selectors"][0]) == api_selectors(case.profile)
    assert create["subnets"] == (list(case.subnets) or ["subnet-0000000a", "subnet-0000000b"])
    assert json.loads(create.get("tags", ["{}"])[0]) == case.tags
    assert options["eks wait"]["cluster-name"] == ["demo"]
    if case.role_arn:
        assert create["pod-execution-role-arn"] == [case.role_arn]
        assert "iam create-role" not in options
        return
    assert create["pod-execution-role-arn"] == [f"arn:aws:iam::{ACCOUNT}:role/{case.role_name}"]
    role = options["iam create-role"]
    assert json.loads(role["assume-role-policy-document"][0]) == trust_policy(source_arn(case, ACCOUNT))
    assert {tag["Key"]: tag["Value"] for tag in json.loads(role["tags"][0])} == role_tags(case)
    assert options["iam attach-role-policy"]["policy-arn"] == [policy_arn("aws")]


def options_of(words):
    options, name = {}, ""
    for word in words:
        if word.startswith("--"):
            name = word[2:]
            options[name] = []
        elif name:
            options[name].append(word)
    return options


def test_the_commands_refuse_to_run_without_subnets(tmp_path):
    script = tmp_path / "script"
    script.write_text(render(OPEN, "aws-cli"))

    done = subprocess.run(
        ["sh", str(script)], env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=False
    )

    assert done.returncode != 0
    assert "private subnets" in done.stderr


@pytest.mark.parametrize("format", list(FORMATS))
def test_quotes_dollars_and_percent_signs_survive_in_every_file(format):
    odd = make(tags={"why": 'it\'s "${HOME}" %{if} $(x)'})

    text = render(odd, format)

    if format in ("eksctl", "cloudformation"):
        assert 'it\'s "${HOME}" %{if} $(x)' in json.dumps(yaml.safe_load(text)).replace('\\"', '"')
    elif format == "terraform":
        assert "$${HOME}" in text
        assert "%%{if}" in text
        hcl2.loads(text)
    else:
        assert json.dumps(odd.tags) in [word for line in text.splitlines() for word in shlex.split(line)]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"cluster": "de mo"}, '"de mo" is not a valid name of an EKS cluster'),
        ({"cluster": "-demo"}, "is not a valid name of an EKS cluster"),
        ({"region": "us-east"}, '"us-east" is not an AWS region'),
        ({"region": "us-gov-west-1"}, "not offered in us-gov-west-1 (GovCloud)"),
        ({"role_arn": "mine"}, '"mine" is not the ARN of a role'),
        ({"subnets": ("vpc-1",)}, '"vpc-1" is not the id of a subnet'),
        ({"name": "eks-mine"}, 'begins with "eks-"'),
        ({"selectors": ()}, "has no selector"),
    ],
)
def test_values_that_are_not_valid_are_refused(change, words):
    with pytest.raises(InvalidArgument) as refusal:
        make(**change)

    assert words in refusal.value.message


def test_selectors_come_from_the_labels_of_the_specs():
    selectors = selectors_for("default", [{"node": "fargate"}, {"node": "fargate", "tier": "b"}, {"x": "y"}])

    # The second asks for more than the first and takes nothing new.
    assert selectors == [
        Selector(namespace="default", labels=(("node", "fargate"),)),
        Selector(namespace="default", labels=(("x", "y"),)),
    ]


def test_specs_without_labels_are_refused_with_the_field_to_add():
    with pytest.raises(InvalidArgument, match="a pipeline has no metadata"):
        selectors_for("default", [{"node": "fargate"}, {}])


def test_profiles_are_read_from_what_every_tool_writes():
    expected = FULL.profile
    api = {"fargateProfile": {"fargateProfileName": "pipelines", "selectors": api_selectors(expected)}}

    for document in (
        yaml.safe_load(render(FULL, "eksctl")),
        yaml.safe_load(render(FULL, "cloudformation")),
        api,
        [api],
        {"name": "pipelines", "selectors": api_selectors(expected)},
    ):
        assert read_profiles(document, "file") == [expected]


def test_profiles_that_eks_made_itself_are_read_too():
    assert read_profiles({"name": "eks-auto", "selectors": [{"namespace": "x"}]}, "file") == [
        Profile(name="eks-auto", selectors=(Selector(namespace="x"),))
    ]


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({}, "holds no Fargate profile"),
        ("text", "holds no Fargate profile"),
        ({"selectors": [{"namespace": "x"}]}, "without a name"),
        ({"name": "a", "selectors": "x"}, "without a list of selectors"),
        ({"name": "a", "selectors": ["x"]}, "selectors[0] is not a selector"),
        ({"name": "a", "selectors": [{}]}, 'selector 1 of profile "a" names no namespace'),
        ({"name": "a", "selectors": [{"namespace": 1}]}, "namespace is not a string"),
        (
            {"name": "a", "selectors": [{"namespace": "x", "labels": {"a": 1}}]},
            "labels is not a map of strings",
        ),
        ([{"name": "a", "selectors": [{"namespace": "x"}]}] * 2, 'two profiles named "a"'),
    ],
)
def test_a_broken_profile_file_is_reported_with_its_place(document, words):
    with pytest.raises(InvalidArgument) as refusal:
        read_profiles(document, "mine.yaml")

    assert refusal.value.message.startswith("mine.yaml")
    assert words in refusal.value.message
