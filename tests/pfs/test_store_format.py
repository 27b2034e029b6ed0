"""The format record: written by the first start, and what each later start refuses."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from trunkline.drivers.objects.local import LocalObjects
from trunkline.drivers.objects.memory import MemoryObjects
from trunkline.errors import DataLoss, FailedPrecondition
from trunkline.formats import chunking, codecs, format_record, pack_format
from trunkline.meta import install
from trunkline.pfs import identity
from trunkline.pfs.store_format import StoreState, examine, open_store

if TYPE_CHECKING:
    from pathlib import Path

    from trunkline.ports import ObjectStore

FORMAT_MD = {
    "format": 2,
    "hash": "blake3-256",
    "key_id": None,
    "cutting": {
        "rule": "fastcdc-2020",
        "min": 524288,
        "average": 1048576,
        "max": 2097152,
        "normalization": 2,
        "seed": 0,
    },
    "nodes": {
        "rule": "crc32-weight-4",
        "own": 1024,
        "files": [4096, 32],
        "deltas": [16384, 32],
        "datums": [16384, 32],
        "records": [4096, 32],
    },
    "long_list": 1024,
    "codecs": ["raw", "zstd"],
}


@pytest.fixture(params=["memory", "local"])
def objects(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    return MemoryObjects() if request.param == "memory" else LocalObjects(tmp_path / "objects")


def record(**changes: Any) -> bytes:
    """Return a record with other values; ``...`` leaves a field out."""
    fields = {name: value for name, value in (FORMAT_MD | changes).items() if value is not ...}
    return json.dumps(fields).encode()


def test_the_first_start_writes_the_record_and_later_ones_accept_it(objects: ObjectStore) -> None:
    open_store(objects, None)
    identity.check(objects, "a" * 32)

    assert json.loads(objects.get("format")) == FORMAT_MD
    open_store(objects, 2)
    assert examine(objects, 2) is StoreState.CURRENT


def test_the_record_says_what_the_code_does() -> None:
    cutting = format_record.RECORD["cutting"]

    assert (cutting["min"], cutting["average"], cutting["max"]) == (
        chunking.MIN_BYTES,
        chunking.AVERAGE_BYTES,
        chunking.MAX_BYTES,
    )
    assert dict(enumerate(format_record.RECORD["codecs"])) == {codecs.RAW: "raw", codecs.ZSTD: "zstd"}
    assert format_record.VERSION == pack_format.VERSION == install.FORMAT


def test_a_first_start_that_was_interrupted_after_the_record_goes_on(objects: ObjectStore) -> None:
    open_store(objects, None)

    open_store(objects, None)  # before the database was made
    open_store(objects, 2)  # before the store was marked with its id
    identity.check(objects, "a" * 32)


def test_what_a_start_writes_to_test_the_store_does_not_count(objects: ObjectStore) -> None:
    objects.put("checks/left-over", [b"trunkline"])

    open_store(objects, None)

    assert json.loads(objects.get("format")) == FORMAT_MD


@pytest.mark.parametrize(
    "other",
    [
        record(format=3),
        record(format=1),
        record(hash="sha-256"),
        record(key_id="main"),
        record(cutting=FORMAT_MD["cutting"] | {"seed": 1}),  # type: ignore[operator]
        record(nodes=FORMAT_MD["nodes"] | {"files": [2048, 16]}),  # type: ignore[operator]
        record(long_list=2048),
        record(long_list=1024.0),
        record(codecs=["raw", "zstd", "brotli"]),
        record(hash=...),
        record(encryption="aes-256-gcm"),
    ],
    ids=[
        "newer",
        "older",
        "hash",
        "key",
        "seed",
        "nodes",
        "long list",
        "kind of number",
        "codecs",
        "missing field",
        "unknown field",
    ],
)
@pytest.mark.parametrize("database", [None, 2], ids=["new database", "its database"])
def test_a_store_with_unknown_values_is_refused_and_not_changed(
    objects: ObjectStore, other: bytes, database: int | None
) -> None:
    objects.put("format", [other])

    with pytest.raises(FailedPrecondition):
        open_store(objects, database)

    assert [(key, size) for key, size in objects.list("")] == [("format", len(other))]


@pytest.mark.parametrize("damaged", [b"", b"\xff\xfe", b"[2]", b"{}", b'{"format": "2"}', record()[:-1]])
def test_a_damaged_record_is_data_loss(objects: ObjectStore, damaged: bytes) -> None:
    objects.put("format", [damaged])

    with pytest.raises(DataLoss):
        open_store(objects, 2)


@pytest.mark.parametrize("key", ["packs/ab/abcd", "installation"])
def test_a_store_without_record_but_with_data_is_of_format_1(objects: ObjectStore, key: str) -> None:
    objects.put(key, [b"x" * 32])

    assert open_store(objects, 1) is StoreState.FORMAT_1

    assert [key for key, _ in objects.list("")] == [key]


def test_an_interrupted_conversion_is_not_taken_for_a_converted_store(objects: ObjectStore) -> None:
    objects.put("format", [record()])
    objects.put("installation", [b"a" * 32])

    assert examine(objects, 1) is StoreState.FORMAT_1


def test_a_database_of_a_newer_format_is_refused(objects: ObjectStore) -> None:
    open_store(objects, None)

    with pytest.raises(FailedPrecondition):
        open_store(objects, 3)


@pytest.mark.parametrize("database", [None, 1, 2], ids=["new database", "of format 1", "of format 2"])
def test_a_folder_of_other_files_is_refused_and_not_changed(tmp_path: Path, database: int | None) -> None:
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "to my aunt").write_bytes(b"Dear aunt,")

    with pytest.raises(FailedPrecondition):
        open_store(LocalObjects(tmp_path), database)

    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["to my aunt"]


def test_an_empty_store_beside_a_database_with_data_is_refused(objects: ObjectStore) -> None:
    with pytest.raises(FailedPrecondition):
        open_store(objects, 2)

    assert list(objects.list("")) == []


def test_a_new_database_beside_a_store_with_data_is_refused(objects: ObjectStore) -> None:
    open_store(objects, None)
    identity.check(objects, "a" * 32)

    with pytest.raises(FailedPrecondition):
        open_store(objects, None)


def test_a_store_has_one_installation(objects: ObjectStore) -> None:
    open_store(objects, None)
    identity.check(objects, "a" * 32)

    with pytest.raises(FailedPrecondition):
        identity.check(objects, "b" * 32)
    identity.check(objects, "a" * 32)
