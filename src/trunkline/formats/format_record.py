"""The format record of a store (docs/design/format.md, The format record). Pure functions over bytes.

The record names everything that decides what stored bytes mean and which ids they get. It is written once, so the
values here are literals and not the constants of the code: a test compares the two, and changing a constant needs a
new format. This module does not know where the record is stored (``trunkline.pfs.store_format``).
"""

from __future__ import annotations

import json
from typing import Any

from trunkline.errors import DataLoss, FailedPrecondition

#: The version of docs/design/format.md that this release writes.
VERSION = 2

#: The record of a store of this version.
RECORD: dict[str, Any] = {
    "format": VERSION,
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

#: Characters of a value that a message repeats.
_SHOWN = 80


def encode() -> bytes:
    """Return the record of a new store."""
    return json.dumps(RECORD, indent=1).encode() + b"\n"


def check(data: bytes) -> None:
    """Check that this release reads a store with this record.

    Raises:
        DataLoss: it is not a format record.
        FailedPrecondition: it has a format, a value or a field that this release does not know.
    """
    try:
        record = json.loads(data)
    except ValueError:
        record = None
    version = record.get("format") if isinstance(record, dict) else None
    if not isinstance(record, dict) or not isinstance(version, int):
        raise DataLoss(
            "the object 'format' of the store is not a format record; restore it from a backup, or name the right"
            " store with --store"
        )
    if version != VERSION:
        raise FailedPrecondition(
            f"the store has format {version}, this release reads format {VERSION}; use a release that reads format"
            f" {version}"
        )
    for field in [*RECORD, *sorted(record.keys() - RECORD.keys())]:
        expected, stored = _text(RECORD, field), _text(record, field)
        if expected != stored:
            raise FailedPrecondition(
                f"the format record of the store has {stored[:_SHOWN]} as its {field!r}, this release reads {expected};"
                " use the release that wrote the store"
            )


def _text(record: dict[str, Any], field: str) -> str:
    """Return a field's value as JSON, so that 1, 1.0 and true differ."""
    return json.dumps(record[field], sort_keys=True) if field in record else "nothing"
