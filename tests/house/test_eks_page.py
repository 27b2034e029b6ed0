"""docs/eks.md: every command is run by a test, every figure and sentence is the one that the code gives."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest
import yaml
from eks_page import PAGE, ROOT, blocks, clone, commands, place, run, said_to

from trunkline.model import spec_rules

PLOTS = ROOT / "docs/plots"


def test_every_command_of_the_page_is_run_by_a_test():
    lines = [line for block in blocks("sh") for line in block.splitlines()]

    assert len(lines) > 30
    assert [line for line in lines if not place(line)] == []


@pytest.fixture
def folder(tmp_path):
    return clone(tmp_path / "clone")


def test_what_needs_no_account_works_offline_and_says_what_the_page_shows(folder):
    for command in commands("offline"):
        if command.startswith("eksctl "):
            continue  # judged below: it would call AWS
        done = run(command, folder)

        assert done.returncode == 0, f"{command}\n{done.stderr}"
        assert [line for line in said_to(command) if line not in done.stdout.splitlines()] == []

    group, pool = (yaml.safe_load_all((folder / name).read_text()) for name in ("group.yaml", "pool.yaml"))
    assert [one["kind"] for one in group] == ["ClusterConfig"]
    assert [one["kind"] for one in pool] == ["NodePool", "EC2NodeClass"]
    copies = [json.loads((folder / name).read_text()) for name in ("edges.json", "montage.json")]
    assert {one["transform"]["image"] for one in copies} == {
        "111122223333.dkr.ecr.us-east-1.amazonaws.com/opencv:1"
    }


def test_the_file_for_eksctl_is_the_one_that_eksctl_is_given(folder):
    (given,) = (one for one in commands("offline") if one.startswith("eksctl "))
    (made,) = (one for one in commands("offline") if one.endswith("> group.yaml"))

    told = run(made.partition(" >")[0], folder).stdout.splitlines()[0]

    assert told == "# eksctl create nodegroup -f THIS_FILE"
    assert given == "eksctl create nodegroup -f group.yaml"


def test_a_spec_with_what_the_page_adds_comes_to_the_rendered_nodes(folder):
    (addition,) = (block for block in map(yaml.safe_load, blocks("yaml")) if "scheduling_spec" in block)
    spec = json.loads((ROOT / "examples/opencv/edges.json").read_text())
    (folder / "mine.json").write_text(json.dumps({**spec, **addition}))

    for autoscaler in ("cluster-autoscaler", "karpenter"):
        done = run(
            "trunkline nodes render -f mine.json --cluster demo --region us-east-1"
            f" --autoscaler {autoscaler}",
            folder,
        )

        assert (done.returncode, done.stderr) == (0, "")


def test_the_pipeline_of_the_page_is_that_of_the_example():
    (shown,) = map(json.loads, blocks("json"))
    example = json.loads((ROOT / "examples/opencv/edges.json").read_text())

    assert shown == {key: value for key, value in example.items() if key != "description"}
    assert spec_rules.load(shown).autoscaling


def test_the_smaller_request_that_the_page_proposes_gets_the_smaller_machine(folder):
    spec = json.loads((ROOT / "examples/opencv/edges.json").read_text())
    assert '`"cpu": 0.95`' in PAGE
    spec["resource_requests"]["cpu"] = 0.95
    (folder / "smaller.json").write_text(json.dumps(spec))

    done = run("trunkline fargate plan -f smaller.json -o json", folder)

    assert json.loads(done.stdout)["machine"]["capacity_provisioned"] == "1vCPU 5GB"


def test_the_break_evens_that_the_page_tells_are_those_of_the_plan(folder):
    (command,) = (one for one in commands("offline") if one.startswith("trunkline nodes plan"))
    runs = json.loads(run(f"{command} -o json", folder).stdout)["runs"]
    minutes = {one["place"]: one["break_even"] * one["workers"] / 60 for one in runs if one["break_even"]}

    assert "up to about a quarter of an hour of work" in PAGE
    assert minutes["karpenter"] == pytest.approx(15, rel=0.2)
    assert "up to about two hours" in PAGE
    assert minutes["node group"] == pytest.approx(120, rel=0.2)


def test_the_plots_are_those_that_the_program_draws(tmp_path):
    kept = {path.name: path.read_text() for path in PLOTS.glob("*.svg")}

    subprocess.run([sys.executable, str(PLOTS / "draw.py"), str(tmp_path)], check=True, timeout=60)

    assert {path.name: path.read_text() for path in tmp_path.glob("*.svg")} == kept
    assert all(f"](plots/{name})" in PAGE for name in kept)


def test_the_sentences_of_the_page_are_those_that_the_code_says():
    code = "".join(path.read_text() for path in (ROOT / "src").rglob("*.py"))
    code = re.sub(r'"\s*\n\s*f?"', "", code)  # sentences that are written in several pieces
    waits = PAGE.partition("| Sentence |")[2].partition("\n\n")[0].splitlines()[2:]
    wrong = PAGE.partition("## 9.")[2].splitlines()
    told = [row.split("|")[1].partition(" (rehearsed")[0] for row in waits]
    told += re.findall(r"\(rehearsed: \"([^\"]+)\"\)", PAGE)
    seen = [row.split("|")[1] for row in wrong if row.startswith("| ")][1:]
    told += [text for cell in seen for text in re.findall(r'"([^"]+)"', cell)]

    pieces = [piece.strip(' ;:".') for text in told for piece in text.split("…")]

    assert len(pieces) > 15
    assert [piece for piece in pieces if piece and piece not in code] == []
