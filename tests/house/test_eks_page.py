"""The pages about EKS: every figure and sentence is the one that the code gives."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import yaml
from eks_page import PAGE, ROOT, blocks, clone, run

from trunkline.model import spec_rules

if TYPE_CHECKING:
    from pathlib import Path

PLOTS = ROOT / "docs/plots"


@pytest.fixture
def folder(tmp_path):
    return clone(tmp_path / "clone")


def test_the_files_of_the_page_are_rendered_as_it_says(folder):
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    for command in lines:
        if command.startswith(("sed ", "trunkline nodes render")):
            assert run(command, folder).returncode == 0

    group, pool = (yaml.safe_load_all((folder / name).read_text()) for name in ("group.yaml", "pool.yaml"))
    assert [document["kind"] for document in group] == ["ClusterConfig"]
    assert [document["kind"] for document in pool] == ["NodePool", "EC2NodeClass"]
    copies = [json.loads((folder / name).read_text()) for name in ("edges.json", "montage.json")]
    assert {spec["transform"]["image"] for spec in copies} == {
        "111122223333.dkr.ecr.us-east-1.amazonaws.com/opencv:1"
    }
    header = (folder / "group.yaml").read_text().splitlines()[0]
    assert header == "# eksctl create nodegroup -f THIS_FILE"
    assert "eksctl create nodegroup -f group.yaml" in lines


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
    (document,) = map(json.loads, blocks("json"))
    example = json.loads((ROOT / "examples/opencv/edges.json").read_text())

    assert document == {key: value for key, value in example.items() if key != "description"}
    assert spec_rules.load(document).autoscaling


@pytest.mark.parametrize(("memory", "machine"), [("8Gi", "2vCPU 9GB"), ("7.6Gi", "1vCPU 8GB")])
def test_the_requests_that_the_page_warns_of_get_these_machines(folder, memory, machine):
    assert f'"{memory}"' in PAGE
    plan = json.loads(run(f"trunkline fargate plan -f {asking(folder, 1, memory)} -o json", folder).stdout)

    assert plan["machine"]["capacity_provisioned"] == machine
    assert any("less" in finding["sentence"] for finding in plan["findings"]) == (memory == "8Gi")


def test_the_break_evens_that_the_page_tells_are_those_of_the_plan(folder):
    def minutes(file: str) -> dict[str, float | None]:
        command = f"trunkline nodes plan -f {file} --datums 500 --seconds-per-datum 4 -o json"
        runs = json.loads(run(command, folder).stdout)["runs"]
        return {job["place"]: job["break_even"] and job["break_even"] * job["workers"] / 60 for job in runs}

    fitting, uneven = minutes("examples/opencv/edges.json"), minutes(asking(folder, 3, "8Gi"))

    assert "no node on demand is cheaper, however long the job" in PAGE
    assert (fitting["node group, 60 s"], fitting["karpenter"]) == (None, None)
    assert "up to about a quarter of an hour of work" in PAGE
    assert uneven["karpenter"] == pytest.approx(15, rel=0.2)
    assert "up to about two hours" in PAGE
    assert uneven["node group"] == pytest.approx(120, rel=0.2)


def asking(folder: Path, cpu: float, memory: str) -> str:
    """Write the page's pipeline with another request; return the file's name."""
    spec = json.loads((ROOT / "examples/opencv/edges.json").read_text())
    spec["resource_requests"] = {"cpu": cpu, "memory": memory}
    (folder / "asking.json").write_text(json.dumps(spec))
    return "asking.json"


def test_the_plots_are_those_that_the_program_draws(tmp_path):
    committed = {path.name: path.read_text() for path in PLOTS.glob("*.svg")}

    subprocess.run([sys.executable, str(PLOTS / "draw.py"), str(tmp_path)], check=True, timeout=60)

    assert {path.name: path.read_text() for path in tmp_path.glob("*.svg")} == committed
    assert all(f"](../plots/{name})" in PAGE for name in committed)


def test_the_sentences_of_the_page_are_those_that_the_code_says():
    code = "".join(path.read_text() for path in (ROOT / "src").rglob("*.py"))
    code = re.sub(r'"\s*\n\s*f?"', "", code)  # sentences that are written in several pieces
    waits = PAGE.partition("| Sentence |")[2].partition("\n\n")[0].splitlines()[2:]
    wrong = PAGE.partition("| You see |")[2].partition("\n\n")[0].splitlines()
    sentences = [row.split("|")[1].partition(" (simulated")[0] for row in waits]
    sentences += re.findall(r"\(simulated: \"([^\"]+)\"\)", PAGE)
    symptoms = [row.split("|")[1] for row in wrong if row.startswith("| ")]
    sentences += [text for cell in symptoms for text in re.findall(r'"([^"]+)"', cell)]

    pieces = [piece.strip(' ;:".') for text in sentences for piece in text.split("…")]

    assert len(pieces) > 15
    assert [piece for piece in pieces if piece and piece not in code] == []
