"""Every example in the help of a command runs, against one server with prepared repos and pipelines."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from trunkline.cli.command_table import TABLE
from trunkline.cli.parsing import load

if TYPE_CHECKING:
    from pathlib import Path

    from servers import Server

#: They go through a whole server for a minute; continuous integration runs them by name.
pytestmark = pytest.mark.slow

#: Examples that do not run here, by their beginnings, and why.
EXCUSED = {
    "trunkline serve": "runs until it is stopped; each page of the handbook starts one",
    "trunkline worker": "runs until it is stopped, for a server on another machine",
    "trunkline demo": "starts a server of its own and installs packages",
    "trunkline top": "is for a terminal, or runs until nothing does",
    "trunkline subscribe commit": "does not end",
    "trunkline logs -p count -f": "does not end",
    "trunkline events -f": "does not end",
    "trunkline fargate apply": "changes an AWS account",
    "trunkline fargate status": "reads an AWS account",
    "trunkline fargate delete": "changes an AWS account",
    'trunkline edit pipeline count --editor "code --wait"': "opens a window",
}
_SPEC = """pipeline: {name: NAME}
metadata: {labels: {node: fargate}}
input: {pfs: {repo: REPO, glob: "/*.txt"}}
transform: {cmd: [bash], stdin: ["SCRIPT"]}
"""
#: The repo that each pipeline reads, and its command.
PIPELINES = {
    "count": ("texts", "wc -w /pfs/texts/* > /pfs/out/$(basename /pfs/texts/*)"),
    "old-count": ("texts", "wc -l /pfs/texts/* > /pfs/out/$(basename /pfs/texts/*)"),
    "flaky": ("scripts", "echo boom; exit 3"),
    "train": ("scripts", "sleep 1000"),
}


def _spec(name: str, repo: str, script: str) -> str:
    return _SPEC.replace("NAME", name).replace("REPO", repo).replace("SCRIPT", script)


FILES = {
    "hamlet.txt": "to be or not to be\n",
    "lear.txt": "nothing will come of nothing\n",
    "plays/macbeth.txt": "tomorrow\n",
    "pipelines/lines.yaml": _spec("lines", "texts", "true"),
    "report.yaml": "pipeline: {name: report}\n"
    "input: {cron: {name: tick, spec: '@yearly'}}\ntransform: {cmd: ['true']}\n",
    "defaults.json": '{"createPipelineRequest": {"datumTries": 5}}\n',
    "secret.yaml": "apiVersion: v1\nkind: Secret\nmetadata: {name: database}\nstringData: {password: x}\n",
    "image/requirements.txt": "",
    "ca.pem": "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n",
    **{f"{name}.yaml": _spec(name, *rest) for name, rest in PIPELINES.items()},
}
#: Lines that prepare for the first example of a command.
BEFORE = {
    "update project": "trunkline create project art || true",
    "delete project": "trunkline create project sketches && trunkline create project drafts",
    "delete repo": "trunkline create repo old-texts",
    "delete branch": "trunkline create branch texts@trial --head master",
    "find commit": "trunkline put file texts@master -f hamlet.txt",
    "squash commit": "trunkline put file texts@master -f lear.txt && trunkline put file texts@master -f hamlet.txt",
    "delete commit": "trunkline create repo old-texts && trunkline put file old-texts@master -f lear.txt",
    "resume transaction": "trunkline stop transaction; trunkline start transaction; trunkline stop transaction",
    "inspect transaction": "trunkline start transaction",
    "delete transaction": "trunkline stop transaction; trunkline start transaction",
    "create pipeline": "trunkline delete pipeline count --force",
    "wait commit": "trunkline wait commit count@master",
    "explain file": "trunkline wait commit count@master",
    "run cron": "trunkline create pipeline -f report.yaml",
    "list datum": "trunkline wait job flaky@ || true",
    "delete job": "trunkline create pipeline -f old-count.yaml; trunkline wait job old-count@",
    "restart datum": "for i in $(seq 100); do trunkline restart datum train@ /hamlet.txt && break; sleep 0.1; done",
    "fargate plan": "trunkline fargate render -f count.yaml --cluster lab --region us-east-1 > profile.yaml",
    "start pipeline": "trunkline stop pipeline count",
    "diff file": "trunkline put file texts@dev -f lear.txt",
    "copy file": "trunkline put file texts@dev -f lear.txt -f hamlet.txt",
    "delete file": "trunkline put file texts@dev:/ -f lear.txt && trunkline put file texts@dev:/plays/ -r -f plays",
}
#: Lines between the examples of a command.
BETWEEN = {
    "delete pipeline": "trunkline create pipeline -f old-count.yaml || trunkline update pipeline -f old-count.yaml",
    "start commit": "trunkline finish commit texts@master || true",
    "delete commit": "true",
    "delete transaction": "trunkline start transaction || true",
    "delete repo": "trunkline create repo old-texts || true",
}
#: Lines after the last example of a command.
AFTER = {
    "start commit": "trunkline finish commit texts@dev; trunkline start commit texts@master",
    "start transaction": "true",
    "stop pipeline": "trunkline start pipeline count",
    "delete pipeline": "trunkline delete repo old-count --force || true",
    "delete commit": "trunkline delete repo old-texts",
}


@pytest.fixture(scope="module")
def shell(shared: Server, tmp_path_factory: pytest.TempPathFactory):
    """Runs lines in a folder with the files that examples name, against a server with what they name."""
    folder = tmp_path_factory.mktemp("examples")
    for name, text in FILES.items():
        path: Path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    environment = {
        "PATH": os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]]),
        "HOME": str(folder),
        "TRUNKLINE_ADDRESS": shared.address,
        "EDITOR": "true",
        "LANG": "C.UTF-8",
    }

    def run(line: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-c", line], cwd=folder, env=environment, capture_output=True, text=True, timeout=120,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip

    lines = [
        "trunkline create repo texts",
        "trunkline put file texts@master -f hamlet.txt",
        "trunkline put file texts@master:/plays/ -r -f plays",
        "trunkline put file texts@master -f lear.txt",
        "trunkline create branch texts@dev --head master",
        "trunkline create repo scripts",
        "trunkline put file scripts@master -f hamlet.txt",
        *(f"trunkline create pipeline -f {name}.yaml" for name in PIPELINES),
        "trunkline wait commit count@master",
    ]
    for line in lines:
        done = run(line)
        assert done.returncode == 0, f"{line}: {done.stderr}"
    yield run
    run("trunkline delete pipeline --all --force --yes; trunkline delete repo --all -A --force --yes")


@pytest.mark.parametrize("name", TABLE)
def test_the_examples_of_a_command_run(shell, name):
    examples = [line for line, _ in load(name).examples if not line.startswith(tuple(EXCUSED))]
    shell(BEFORE.get(name, "true"))
    for number, line in enumerate(examples):
        if number:
            shell(BETWEEN.get(name, "true"))
        real = _with_real_ids(shell, line)

        done = shell(real)

        assert done.returncode == 0, f"{real}\n{done.stdout}{done.stderr}"
    shell(AFTER.get(name, "true"))


def test_every_excuse_is_for_an_example():
    lines = [line for name in TABLE for line, _ in load(name).examples]

    assert [start for start in EXCUSED if not any(line.startswith(start) for line in lines)] == []
    assert sum(line.startswith(tuple(EXCUSED)) for line in lines) < len(lines) / 10


def _with_real_ids(shell, line: str) -> str:
    """Return an example with ids of this server in the place of its own."""
    job = re.search(r"(\w+)@ ", line)
    questions = {
        "job ff3b455be0da": "trunkline list job -p count -n 1 -o name",
        "ff3b455be0da": "trunkline list commit texts@master -n 1 -o name",
        "dc7cceeb": f"trunkline list datum {job[1] if job else 'count'}@ -n 1 -o name",
        "0b9c2f60b4cf4b1e9d3c63f0a4b8f5d1": "trunkline list transaction -o name",
        "5f0c2a9e1b7d4c36": "trunkline list worker-token -o name",
    }
    for id, question in questions.items():
        if id in line:
            line = line.replace(id.split()[-1], shell(question).stdout.splitlines()[0].rpartition("@")[2])
    return line
