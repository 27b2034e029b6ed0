"""A wheel has the handbook of its version, and an application that is installed from it serves the pages."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from exchange import Exchange

from trunkline.rpc.asgi.handbook import HandbookApplication

ROOT = Path(__file__).resolve().parents[2]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def handbook(tmp_path_factory):
    """The handbook's folder of a wheel that pip builds from this clone."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", str(folder), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    (wheel,) = folder.glob("trunkline-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if name.startswith("trunkline/handbook/")]
        archive.extractall(folder, names)
    return folder / "trunkline/handbook"


@pytest.mark.parametrize(
    "path", ["/docs/", "/docs/reference/limits/", "/docs/reference/cli/", "/docs/llms.txt"]
)
async def test_pages_of_an_installation_are_served(handbook, path):
    answer = await Exchange(HandbookApplication(handbook), path, method="GET", base=()).ended()

    assert answer.status == 200
    assert answer.body


def test_the_handbook_is_at_most_six_mebibytes_and_its_inline_scripts_are_known(handbook):
    size = sum(path.stat().st_size for path in handbook.rglob("*") if path.is_file())
    policy = json.loads((handbook / "policy.json").read_bytes())

    assert size <= 6 * 2**20
    assert policy["scripts"]
    assert len(policy["styles"]) == 1
