"""A Fargate profile and its role as files: eksctl, CloudFormation, Terraform, and commands of the AWS CLI. Pure.

What cannot be known offline (the account, the cluster's private subnets) is left to whoever runs the file, by
the means of its own language. A role that shall be made gets the same trust and policy everywhere; eksctl
makes such a one by itself when none is named, so its file says nothing about it.
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

    from trunkline.aws.desired import Wanted


def render(wanted: Wanted, format: str) -> str:
    """Return the file of a format, one of ``FORMATS``."""
    return FORMATS[format](wanted)


def _eksctl(wanted: Wanted) -> str:
    profile: dict[str, Any] = {"name": wanted.profile.name}
    if wanted.role_arn:
        profile["podExecutionRoleARN"] = wanted.role_arn
    profile["selectors"] = api_selectors(wanted.profile)
    if wanted.subnets:
        profile["subnets"] = list(wanted.subnets)
    if wanted.tags:
        profile["tags"] = dict(wanted.tags)
    config = {
        "apiVersion": "eksctl.io/v1alpha5",
        "kind": "ClusterConfig",
        "metadata": {"name": wanted.cluster, "region": wanted.region},
        "fargateProfiles": [profile],
    }
    return "# eksctl create fargateprofile -f THIS_FILE\n" + yaml_text(config)


def _cloudformation(wanted: Wanted) -> str:
    template: dict[str, Any] = {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": f"Fargate profile {wanted.profile.name} of the EKS cluster {wanted.cluster}",
    }
    resources: dict[str, Any] = {}
    if not wanted.subnets:
        template["Parameters"] = {
            "Subnets": {
                "Type": "List<AWS::EC2::Subnet::Id>",
                "Description": "Private subnets of the cluster, without a route to an internet gateway",
            }
        }
    if not wanted.role_arn:
        source = source_arn(wanted, "${AWS::AccountId}", "${AWS::Partition}").replace(
            f":{wanted.region}:", ":${AWS::Region}:"
        )
        resources["PodExecutionRole"] = {
            "Type": "AWS::IAM::Role",
            "Properties": {
                "RoleName": wanted.role_name,
                "AssumeRolePolicyDocument": trust_policy({"Fn::Sub": source}),
                "ManagedPolicyArns": [{"Fn::Sub": f"arn:${{AWS::Partition}}:iam::aws:policy/{POLICY}"}],
                "Tags": [{"Key": key, "Value": value} for key, value in role_tags(wanted).items()],
            },
        }
    properties: dict[str, Any] = {
        "ClusterName": wanted.cluster,
        "FargateProfileName": wanted.profile.name,
        "PodExecutionRoleArn": wanted.role_arn or {"Fn::GetAtt": ["PodExecutionRole", "Arn"]},
        "Selectors": [
            {
                "Namespace": selector.namespace,
                **(
                    {"Labels": [{"Key": key, "Value": value} for key, value in selector.labels]}
                    if selector.labels
                    else {}
                ),
            }
            for selector in wanted.profile.selectors
        ],
        "Subnets": list(wanted.subnets) or {"Ref": "Subnets"},
    }
    if wanted.tags:
        properties["Tags"] = [{"Key": key, "Value": value} for key, value in wanted.tags.items()]
    resources["FargateProfile"] = {"Type": "AWS::EKS::FargateProfile", "Properties": properties}
    return yaml_text({**template, "Resources": resources})


def _terraform(wanted: Wanted) -> str:
    role = _hcl_text(wanted.role_arn) if wanted.role_arn else "aws_iam_role.trunkline_fargate.arn"
    subnets = _hcl_list(wanted.subnets) if wanted.subnets else "var.private_subnet_ids"
    lines = []
    if not wanted.subnets:
        lines += [
            'variable "private_subnet_ids" {',
            '  description = "Private subnets of the cluster, without a route to an internet gateway"',
            "  type        = list(string)",
            "}",
            "",
        ]
    if not wanted.role_arn:
        # JSON inside HCL; the account is what Terraform finds.
        placeholder = "@ACCOUNT@"
        trust = json.dumps(trust_policy(source_arn(wanted, placeholder, "@PARTITION@")), indent=2)
        trust = _hcl_escaped(trust)
        trust = trust.replace(placeholder, "${data.aws_caller_identity.current.account_id}")
        trust = trust.replace("@PARTITION@", "${data.aws_partition.current.partition}")
        lines += [
            'data "aws_caller_identity" "current" {}',
            "",
            'data "aws_partition" "current" {}',
            "",
            'resource "aws_iam_role" "trunkline_fargate" {',
            f"  name               = {_hcl_text(wanted.role_name)}",
            "  assume_role_policy = <<POLICY",
            *trust.splitlines(),
            "POLICY",
            f"  tags               = {_hcl_map(role_tags(wanted))}",
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
        f"  cluster_name           = {_hcl_text(wanted.cluster)}",
        f"  fargate_profile_name   = {_hcl_text(wanted.profile.name)}",
        f"  pod_execution_role_arn = {role}",
        f"  subnet_ids             = {subnets}",
    ]
    if wanted.tags:
        lines.append(f"  tags                   = {_hcl_map(wanted.tags)}")
    if not wanted.role_arn:
        lines.append("  depends_on             = [aws_iam_role_policy_attachment.trunkline_fargate]")
    for selector in wanted.profile.selectors:
        lines += ["", "  selector {", f"    namespace = {_hcl_text(selector.namespace)}"]
        if selector.labels:
            lines.append(f"    labels    = {_hcl_map(dict(selector.labels))}")
        lines.append("  }")
    lines += ["}", ""]
    return "\n".join(lines)


def _aws_cli(wanted: Wanted) -> str:
    lines = ["#!/bin/sh", "set -eu"]
    if not wanted.subnets:
        lines.append(': "${SUBNETS:?set SUBNETS to the cluster\'s private subnets, separated by spaces}"')
    if not wanted.role_arn:
        # The account goes in by the shell; nothing else in the document is for it to read.
        trust = quote(json.dumps(trust_policy(source_arn(wanted, "@ACCOUNT@"))))
        lines += [
            'ACCOUNT="$(aws sts get-caller-identity --query Account --output text)"',
            "aws iam create-role"
            f" --role-name {quote(wanted.role_name)}"
            f" --assume-role-policy-document {trust.replace('@ACCOUNT@', _unquoted('$ACCOUNT'))}"
            f" --tags {_cli_tags(role_tags(wanted))}",
            "aws iam attach-role-policy"
            f" --role-name {quote(wanted.role_name)}"
            f" --policy-arn arn:{wanted.partition}:iam::aws:policy/{POLICY}",
        ]
    parameters = profile_parameters(wanted, wanted.role_arn, wanted.subnets)
    role = (
        quote(wanted.role_arn)
        if wanted.role_arn
        else f'"arn:{wanted.partition}:iam::$ACCOUNT:role/{wanted.role_name}"'
    )
    subnets = " ".join(map(quote, wanted.subnets)) if wanted.subnets else "$SUBNETS"
    create = (
        f"aws eks create-fargate-profile --region {wanted.region}"
        f" --cluster-name {quote(wanted.cluster)}"
        f" --fargate-profile-name {quote(wanted.profile.name)}"
        f" --pod-execution-role-arn {role}"
        f" --subnets {subnets}"
        f" --selectors {quote(json.dumps(parameters['selectors']))}"
    )
    if wanted.tags:
        create += f" --tags {quote(json.dumps(dict(wanted.tags)))}"
    wait = (
        f"aws eks wait fargate-profile-active --region {wanted.region}"
        f" --cluster-name {quote(wanted.cluster)} --fargate-profile-name {quote(wanted.profile.name)}"
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
        yaml.dump(one, Dumper=Plain, sort_keys=False, allow_unicode=True, width=110) for one in documents
    )


#: The files that can be rendered.
FORMATS: dict[str, Callable[[Wanted], str]] = {
    "eksctl": _eksctl,
    "cloudformation": _cloudformation,
    "terraform": _terraform,
    "aws-cli": _aws_cli,
}
