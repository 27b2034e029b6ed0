"""Other people's programs: built or installed where their tools are, skipped with the reason elsewhere."""

from __future__ import annotations

import os
import shutil
import subprocess
from importlib import resources
from pathlib import Path

import pytest
from grpc_tools import protoc

HERE = Path(__file__).resolve().parent
PROTOS = HERE.parents[1] / "protos"


def _run(command, folder, **variables):
    """Run a program that prepares a client; skip the test when it cannot."""
    if shutil.which(command[0]) is None:
        pytest.skip(f"needs {command[0]}")
    run = subprocess.run(
        command,
        cwd=folder,
        env=os.environ | variables,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if run.returncode != 0:
        pytest.skip(f"{' '.join(command[:2])} failed: {run.stderr.strip() or run.stdout.strip()}")


@pytest.fixture(scope="session")
def node_folder(tmp_path_factory):
    """A folder with the programs for Node and the packages that they need."""
    folder = tmp_path_factory.mktemp("node")
    shutil.copytree(HERE / "node", folder, dirs_exist_ok=True)
    _run(["npm", "ci", "--silent", "--no-audit", "--no-fund"], folder)
    return folder


@pytest.fixture(scope="session")
def go_programs(tmp_path_factory):
    """A folder with the client for Go, and h2spec."""
    folder = tmp_path_factory.mktemp("go")
    packages = [".", "github.com/summerwind/h2spec/cmd/h2spec"]
    _run(
        ["go", "build", "-o", f"{folder}/", *packages],
        HERE / "go",
        GOTOOLCHAIN="local",
        GOFLAGS="-mod=readonly",
    )
    return folder


@pytest.fixture(scope="session")
def descriptors(tmp_path_factory):
    """A file with the descriptors of PFS, as protoc writes it for generators of clients."""
    path = tmp_path_factory.mktemp("descriptors") / "pfs"
    includes = [f"-I{PROTOS}", f"-I{resources.files('grpc_tools') / '_proto'}"]
    status = protoc.main(
        ["protoc", *includes, "--include_imports", f"--descriptor_set_out={path}", "pachyderm/pfs/pfs.proto"]
    )
    assert status == 0
    return path
