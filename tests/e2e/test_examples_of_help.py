"""Every example in the help of a command runs, on a server that holds what the command's examples name."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from pachyderm_sdk.api import pfs
from servers import make_repo, put

from trunkline.cli.command_table import TABLE
from trunkline.cli.parsing import load

if TYPE_CHECKING:
    from pathlib import Path

    from pachyderm_sdk import Client
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
    "othello.txt": "put out the light\n",
    "image/requirements.txt": "",
    "ca.pem": "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n",
    **{f"{name}.yaml": _spec(name, *rest) for name, rest in PIPELINES.items()},
}
#: Patterns of what examples name, and the line that makes it.
PREPARED = {
    **{rf"(?<![\w-]){name}\b(?!\.yaml)": f"trunkline create pipeline -f {name}.yaml" for name in PIPELINES},
    "ff3b455be0da": "trunkline create pipeline -f count.yaml || true; trunkline wait commit count@master",
    r" count@": "trunkline wait commit count@master",
    r"flaky@": "trunkline wait job flaky@ || true",
    r"old-count@": "trunkline wait job old-count@",
}
#: Lines that prepare for the first example of a command.
BEFORE = {
    "update project": "trunkline create project art",
    "create repo": "trunkline create project art",
    "delete project": "trunkline create project sketches && trunkline create project drafts",
    "delete repo": "trunkline create repo old-texts",
    "delete branch": "trunkline create branch texts@trial --head master",
    "finish commit": "trunkline start commit texts@master",
    "delete commit": "trunkline create repo old-texts && trunkline put file old-texts@master -f lear.txt",
    "finish transaction": "trunkline start transaction",
    "resume transaction": "trunkline start transaction; trunkline stop transaction",
    "stop transaction": "trunkline start transaction",
    "inspect transaction": "trunkline start transaction",
    "delete transaction": "trunkline start transaction",
    "run cron": "trunkline create pipeline -f report.yaml",
    "recommend": "trunkline wait commit count@master",
    "delete image": "trunkline create image wordcount:1 --from image",
    "revoke worker-token": "trunkline create worker-token",
    "inspect secret": "trunkline create secret -f secret.yaml",
    "delete secret": "trunkline create secret -f secret.yaml",
    "restart datum": "for i in $(seq 100); do trunkline restart datum train@ /hamlet.txt && break; sleep 0.1; done",
    "fargate plan": "trunkline fargate render -f count.yaml --cluster lab --region us-east-1 > profile.yaml",
    "start pipeline": "trunkline stop pipeline count",
    "diff file": "trunkline put file texts@dev -f lear.txt",
    "delete file": "trunkline put file texts@dev:/plays/ -r -f plays",
    "config get active-context": "trunkline config set context lab --address lab:30650",
    "config update context": "trunkline config set context lab --address lab:30650",
    "config set active-context": "trunkline config set context lab --address lab:30650",
    "config delete context": "trunkline config set context lab --address lab:30650",
}
#: Lines between the examples of a command.
BETWEEN = {
    "delete pipeline": "trunkline create pipeline -f old-count.yaml || true",
    "delete transaction": "trunkline start transaction",
}


class Examples:
    """Runs lines in a folder with the files that examples name, against the server of the tests."""

    def __init__(self, folder: Path, address: str) -> None:
        self._folder = folder
        self._environment = {
            "PATH": os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]]),
            "HOME": str(folder),
            "TRUNKLINE_ADDRESS": address,
            "EDITOR": "true",
            "LANG": "C.UTF-8",
        }
        for name, text in FILES.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def run(self, line: str) -> str:
        """Return what a line prints; it must succeed."""
        done = subprocess.run(
            ["bash", "-c", line], cwd=self._folder, env=self._environment, capture_output=True, text=True, timeout=60,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
        return done.stdout

    def with_real_ids(self, line: str) -> str:
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
                line = line.replace(id.split()[-1], self.run(question).splitlines()[0].rpartition("@")[2])
        return line


@pytest.fixture
def examples(client: Client, shared: Server, tmp_path: Path):
    """Examples on a server with two repos and nothing else."""
    texts, scripts = make_repo(client, "texts"), make_repo(client, "scripts")
    hamlet, lear, macbeth = (FILES[name].encode() for name in ("hamlet.txt", "lear.txt", "plays/macbeth.txt"))
    put(client, texts, {"/hamlet.txt": hamlet, "/plays/macbeth.txt": macbeth})
    put(client, texts, {"/lear.txt": lear})
    put(client, scripts, {"/hamlet.txt": hamlet})
    client.pfs.create_branch(
        branch=pfs.Branch(repo=texts.repo, name="dev"), head=pfs.Commit(branch=texts, repo=texts.repo)
    )
    yield Examples(tmp_path, shared.address)
    client.transaction.delete_all()
    for secret in client.pps.list_secret().secret_info:
        client.pps.delete_secret(secret=secret.secret)


@pytest.mark.parametrize("name", TABLE)
def test_the_examples_of_a_command_run(examples, name):
    lines = [line for line, _ in load(name).examples if not line.startswith(tuple(EXCUSED))]
    for pattern, line in PREPARED.items():
        if re.search(pattern, "\n".join(lines)):
            examples.run(line)
    examples.run(BEFORE.get(name, "true"))
    for number, line in enumerate(lines):
        if number:
            examples.run(BETWEEN.get(name, "true"))

        examples.run(examples.with_real_ids(line))


def test_every_excuse_is_for_an_example():
    lines = [line for name in TABLE for line, _ in load(name).examples]

    assert [start for start in EXCUSED if not any(line.startswith(start) for line in lines)] == []
    assert sum(line.startswith(tuple(EXCUSED)) for line in lines) < len(lines) / 10
