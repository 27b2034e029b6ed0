"""The object store alone is enough: a stranger's reader gets every finished file back when the database is lost."""

from __future__ import annotations

import random
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pps_world import PpsWorld, pfs

from trunkline.drivers.objects.local import LocalObjects
from trunkline.model import names
from trunkline.pfs import store_format
from trunkline.pfs.store_log import StoreLog
from trunkline.storage import file_values

if TYPE_CHECKING:
    import pytest
    from pps_world import Seen

sys.path.append(str(Path(__file__).parents[1] / "storage"))
from reader import Reader


def double(seen: Seen) -> dict[str, bytes]:
    return {path: data * 2 for path, data in seen["images"].items()}


def test_every_file_of_a_busy_time_is_read_without_the_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Long lists need files of 29 MiB otherwise.
    monkeypatch.setattr(file_values, "LONGEST_INLINE", 36)
    source = random.Random(1)
    objects = LocalObjects(tmp_path)
    store_format.open_store(objects, None)
    world = PpsWorld(objects=objects)
    log = StoreLog(world.versions, world.core.index, "cluster")
    expected: dict[tuple[str, str], dict[str, bytes]] = {}
    try:
        for repo in ("images", "tables"):
            world.repo(repo)
        world.pipeline("edges", pfs("images"))
        [hand] = world.hands("edges", 1, double)
        files: dict[str, dict[str, bytes]] = {"images": {}, "tables": {}}
        for turn in range(12):
            repo = source.choice(["images", "tables"])
            added = {
                f"/d{source.randrange(4)}/{source.randrange(30)}": source.randbytes(source.randrange(2000))
                for _ in range(source.randrange(1, 60))
            }
            if turn == 5:
                repo, added["/large"] = "tables", source.randbytes(5 << 20)
            deleted = source.sample(sorted(files[repo]), min(3, len(files[repo])))
            world.put(repo, added, [path for path in deleted if path not in added])
            files[repo] = {path: data for path, data in files[repo].items() if path not in deleted} | added
            expected[repo, world.head(repo)] = dict(files[repo])
            if repo == "images":
                hand.work_until_ended("edges")
                expected["edges", world.head("edges")] = world.files("edges")
            if turn % 4 == 3:
                log.write()
        log.write()
        datums = {row.id for row in map(lambda listed: listed.row, world.datums(world.jobs("edges")[0]))}
    finally:
        world.close()

    reader = Reader(tmp_path)
    records = reader.records()

    repos = {int(key[5:], 16): record for key, record in records.items() if key.startswith("repo/")}
    stored = {}
    for key, record in records.items():
        if key.startswith("commit/") and repos[record["repo"]]["type"] == names.USER and record["tree"]:
            name = str(repos[record["repo"]]["name"]), str(record["set"])
            stored[name] = reader.files(bytes.fromhex(str(record["tree"])))
    assert {name: stored[name] for name in expected} == expected
    [pipeline] = [record for key, record in records.items() if key.startswith("pipeline/")]
    assert pipeline["name"] == "edges"
    assert "images" in pipeline["versions"][0]["effective"]
    rows = reader.rows(bytes.fromhex(pipeline["good_job"]["datums"]))
    assert {key for key, _ in rows} == datums
