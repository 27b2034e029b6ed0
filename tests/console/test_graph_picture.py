"""The picture of the README: pipelines at work in the console's graph, in both themes.

    TRUNKLINE_PICTURES=docs/pictures scripts/test-console tests/console/test_graph_picture.py

writes it; otherwise it is drawn and thrown away.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pachyderm_sdk.api import pfs, pps

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Watched
    from pachyderm_sdk import Client
    from servers import Server

PHOTOS = 12
#: Copies photographs; from the fourth on, each waits until a file exists.
WAITING = """
for file in /pfs/resize/*; do
  case "$file" in *photo-0[1-4]*) ;; *) until test -e {gate}; do sleep 0.1; done;; esac
  cp "$file" /pfs/out/
done
"""
SIZE = {"width": 1380, "height": 470}


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    """A file whose existence lets the commands go on."""
    return tmp_path / "gate"


def test_the_graph_shows_what_is_done_what_runs_and_what_waits(
    watch: Callable[..., Watched], server: Server, gate: Path, tmp_path: Path
) -> None:
    folder = Path(os.environ.get("TRUNKLINE_PICTURES", tmp_path))
    client = server.client()
    for repo in ("photos", "labels"):
        client.pfs.create_repo(repo=pfs.Repo(name=repo))
    _create(
        client, "resize", "cp /pfs/photos/* /pfs/out/", pps.Input(pfs=pps.PfsInput(repo="photos", glob="/*"))
    )
    _create(
        client, "edges", WAITING.format(gate=gate), pps.Input(pfs=pps.PfsInput(repo="resize", glob="/*")), 4
    )
    both = [pps.PfsInput(repo="resize", glob="/"), pps.PfsInput(repo="labels", glob="/")]
    wait = f"until test -e {gate}; do sleep 0.1; done"
    _create(client, "train", wait, pps.Input(cross=[pps.Input(pfs=each) for each in both]))
    last = [pps.PfsInput(repo="edges", glob="/"), pps.PfsInput(repo="train", glob="/")]
    _create(client, "report", "true", pps.Input(cross=[pps.Input(pfs=each) for each in last]))
    with client.pfs.commit(branch=pfs.Branch.from_uri("labels@master")) as commit:
        commit.put_file_from_bytes("/labels.csv", b"photo,label\n" * 400)
    with client.pfs.commit(branch=pfs.Branch.from_uri("photos@master")) as commit:
        for number in range(1, PHOTOS + 1):
            commit.put_file_from_bytes(f"/photo-{number:02}.png", bytes([number]) * 180_000)

    try:
        for theme in ("light", "dark"):
            options = {"color_scheme": theme, "viewport": SIZE, "device_scale_factor": 2}
            page = watch(f"http://{server.address}", **options).context.new_page()
            page.goto("/ui/p/default")
            for words in (f"[1-9] of {PHOTOS}", "0 of 1", f"{PHOTOS} datums", "4/4"):
                page.locator("div.frame").get_by_text(re.compile(f"^{words}")).first.wait_for()
            page.keyboard.press("f")
            page.wait_for_timeout(400)  # transitions
            picture = page.locator("div.frame").screenshot(path=tmp_path / f"graph-{theme}.png")
            if "TRUNKLINE_PICTURES" in os.environ:
                folder.mkdir(exist_ok=True)
                (folder / f"graph-{theme}.png").write_bytes(picture)
    finally:
        gate.touch()

    assert len(picture) > 8_000
    [*_, last_commit] = client.pfs.inspect_commit_set(commit_set=pfs.CommitSet(id=commit.id), wait=True)
    assert not last_commit.error


def _create(client: Client, name: str, command: str, source: pps.Input, workers: int = 1) -> None:
    client.pps.create_pipeline(
        pipeline=pps.Pipeline(name=name),
        transform=pps.Transform(cmd=["bash"], stdin=command.splitlines()),
        input=source,
        parallelism_spec=pps.ParallelismSpec(constant=workers),
        autoscaling=True,
    )
