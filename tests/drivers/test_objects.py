"""The contract of the ObjectStore port, run against every driver; then what only one driver promises."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import tracemalloc
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from trunkline.app import drivers
from trunkline.app.settings import Settings
from trunkline.drivers.objects.buckets import BucketObjects
from trunkline.drivers.objects.local import LocalObjects
from trunkline.drivers.objects.memory import MemoryObjects
from trunkline.errors import AlreadyExists, DataLoss, NotFound, ResourceExhausted

if TYPE_CHECKING:
    from pathlib import Path

    from s3_server import S3Server

    from trunkline.ports import ObjectStore


@pytest.fixture(params=["memory", "local", "s3"])
def objects(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ObjectStore:
    if request.param == "memory":
        return MemoryObjects()
    if request.param == "local":
        return LocalObjects(tmp_path / "objects")
    server: S3Server = request.getfixturevalue("s3")
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)
    return BucketObjects(f"s3://ready/{uuid.uuid4().hex}/objects")


def test_what_was_put_is_read_back_whole_and_in_ranges(objects: ObjectStore) -> None:
    objects.put("packs/ab/one", [b"hello ", memoryview(b"wide "), b"world"])

    assert objects.get("packs/ab/one") == b"hello wide world"
    assert objects.get("packs/ab/one", 6) == b"wide world"
    assert objects.get("packs/ab/one", 6, 4) == b"wide"
    assert objects.get("packs/ab/one", 6, 0) == b""
    assert objects.get("packs/ab/one", 16) == b""


def test_an_empty_object_is_an_object(objects: ObjectStore) -> None:
    objects.put("empty", [])

    assert objects.get("empty") == b""
    assert list(objects.list("")) == [("empty", 0)]


def test_a_taken_key_is_refused_and_its_object_untouched(objects: ObjectStore) -> None:
    objects.put("key", [b"first"])

    with pytest.raises(AlreadyExists, match="'key'"):
        objects.put("key", [b"second"])

    assert objects.get("key") == b"first"


def test_of_many_writers_of_one_key_one_wins(objects: ObjectStore) -> None:
    def put(number: int) -> bool:
        try:
            objects.put("contested", [b"%d" % number])
        except AlreadyExists:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(put, range(32)))

    assert won.count(True) == 1
    assert objects.get("contested") == b"%d" % won.index(True)


@pytest.mark.parametrize(("start", "length"), [(0, None), (0, 1), (5, 0), (5, None)])
def test_a_missing_object_is_not_found(objects: ObjectStore, start: int, length: int | None) -> None:
    with pytest.raises(NotFound, match="'nowhere/x'"):
        objects.get("nowhere/x", start, length)


def test_the_size_of_an_object_is_known_without_reading_it(objects: ObjectStore) -> None:
    objects.put("packs/ab/one", [b"12345", b"678"])
    objects.put("packs/ab/empty", [])

    assert objects.size("packs/ab/one") == 8
    assert objects.size("packs/ab/empty") == 0
    with pytest.raises(NotFound, match="'packs/ab/on'"):
        objects.size("packs/ab/on")


@pytest.mark.parametrize(("start", "length"), [(0, 6), (3, 3), (6, None), (6, 0), (9, 2)])
def test_asking_for_more_than_there_is_is_data_loss(
    objects: ObjectStore, start: int, length: int | None
) -> None:
    objects.put("short", [b"12345"])

    with pytest.raises(DataLoss, match=r"'short' .* too short"):
        objects.get("short", start, length)


def test_deleting_is_final_and_may_be_repeated(objects: ObjectStore) -> None:
    objects.put("a/b", [b"x"])

    objects.delete("a/b")
    objects.delete("a/b")
    objects.delete("never/there")

    with pytest.raises(NotFound):
        objects.get("a/b")
    objects.put("a/b", [b"y"])
    assert objects.get("a/b") == b"y"


def test_a_listing_takes_any_prefix(objects: ObjectStore) -> None:
    for key in ["packs/b/2", "packs/a/10", "packs/a/1", "packs-old/1", "other"]:
        objects.put(key, [b"x" * len(key)])

    assert {key for key, _ in objects.list("")} == {
        "other", "packs-old/1", "packs/a/1", "packs/a/10", "packs/b/2"
    }  # fmt: skip
    assert sorted(objects.list("packs/a/1")) == [("packs/a/1", 9), ("packs/a/10", 10)]
    assert {key for key, _ in objects.list("packs")} == {
        "packs-old/1", "packs/a/1", "packs/a/10", "packs/b/2"
    }  # fmt: skip
    assert list(objects.list("none/")) == []


@pytest.mark.parametrize("kind", ["memory", "local"])
def test_the_memory_of_a_listing_does_not_grow_with_the_objects(kind: str, tmp_path: Path) -> None:
    objects: ObjectStore = MemoryObjects() if kind == "memory" else LocalObjects(tmp_path / "objects")
    if kind == "local":
        (tmp_path / "objects" / "packs").mkdir()
        for number in range(4000):
            (tmp_path / "objects" / "packs" / f"{number:032x}").touch()
    else:
        for number in range(4000):
            objects.put(f"packs/{number:032x}", [])

    tracemalloc.start()
    try:
        count = sum(1 for _ in objects.list("packs/"))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert count == 4000
    assert peak < 250_000  # bytes; all keys and sizes together have more than twice as many


def test_files_of_puts_that_a_kill_cut_short_are_removed_and_nothing_else(tmp_path: Path) -> None:
    objects = LocalObjects(tmp_path / "o")
    objects.put("packs/ab/one", [b"whole"])
    for name in ("packs/ab/two#1", "packs/ab/one#27", "checks#3"):
        (tmp_path / "o" / name).write_bytes(b"half")

    LocalObjects(tmp_path / "o").remove_temporary()

    assert [path.name for path in (tmp_path / "o").rglob("*") if path.is_file()] == ["one"]
    assert objects.get("packs/ab/one") == b"whole"


def test_a_server_removes_what_a_killed_one_left_in_its_folder_of_objects(tmp_path: Path) -> None:
    folder = tmp_path / "objects" / "packs" / "ab"
    folder.mkdir(parents=True)
    (folder / "two#1").write_bytes(b"half")
    (tmp_path / "objects" / "format").write_bytes(b"the record of a store")

    drivers.objects(Settings(data=tmp_path))

    assert list(folder.iterdir()) == []


def test_files_of_others_in_a_folder_that_is_no_store_stay(tmp_path: Path) -> None:
    (tmp_path / "letter#1").write_bytes(b"of somebody")

    drivers.objects(Settings(data=tmp_path / "data", store=tmp_path.as_uri()))

    assert (tmp_path / "letter#1").read_bytes() == b"of somebody"


def test_a_folder_of_objects_outlives_its_driver(tmp_path: Path) -> None:
    LocalObjects(tmp_path / "o").put("k/v", [b"kept"])

    assert LocalObjects(tmp_path / "o").get("k/v") == b"kept"


def test_a_full_disk_is_said_plainly_and_leaves_nothing_behind(tmp_path: Path) -> None:
    """A limit on file size stands for the full disk: the write fails in the middle in the same way."""
    script = (
        "import pathlib, sys\n"
        "from trunkline.drivers.objects.local import LocalObjects\n"
        "from trunkline.errors import ResourceExhausted\n"
        "store = LocalObjects(pathlib.Path(sys.argv[1]))\n"
        "try:\n"
        "    store.put('packs/aa/big', [bytes(1 << 20)] * 4)\n"
        "except ResourceExhausted as error:\n"
        "    print(error.message)\n"
        "store.put('packs/aa/small', [b'fits'])\n"
    )

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (2 << 20, 2 << 20))

    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "o")],
        preexec_fn=limit,
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )

    assert "packs/aa/big" in done.stdout
    files = [path for path in (tmp_path / "o").rglob("*") if path.is_file()]
    assert [path.name for path in files] == ["small"]
    assert LocalObjects(tmp_path / "o").get("packs/aa/small") == b"fits"


def test_the_error_for_a_full_disk_may_be_retried() -> None:
    assert ResourceExhausted.retryable
