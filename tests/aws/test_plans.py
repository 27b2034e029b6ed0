"""``fargate plan``, ``fargate render``, ``nodes plan`` and ``nodes render``: offline, for people and programs."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys

import jsonschema
import pytest
import yaml

from trunkline.cli import exit_codes
from trunkline.cli.main import main

EDGES = {
    "pipeline": {"name": "edges"},
    "metadata": {"labels": {"node": "fargate"}},
    "resource_requests": {"memory": "4Gi", "cpu": 1},
    "parallelism_spec": {"constant": 5},
    "autoscaling": True,
    "input": {"pfs": {"repo": "images", "glob": "/*"}},
    "transform": {"cmd": ["python3", "/edges.py"], "image": "pachyderm/opencv"},
}


@pytest.fixture
def run(capfd, tmp_path, monkeypatch):
    """Run a command line in an empty folder with ``spec.json``."""
    for name in list(os.environ):
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.chdir(tmp_path)

    def run(*words, spec=EDGES, **changes):
        specs = spec if isinstance(spec, list) else [{**spec, **changes}]
        (tmp_path / "spec.json").write_text("\n".join(map(json.dumps, specs)))
        capfd.readouterr()
        code = main(words)
        captured = capfd.readouterr()
        return code, captured.out, captured.err

    return run


def plan(run, *more, **changes):
    """Return exit code and plan, as JSON."""
    code, out, err = run("fargate", "plan", "-f", "spec.json", "-o", "json", *more, **changes)
    assert out, err
    return code, json.loads(out)


def refused(planned):
    return {finding["rule"] for finding in planned["findings"] if finding["weight"] == "refused"}


def test_the_plan_of_the_article_says_profile_size_price_and_how_to_pay_less(run):
    code, out, _ = run("fargate", "plan", "-f", "spec.json", "--datums", "500", "--seconds-per-datum", "4")

    assert code == 0
    lines = out.splitlines()
    assert lines[0] == "edges: 5 workers at most; runs on Fargate"
    assert 'profile "trunkline" takes it' in lines[1]
    assert "asks for    1 CPU, 4.125 GiB (user 1 CPU, 4 GiB; worker 0 CPU, 0.125 GiB)" in lines[2]
    assert "1vCPU 5GB with 20 GB of storage; 0 vCPU and 0.625 GB of it unused" in lines[3]
    assert "0.0627 USD per hour and worker, 0.314 with all 5 (us-east-1, list prices of 2026-03)" in lines[4]
    assert "50 s (expected, not measured)" in lines[5]
    assert "500 datums of 4 s: 7 min 30 s and 0.036 USD with 5 workers" in lines[6]
    assert len(lines) == 7


def test_a_request_just_above_a_size_is_reported_with_what_a_smaller_one_saves(run):
    code, out, _ = run("fargate", "plan", "-f", "spec.json", resource_requests={"cpu": 1.05, "memory": "4Gi"})

    assert code == 0
    assert "2vCPU 5GB" in out
    assert "ask for 0.05 CPU less and pay 39% less" in out


def test_the_plan_for_programs_has_the_same_numbers(run):
    code, planned = plan(run, "--datums", "500", "--seconds-per-datum", "4", "--startup", "80")

    assert code == 0
    assert planned["runs"] is True
    assert planned["profile"]["name"] == "trunkline"
    assert planned["machine"]["capacity_provisioned"] == "1vCPU 5GB"
    assert planned["price"]["worker_hour"] == pytest.approx(0.04048 + 5 * 0.004445)
    assert planned["startup_seconds"] == 80
    assert planned["job"]["seconds"] == 80 + 400
    assert planned["job"]["dollars"] > 0


def test_several_specs_are_planned_one_after_the_other(run):
    small = {**EDGES, "pipeline": {"name": "small"}, "resource_requests": {"cpu": 0.2, "memory": "100Mi"}}

    code, out, _ = run("fargate", "plan", "-f", "spec.json", spec=[EDGES, small])

    assert code == 0
    assert "edges: 5 workers" in out
    assert "\nsmall: 5 workers" in out
    assert "0.25vCPU 0.5GB" in out


def test_a_spec_that_asks_for_nothing_is_sized_as_the_fleet_will(run):
    _, planned = plan(run, spec={key: value for key, value in EDGES.items() if key != "resource_requests"})

    assert planned["machine"]["capacity_provisioned"] == "0.25vCPU 1GB"


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"resource_requests": {"cpu": 17, "memory": "1Gi"}}, "cpu"),
        ({"resource_requests": {"cpu": 1, "memory": "121Gi"}}, "memory"),
        ({"resource_requests": {"cpu": 1, "memory": "1Gi", "disk": "160Gi"}}, "storage"),
        ({"resource_limits": {"gpu": {"type": "nvidia.com/gpu", "number": 1}}}, "gpu"),
        (
            {
                "pod_patch": '[{"op": "add", "path": "/containers/0/securityContext/privileged", "value": true}]'
            },
            "privileged",
        ),
        ({"pod_spec": '{"hostNetwork": true}'}, "host-network"),
        ({"scheduling_spec": {"node_selector": {"kubernetes.io/arch": "arm64"}}}, "processor-kind"),
    ],
)
def test_what_cannot_run_on_fargate_ends_with_1_and_the_broken_rule(run, changes, rule):
    code, planned = plan(run, **changes)

    assert code == exit_codes.FAILURE
    assert planned["runs"] is False
    assert rule in refused(planned)


def test_profiles_of_the_cluster_decide_when_they_are_given(run, tmp_path):
    def profile(name, **labels):
        return {"name": name, "selectors": [{"namespace": "default", "labels": labels}]}

    (tmp_path / "p.yaml").write_text(
        yaml.safe_dump({"fargateProfiles": [profile("b", node="fargate"), profile("a", node="f*")]})
    )
    code, planned = plan(run, "--profiles", "p.yaml")
    assert (code, planned["profile"]["name"], planned["profile"]["ambiguous"]) == (0, "a", True)

    code, planned = plan(run, "--profiles", "p.yaml", metadata={"labels": {"node": "ec2"}})
    assert code == exit_codes.FAILURE
    assert 'which requires label node="f*" where the pod has node="ec2"' in planned["profile"]["sentence"]


def test_a_pipeline_without_labels_is_taken_by_no_profile_of_ours(run):
    code, planned = plan(run, metadata={"labels": {}})

    assert code == exit_codes.FAILURE
    assert "create one with: trunkline fargate apply" in planned["profile"]["sentence"]


def test_a_quota_that_is_too_small_is_reported_before_it_is_reached(run):
    code, out, _ = run("fargate", "plan", "-f", "spec.json", "--vcpu-quota", "3")
    assert code == 0
    assert "only 3 of 5 workers can run at once" in out

    code, planned = plan(run, "--vcpu-quota", "0.5")
    assert (code, planned["runs"], planned["at_once"]) == (exit_codes.FAILURE, False, 0)


def test_many_workers_are_planned_with_the_time_to_launch_them(run):
    code, out, _ = run("fargate", "plan", "-f", "spec.json", parallelism_spec={"constant": 120})

    assert code == 0
    assert "the last of 120 is launched 5 s later, at 20 at once and then 20 per second" in out


def test_a_region_without_prices_is_reported_and_a_price_file_adds_them(run, tmp_path):
    code, _, err = run("fargate", "plan", "-f", "spec.json", "--region", "af-south-1")
    assert code == exit_codes.NOT_FOUND
    assert 'no prices for region "af-south-1" in the table of 2026-03' in err
    assert "--prices FILE" in err

    (tmp_path / "prices.json").write_text(
        '{"as_of": "today", "regions": {"af-south-1": {"fargate": {"vcpu": 1, "gb": 0}}}}'
    )
    code, out, _ = run(
        "fargate", "plan", "-f", "spec.json", "--region", "af-south-1", "--prices", "prices.json"
    )
    assert code == 0
    assert "1 USD per hour and worker" in out.replace("1.00", "1")


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("--datums", "5"), exit_codes.USAGE, "needs both --datums and --seconds-per-datum"),
        (("--datums", "0", "--seconds-per-datum", "1"), exit_codes.USAGE, '"0" is not a number of 1 or more'),
        (("--datums", "1.5", "--seconds-per-datum", "1"), exit_codes.USAGE, '"1.5" is not a whole number'),
        (("--startup", "-3"), exit_codes.USAGE, "startup"),
        (("--startup", "nan"), exit_codes.USAGE, '"nan" is not a number above 0'),
        (("--region", "mars"), exit_codes.USAGE, '"mars" is not an AWS region'),
        (("--prices", "nowhere.json"), exit_codes.NOT_FOUND, "nowhere.json: No such file"),
        (("--profiles", "spec.json"), exit_codes.USAGE, "holds no Fargate profile"),
    ],
)
def test_arguments_that_are_not_valid_are_reported_in_one_line(run, words, code, message):
    done, out, err = run("fargate", "plan", "-f", "spec.json", *words)

    assert (done, out) == (code, "")
    assert err.count("\n") == 1
    assert message in err


def test_a_file_that_is_neither_json_nor_yaml_is_reported_with_its_place(run, tmp_path):
    (tmp_path / "p.yaml").write_text("a: [1,\nb: ]: {")

    _, _, err = run("fargate", "plan", "-f", "spec.json", "--profiles", "p.yaml")

    assert "p.yaml is neither JSON nor YAML at line 2" in err


def test_render_prints_a_file_that_the_next_tool_takes(run):
    code, out, err = run("fargate", "render", "-f", "spec.json", "--cluster", "demo", "--region", "eu-west-1")

    assert (code, err) == (0, "")
    (profile,) = yaml.safe_load(out)["fargateProfiles"]
    assert profile["selectors"] == [{"namespace": "default", "labels": {"node": "fargate"}}]


def test_render_without_a_region_or_without_pods_says_what_is_missing(run):
    no_region = run("fargate", "render", "-f", "spec.json", "--cluster", "demo")
    no_pods = run("fargate", "render", "--cluster", "demo", "--region", "us-east-1")
    bad_label = run("fargate", "render", "--cluster", "demo", "--region", "us-east-1", "--label", "node")

    assert no_region[0] == no_pods[0] == bad_label[0] == exit_codes.USAGE
    assert "add --region" in no_region[2]
    assert "add the specs with -f FILE, or --label node=fargate" in no_pods[2]
    assert '--label "node" is not KEY=VALUE' in bad_label[2]


def test_a_plan_imports_neither_the_database_nor_the_cloud_nor_the_wire(tmp_path):
    """This keeps it under 300 ms."""
    (tmp_path / "spec.json").write_text(json.dumps(EDGES))
    probe = (
        "import sys; from trunkline.cli.main import main; code = main(sys.argv[1:]); "
        "print('\\n'.join(sys.modules), file=sys.stderr); sys.exit(code)"
    )

    done = subprocess.run(
        [sys.executable, "-c", probe, "fargate", "plan", "-f", str(tmp_path / "spec.json")],
        capture_output=True,
        text=True,
        check=True,
    )

    slow = {
        "boto3",
        "botocore",
        "sqlalchemy",
        "grpc",
        "google.protobuf.message",
        "rich",
        "obstore",
        "asyncio",
        "lightkube",
    }
    assert not set(done.stderr.split()) & slow


@pytest.mark.parametrize("columns", [80, 120])
def test_sentences_are_wrapped_at_the_width_of_the_terminal(tmp_path, columns):
    (tmp_path / "spec.json").write_text(json.dumps(EDGES))
    leader, follower = pty.openpty()
    import fcntl
    import struct
    import termios

    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    command = [sys.executable, "-m", "trunkline.cli", "fargate", "plan", "-f", str(tmp_path / "spec.json")]
    with subprocess.Popen(command, stdout=follower, stdin=subprocess.DEVNULL) as process:
        os.close(follower)
        output = b""
        try:
            while chunk := os.read(leader, 65536):
                output += chunk
        except OSError:
            pass  # the other side is closed
    os.close(leader)

    assert process.returncode == 0
    lines = output.decode().splitlines()
    assert len(lines) > 6
    assert max(map(len, lines)) <= columns


# Nodes ------------------------------------------------------------------------------------------------------


def test_nodes_plan_shows_machines_and_every_place_side_by_side(run):
    code, out, _ = run("nodes", "plan", "-f", "spec.json", "--datums", "500", "--seconds-per-datum", "4")

    assert code == 0
    assert "edges: 5 workers of 1 CPU, 4.125 GiB (us-east-1" in out
    for place in ("fargate ", "node group ", "node group, 60 s", "karpenter ", "karpenter, spot"):
        assert f"\n{place}" in out
    assert "node group is never cheaper than Fargate for these workers" in out


def test_the_plan_says_from_which_amount_of_work_a_machine_is_cheaper(run):
    words = ("--datums", "500", "--seconds-per-datum", "4")

    _, out, _ = run("nodes", "plan", "-f", "spec.json", *words, parallelism_spec={"constant": 6})

    assert "node group is cheaper than Fargate when each worker has over" in out


def test_nodes_plan_for_programs_orders_the_places_by_their_tails(run):
    _, out, _ = run(
        "nodes", "plan", "-f", "spec.json", "--datums", "500", "--seconds-per-datum", "4", "-o", "json"
    )

    planned = json.loads(out)
    dollars = {place_run["place"]: place_run["dollars"] for place_run in planned["runs"]}
    assert dollars["karpenter"] < dollars["node group, 60 s"] < dollars["node group"]
    assert planned["machines"][0]["workers"] >= 3


def test_a_smaller_request_that_saves_a_machine_is_reported(run):
    requests = {"cpu": 1.31, "memory": "2Gi"}

    _, out, _ = run(
        "nodes", "plan", "-f", "spec.json", resource_requests=requests, parallelism_spec={"constant": 3}
    )

    assert "for all containers of a worker" in out


def test_a_worker_larger_than_every_machine_ends_with_1(run):
    code, out, _ = run("nodes", "plan", "-f", "spec.json", resource_requests={"cpu": 100, "memory": "1Gi"})

    assert code == exit_codes.FAILURE
    assert "no machine type in the table is large enough" in out


def node_group(run, *more, **changes):
    code, out, err = run(
        "nodes", "render", "-f", "spec.json", "--cluster", "demo", "--region", "us-east-1", *more, **changes
    )
    assert code == 0, err
    return list(yaml.safe_load_all(out)), err


#: The parts of eksctl's node group that are written, from its published schema.
NODE_GROUP = {
    "type": "object",
    "required": ["name", "minSize", "maxSize", "desiredCapacity", "tags", "labels"],
    "additionalProperties": False,
    "properties": {
        "name": {"type": "string"},
        "minSize": {"const": 0},
        "desiredCapacity": {"const": 0},
        "maxSize": {"type": "integer", "minimum": 1},
        "volumeSize": {"type": "integer"},
        "privateNetworking": {"type": "boolean"},
        "instanceType": {"type": "string"},
        "instancesDistribution": {
            "type": "object",
            "additionalProperties": False,
            "required": ["instanceTypes"],
            "properties": {
                "instanceTypes": {"type": "array", "items": {"type": "string"}},
                "onDemandBaseCapacity": {"type": "integer"},
                "onDemandPercentageAboveBaseCapacity": {"type": "integer", "minimum": 0, "maximum": 100},
                "spotAllocationStrategy": {
                    "enum": ["price-capacity-optimized", "capacity-optimized", "lowest-price"]
                },
            },
        },
        "labels": {"type": "object", "additionalProperties": {"type": "string"}},
        "tags": {"type": "object", "additionalProperties": {"type": "string"}},
        "taints": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["key", "value", "effect"],
                "properties": {"effect": {"enum": ["NoSchedule", "NoExecute", "PreferNoSchedule"]}},
            },
        },
    },
}


def test_a_group_for_cluster_autoscaler_starts_from_zero_and_is_removed_soon(run):
    (config,), _ = node_group(run)

    (group,) = config["nodeGroups"]
    jsonschema.validate(group, NODE_GROUP)
    assert (group["minSize"], group["desiredCapacity"], group["maxSize"]) == (0, 0, 2)
    prefix = "k8s.io/cluster-autoscaler"
    assert group["tags"] == {
        f"{prefix}/enabled": "true",
        f"{prefix}/demo": "owned",
        f"{prefix}/node-template/autoscaling-options/scaledownunneededtime": "60s",
        f"{prefix}/node-template/resources/ephemeral-storage": "80Gi",
        f"{prefix}/node-template/label/trunkline.dev/pool": "workers",
        f"{prefix}/node-template/taint/trunkline.dev/pool": "workers:NoSchedule",
    }
    assert group["taints"] == [{"key": "trunkline.dev/pool", "value": "workers", "effect": "NoSchedule"}]
    sizes = {name.partition(".")[2] for name in group["instancesDistribution"]["instanceTypes"]}
    assert len(sizes) == 1  # Cluster Autoscaler knows only the first type


def test_the_options_of_a_group_reach_the_file(run):
    more = (
        "--type",
        "m5.xlarge",
        "--max-machines",
        "7",
        "--unneeded",
        "300",
        "--no-taint",
        "--name",
        "batch",
    )

    (config,), _ = node_group(run, *more)

    (group,) = config["nodeGroups"]
    assert (group["name"], group["instanceType"], group["maxSize"]) == ("batch", "m5.xlarge", 7)
    assert "taints" not in group
    assert (
        group["tags"]["k8s.io/cluster-autoscaler/node-template/autoscaling-options/scaledownunneededtime"]
        == "300s"
    )
    assert not any("taint" in key for key in group["tags"])


def test_spot_groups_spread_over_types(run):
    (config,), _ = node_group(run, "--spot")

    (group,) = config["nodeGroups"]
    jsonschema.validate(group, NODE_GROUP)
    assert group["instancesDistribution"]["onDemandPercentageAboveBaseCapacity"] == 0
    assert group["instancesDistribution"]["spotAllocationStrategy"] == "price-capacity-optimized"


def test_karpenters_pool_does_not_disturb_busy_workers(run):
    (pool, node_class), _ = node_group(run, "--autoscaler", "karpenter", "--spot")

    disruption = pool["spec"]["disruption"]
    assert (pool["apiVersion"], pool["kind"]) == ("karpenter.sh/v1", "NodePool")
    assert disruption["consolidationPolicy"] == "WhenEmpty"
    assert pool["spec"]["template"]["spec"]["expireAfter"] == "Never"
    requirements = {
        requirement["key"]: requirement["values"]
        for requirement in pool["spec"]["template"]["spec"]["requirements"]
    }
    assert requirements["karpenter.sh/capacity-type"] == ["spot", "on-demand"]
    assert "m6a.xlarge" in requirements["node.kubernetes.io/instance-type"]
    assert node_class["kind"] == "EC2NodeClass"
    assert pool["spec"]["template"]["spec"]["nodeClassRef"]["name"] == node_class["metadata"]["name"]


def test_specs_that_do_not_select_the_machines_are_listed_with_the_missing_fields(run):
    _, err = node_group(run)
    assert 'add "scheduling_spec": {"node_selector": {"trunkline.dev/pool": "workers"}} to its spec' in err
    assert "edges does not tolerate the taint" in err

    _, quiet = node_group(
        run,
        scheduling_spec={"node_selector": {"trunkline.dev/pool": "workers"}},
        tolerations=[{"key": "trunkline.dev/pool", "operator": "EXISTS"}],
    )
    assert quiet == ""


def test_a_machine_that_is_unknown_or_too_small_is_reported(run):
    words = ("nodes", "render", "-f", "spec.json", "--cluster", "demo", "--region", "us-east-1", "--type")

    unknown, small = run(*words, "p9.huge"), run(*words, "c6i.large")

    assert unknown[0] == small[0] == exit_codes.USAGE
    assert '--type "p9.huge" is not in the table' in unknown[2]
    assert '--type "c6i.large" does not hold one worker' in small[2]
