"""A Fargate profile and its role as files: eksctl, CloudFormation, Terraform, and commands of the AWS CLI. Pure.

Values that are not known offline (the account, the cluster's private subnets) are parameters or expressions of the
file's own language. A new role gets the same trust policy and managed policy in every format; eksctl creates such
a role itself when none is named, so its file does not contain it.
"""

from __future__ import annotations

import json
from shlex import quote
from typing import TYPE_CHECKING, Any

from trunkline.aws.desired import (
    POLICY,
    api_selectors,
    profile_parameters,
    role_tags,
    source_arn,
    trust_policy,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from trunkline.aws.desired import DesiredProfile


def render(desired: DesiredProfile, format: str) -> str:
    """Return the file of a format, one of ``FORMATS``."""
    return FORMATS[format](desired)


def _eksctl(desired: DesiredProfile) -> str:
    profile: dict[str, Any] = {"name": desired.profile.name}
    if desired.role_arn:
        profile["podExecutionRoleARN"] = desired.role_arn
    profile["selectors"] = api_selectors(desired.profile)
    if desired.subnets:
        profile["subnets"] = list(desired.subnets)
    if desired.tags:
        profile["tags"] = dict(desired.tags)
    config = {
        "apiVersion": "eksctl.io/v1alpha5",
        "kind": "ClusterConfig",
        "metadata": {"name": desired.cluster, "region": desired.region},
        "fargateProfiles": [profile],
    }
    return "# eksctl create fargateprofile -f THIS_FILE\n" + yaml_text(config)


def _cloudformation(desired: DesiredProfile) -> str:
    template: dict[str, Any] = {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": f"Fargate profile {desired.profile.name} of the EKS cluster {desired.cluster}",
    }
    resources: dict[str, Any] = {}
    if not desired.subnets:
        template["Parameters"] = {
            "Subnets": {
                "Type": "List<AWS::EC2::Subnet::Id>",
                "Description": "Private subnets of the cluster, without a route to an internet gateway",
            }
        }
    if not desired.role_arn:
        source = source_arn(desired, "${AWS::AccountId}", "${AWS::Partition}").replace(
            f":{desired.region}:", ":${AWS::Region}:"
        )
        resources["PodExecutionRole"] = {
            "Type": "AWS::IAM::Role",
            "Properties": {
                "RoleName": desired.role_name,
                "AssumeRolePolicyDocument": trust_policy({"Fn::Sub": source}),
                "ManagedPolicyArns": [{"Fn::Sub": f"arn:${{AWS::Partition}}:iam::aws:policy/{POLICY}"}],
                "Tags": [{"Key": key, "Value": value} for key, value in role_tags(desired).items()],
            },
        }
    properties: dict[str, Any] = {
        "ClusterName": desired.cluster,
        "FargateProfileName": desired.profile.name,
        "PodExecutionRoleArn": desired.role_arn or {"Fn::GetAtt": ["PodExecutionRole", "Arn"]},
        "Selectors": [
            {
                "Namespace": selector.namespace,
                **(
                    {"Labels": [{"Key": key, "Value": value} for key, value in selector.labels]}
                    if selector.labels
                    else {}
                ),
            }
            for selector in desired.profile.selectors
        ],
        "Subnets": list(desired.subnets) or {"Ref": "Subnets"},
    }
    if desired.tags:
        properties["Tags"] = [{"Key": key, "Value": value} for key, value in desired.tags.items()]
    resources["FargateProfile"] = {"Type": "AWS::EKS::FargateProfile", "Properties": properties}
    return yaml_text({**template, "Resources": resources})


def _terraform(desired: DesiredProfile) -> str:
    role = _hcl_text(desired.role_arn) if desired.role_arn else "aws_iam_role.trunkline_fargate.arn"
    subnets = _hcl_list(desired.subnets) if desired.subnets else "var.private_subnet_ids"
    lines = []
    if not desired.subnets:
        lines += [
            'variable "private_subnet_ids" {',
            '  description = "Private subnets of the cluster, without a route to an internet gateway"',
            "  type        = list(string)",
            "}",
            "",
        ]
    if not desired.role_arn:
        # JSON inside HCL; Terraform fills in the account.
        placeholder = "@ACCOUNT@"
        trust = json.dumps(trust_policy(source_arn(desired, placeholder, "@PARTITION@")), indent=2)
        trust = _hcl_escaped(trust)
        trust = trust.replace(placeholder, "${data.aws_caller_identity.current.account_id}")
        trust = trust.replace("@PARTITION@", "${data.aws_partition.current.partition}")
        lines += [
            'data "aws_caller_identity" "current" {}',
            "",
            'data "aws_partition" "current" {}',
            "",
            'resource "aws_iam_role" "trunkline_fargate" {',
            f"  name               = {_hcl_text(desired.role_name)}",
            "  assume_role_policy = <<POLICY",
            *trust.splitlines(),
            "POLICY",
            f"  tags               = {_hcl_map(role_tags(desired))}",
            "}",
            "",
            'resource "aws_iam_role_policy_attachment" "trunkline_fargate" {',
            "  role       = aws_iam_role.trunkline_fargate.name",
            f'  policy_arn = "arn:${{data.aws_partition.current.partition}}:iam::aws:policy/{POLICY}"',
            "}",
            "",
        ]
    lines += [
        'resource "aws_eks_fargate_profile" "trunkline" {',
        f"  cluster_name           = {_hcl_text(desired.cluster)}",
        f"  fargate_profile_name   = {_hcl_text(desired.profile.name)}",
        f"  pod_execution_role_arn = {role}",
        f"  subnet_ids             = {subnets}",
    ]
    if desired.tags:
        lines.append(f"  tags                   = {_hcl_map(desired.tags)}")
    if not desired.role_arn:
        lines.append("  depends_on             = [aws_iam_role_policy_attachment.trunkline_fargate]")
    for selector in desired.profile.selectors:
        lines += ["", "  selector {", f"    namespace = {_hcl_text(selector.namespace)}"]
        if selector.labels:
            lines.append(f"    labels    = {_hcl_map(dict(selector.labels))}")
        lines.append("  }")
    lines += ["}", ""]
    return "\n".join(lines)


def _aws_cli(desired: DesiredProfile) -> str:
    lines = ["#!/bin/sh", "set -eu"]
    if not desired.subnets:
        lines.append(': "${SUBNETS:?set SUBNETS to the cluster\'s private subnets, separated by spaces}"')
    if not desired.role_arn:
        # The shell inserts the account; everything else in the document is quoted.
        trust = quote(json.dumps(trust_policy(source_arn(desired, "@ACCOUNT@"))))
        lines += [
            'ACCOUNT="$(aws sts get-caller-identity --query Account --output text)"',
            "aws iam create-role"
            f" --role-name {quote(desired.role_name)}"
            f" --assume-role-policy-document {trust.replace('@ACCOUNT@', _unquoted('$ACCOUNT'))}"
            f" --tags {_cli_tags(role_tags(desired))}",
            "aws iam attach-role-policy"
            f" --role-name {quote(desired.role_name)}"
            f" --policy-arn arn:{desired.partition}:iam::aws:policy/{POLICY}",
        ]
    parameters = profile_parameters(desired, desired.role_arn, desired.subnets)
    role = (
        quote(desired.role_arn)
        if desired.role_arn
        else f'"arn:{desired.partition}:iam::$ACCOUNT:role/{desired.role_name}"'
    )
    subnets = " ".join(map(quote, desired.subnets)) if desired.subnets else "$SUBNETS"
    create = (
        f"aws eks create-fargate-profile --region {desired.region}"
        f" --cluster-name {quote(desired.cluster)}"
        f" --fargate-profile-name {quote(desired.profile.name)}"
        f" --pod-execution-role-arn {role}"
        f" --subnets {subnets}"
        f" --selectors {quote(json.dumps(parameters['selectors']))}"
    )
    if desired.tags:
        create += f" --tags {quote(json.dumps(dict(desired.tags)))}"
    wait = (
        f"aws eks wait fargate-profile-active --region {desired.region}"
        f" --cluster-name {quote(desired.cluster)} --fargate-profile-name {quote(desired.profile.name)}"
    )
    return "\n".join([*lines, create, wait, ""])


def _unquoted(expression: str) -> str:
    """Return a shell expression for the middle of a single-quoted text."""
    return f"'\"{expression}\"'"


def _cli_tags(tags: Mapping[str, str]) -> str:
    return quote(json.dumps([{"Key": key, "Value": value} for key, value in tags.items()]))


def _hcl_escaped(text: str) -> str:
    return text.replace("${", "$${").replace("%{", "%%{")


def _hcl_text(text: str) -> str:
    return _hcl_escaped(json.dumps(text, ensure_ascii=False))


def _hcl_list(texts: tuple[str, ...]) -> str:
    return f"[{', '.join(map(_hcl_text, texts))}]"


def _hcl_map(texts: Mapping[str, str]) -> str:
    return "{ " + ", ".join(f"{_hcl_text(key)} = {_hcl_text(value)}" for key, value in texts.items()) + " }"


def yaml_text(*documents: Any) -> str:
    """Return values as YAML documents, in the order of their keys."""
    import yaml

    class Plain(yaml.SafeDumper):
        def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002  (people read these files)
            return True

    return "---\n".join(
        yaml.dump(document, Dumper=Plain, sort_keys=False, allow_unicode=True, width=110)
        for document in documents
    )


#: The files that can be rendered.
FORMATS: dict[str, Callable[[DesiredProfile], str]] = {
    "eksctl": _eksctl,
    "cloudformation": _cloudformation,
    "terraform": _terraform,
    "aws-cli": _aws_cli,
}
