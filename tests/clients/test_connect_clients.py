"""The Connect protocol, called by its published clients for Node and browsers."""

from __future__ import annotations

import json
import subprocess

import pytest


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
