"""A wheel has the handbook and the console of its version, and what is installed from it serves their pages."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from exchange import Exchange

from trunkline.rpc.asgi.console import ConsoleApplication
from trunkline.rpc.asgi.handbook import HandbookApplication

ROOT = Path(__file__).resolve().parents[2]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """The package's folder of a wheel that pip builds from this clone, with what browsers get."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", str(folder), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    (wheel,) = folder.glob("trunkline-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        parts = ("trunkline/handbook/", "trunkline/console/")
        archive.extractall(folder, [name for name in archive.namelist() if name.startswith(parts)])
    return folder / "trunkline"


@pytest.fixture(scope="module")
def handbook(package):
    """The handbook's folder of the wheel."""
    return package / "handbook"


@pytest.mark.parametrize(
    "path", ["/docs/", "/docs/reference/limits/", "/docs/reference/cli/", "/docs/llms.txt"]
)
async def test_pages_of_an_installation_are_served(handbook, path):
    answer = await Exchange(HandbookApplication(handbook), path, method="GET", base=()).ended()

    assert answer.status == 200
    assert answer.body


async def test_the_console_of_an_installation_is_served_with_its_assets(package):
    application = ConsoleApplication(package / "console")

    page = await Exchange(application, "/ui/", method="GET", base=()).ended()
    assets = re.findall(r'(?:src|href)="(/ui/assets/[^"]+)"', page.body.decode())
    answers = [await Exchange(application, path, method="GET", base=()).ended() for path in assets]

    assert page.status == 200
    assert {path.rpartition(".")[2] for path in assets} >= {"js", "css"}
    assert [(answer.status, bool(answer.body)) for answer in answers] == [(200, True)] * len(assets)


def test_the_handbook_is_at_most_six_mebibytes_and_its_inline_scripts_are_known(handbook):
    size = sum(path.stat().st_size for path in handbook.rglob("*") if path.is_file())
    policy = json.loads((handbook / "policy.json").read_bytes())

    assert size <= 6 * 2**20
    assert policy["scripts"]
    assert len(policy["styles"]) == 1
