"""docs/operate/eks.md: its pipeline commands, in order, against the simulation that the page starts."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from eks_page import ROOT, clone, commands, run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PICTURES = 12


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A clone whose image has commands that copy, so that nothing is downloaded to find edges."""
    folder = clone(tmp_path / "clone")
    example = folder / "examples"
    example.unlink()
    shutil.copytree(
        ROOT / "examples/opencv", example / "opencv", ignore=shutil.ignore_patterns("__pycache__")
    )
    image = example / "opencv/image"
    (image / "requirements.txt").unlink()
    copy = "import shutil\nshutil.copytree('/pfs/{}', '/pfs/out', dirs_exist_ok=True)\n"
    (image / "files/edges.py").write_text(copy.format("images"))
    (image / "files/montage.py").write_text("open('/pfs/out/montage.png', 'w').write('all of them')\n")
    (folder / "FOLDER-WITH-PICTURES").mkdir()
    for number in range(PICTURES):
        (folder / "FOLDER-WITH-PICTURES" / f"{number}.png").write_text(f"picture {number}")
    return folder


@pytest.fixture
def address(folder: Path) -> Iterator[str]:
    """Where the server of the page answers."""
    (serve,) = (text for text in commands(__file__) if text.startswith("trunkline serve"))
    environment = os.environ | {"PATH": f"{folder / 'bin'}:{os.environ['PATH']}"}
    command = ["bash", "-c", f"exec {serve} --listen 127.0.0.1:0"]
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as server:
        try:
            assert server.stdout is not None
            yield json.loads(server.stdout.readline())["grpc"]
        finally:
            server.terminate()
            server.wait(60)


@pytest.mark.slow  # continuous integration runs it by itself
def test_pods_wait_machines_come_work_and_go_as_the_page_says(folder: Path, address: str) -> None:
    outputs: dict[str, list[str]] = {}
    for command in commands(__file__):
        if command.startswith(("trunkline serve", "trunkline demo")):
            continue
        done = run(command, folder, PACHD_ADDRESS=address)
        assert done.returncode == 0, f"{command}\n{done.stderr}"
        outputs.setdefault(command, []).append(done.stdout)

    (workers,) = outputs["trunkline list worker"]
    assert workers.count(" pending ") + workers.count(" busy ") >= 5
    before, during, after = outputs["trunkline list node"]
    assert (before.count("fargate"), after.count("fargate")) == (0, 0)
    assert "fargate (pretended)" in during
    assert (folder / "montage.png").read_text() == "all of them"
    assert (
        "5 at most" in outputs["trunkline explain pipeline edges"][0]
    )  # in one step or, on a busy machine, two
    assert "foreseen" in outputs["trunkline explain pipeline montage"][0]
    assert outputs["trunkline list cost"][0].count("pretended") == 2


@pytest.mark.slow
@pytest.mark.timeout(400)  # pip fetches OpenCV
@pytest.mark.skipif(
    importlib.util.find_spec("skimage") is None, reason="the photographs are in the demo's extra"
)
def test_the_demo_of_the_page_tells_its_story(tmp_path: Path) -> None:
    (demo,) = (text for text in commands(__file__) if text.startswith("trunkline demo"))

    done = run(demo, clone(tmp_path / "clone"), timeout=380)

    assert done.returncode == 0, done.stdout + done.stderr  # the demo checks what it says
    assert "5 machines" in done.stdout
    assert "PRETENDED" in done.stdout
