"""gRPC's clients for Go, Node and Python: every kind of call, gzip, large messages, a server that is replaced."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

PYTHON = Path(__file__).resolve().parent / "python/grpc_client.py"
LARGE = 19 << 20
NOT_FOUND, CANCELLED, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED = 5, 1, 4, 8


@pytest.fixture(params=["go", "node", "python"])
def client(request):
    """The name of a client, and the command that runs it."""
    match request.param:
        case "go":
            command = [str(request.getfixturevalue("go_programs") / "clients")]
        case "node":
            command = ["node", str(request.getfixturevalue("node_folder") / "grpc.mjs")]
        case _:
            command = [sys.executable, str(PYTHON)]
    return request.param, command


@pytest.mark.slow
@pytest.mark.parametrize("tls", ["", "auto"], ids=["plain", "tls"])
def test_a_client_makes_every_kind_of_call_and_connects_again(
    client, serve_folder, tmp_path, descriptors, tls
):
    name, command = client
    trusted = [str(tmp_path / "tls/public/ca.pem")] if tls else []
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with contextlib.ExitStack() as stack:
        with serve_folder(tmp_path, tls=tls) as first:
            address = first.address
            program = stack.enter_context(
                subprocess.Popen([*command, address, str(descriptors), *trusted], **pipes)
            )
            results = json.loads(program.stdout.readline() or "{}")
        with serve_folder(tmp_path, address, tls=tls):
            output, _ = program.communicate("\n", timeout=60)

    own = {"node": {}, "python": {"health": "SERVING"}, "go": {"health": "SERVING", "reflected": True}}
    assert results == own[name] | {
        "inspected": True,
        "missing": NOT_FOUND,
        "domain": "trunkline",
        "uploaded": ["/a", "/b"],
        "large": LARGE,
        "beyond": RESOURCE_EXHAUSTED,
        "late": DEADLINE_EXCEEDED,
        "cancelled": CANCELLED,
    }
    assert json.loads(output) == {"again": True}
    assert program.returncode == 0
