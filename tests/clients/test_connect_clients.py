"""The Connect protocol, called by its published clients for Node and browsers."""

from __future__ import annotations

import json
import shutil
import subprocess
from importlib import resources
from pathlib import Path

import pytest
from grpc_tools import protoc

FOLDER = Path(__file__).resolve().parent / "node"
PROTOS = Path(__file__).resolve().parents[2] / "protos"


@pytest.fixture(scope="module")
def node_folder(tmp_path_factory):
    """A folder with the programs and the packages that they need."""
    if shutil.which("npm") is None:
        pytest.skip("needs node and npm")
    folder = tmp_path_factory.mktemp("node")
    shutil.copytree(FOLDER, folder, dirs_exist_ok=True)
    command = ["npm", "ci", "--silent", "--no-audit", "--no-fund"]
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    if run.returncode != 0:
        pytest.skip(f"npm ci failed: {run.stderr.strip() or run.stdout.strip()}")
    return folder


@pytest.fixture
def descriptors(tmp_path):
    """A file with the descriptors of PFS, as protoc writes it for generators of clients."""
    path = tmp_path / "descriptors"
    includes = [f"-I{PROTOS}", f"-I{resources.files('grpc_tools') / '_proto'}"]
    status = protoc.main(
        ["protoc", *includes, "--include_imports", f"--descriptor_set_out={path}", "pachyderm/pfs/pfs.proto"]
    )
    assert status == 0
    return path


@pytest.mark.slow
def test_clients_of_connect_call_every_kind_of_method(server, node_folder, descriptors):
    run = subprocess.run(
        ["node", "connect.mjs", f"http://{server.address}", str(descriptors)],
        cwd=node_folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert run.returncode == 0, run.stderr
    results = json.loads(run.stdout)
    assert len(results) == 6
    common = {
        "inspected": True,
        "listed": True,
        "missing": "NotFound",
        "missingInStream": "NotFound",
        "late": "DeadlineExceeded",
    }
    for label, result in results.items():
        uploaded = {"uploaded": ["/a", "/b"]} if label.startswith("node") else {}
        assert result == common | uploaded, label
