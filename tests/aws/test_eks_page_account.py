"""docs/operate/eks.md: what it does to an AWS account, in the page's order, against moto's server."""

from __future__ import annotations

import re

from eks_page import clone, commands, run, shown_behind

SUBNET = re.compile(r"subnet-\w+")


def masked(lines: list[str]) -> list[str]:
    """Return lines with one word for every subnet's name."""
    return [SUBNET.sub("subnet", line) for line in lines]


def test_profiles_are_made_shown_and_deleted_as_the_page_says(cloud, tmp_path):
    folder, eks = clone(tmp_path / "clone"), cloud.client("eks")

    def profiles() -> list[str]:
        return sorted(eks.list_fargate_profiles(clusterName="demo")["fargateProfileNames"])

    existing = []
    for command in commands(__file__):
        done = run(command, folder)

        assert done.returncode == 0, f"{command}\n{done.stderr}"
        output = masked((done.stderr + done.stdout).splitlines())
        assert [line for line in masked(shown_behind(command)) if line not in output] == []
        existing.append(profiles())

    assert existing == [
        ["trunkline"],
        ["trunkline"],
        ["trunkline", "trunkline-server"],
        ["trunkline-server"],
    ]
    server = eks.describe_fargate_profile(clusterName="demo", fargateProfileName="trunkline-server")
    assert server["fargateProfile"]["selectors"] == [
        {"namespace": "trunkline", "labels": {"app.kubernetes.io/component": "server"}}
    ]
