"""One datum as a row of a datum tree: byte layout of the value (docs/design/format.md, "Datum trees").

``version u8 = 1, state u8, datum hash 32 bytes, job id 16 bytes``, then UTF-8 JSON with the parts that
only people and finishing need. What the skip test reads lies at fixed places, so that comparing rows
parses nothing. The job id is that of the job that ran the datum; in a todo it is zero.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

from msgspec import Struct, json
from msgspec.structs import replace

from trunkline.errors import DataLoss
from trunkline.model.states import DatumState
from trunkline.storage.sums import DATUM_TREE, TreeKind

if TYPE_CHECKING:
    from collections.abc import Sequence, Set

    from trunkline.pfs.repository import VersionedStore
    from trunkline.storage.trees import Trees

#: Datums sum up to nothing but their number.
KIND = TreeKind(DATUM_TREE, leaf=16_384, fan_out=32)
VERSION = 1
HASH = slice(2, 34)
JOB = slice(34, 50)
_NO_JOB = bytes(16)
_CODES: dict[DatumState, int] = {
    DatumState.UNKNOWN: 0, DatumState.FAILED: 1, DatumState.SUCCESS: 2, DatumState.RECOVERED: 5,
}  # fmt: skip
_STATES = {code: state for state, code in _CODES.items()}
_TODO_HEAD = bytes((VERSION, _CODES[DatumState.UNKNOWN]))
_ENCODER, _DECODER = json.Encoder(), json.Decoder()


class RowItem(NamedTuple):
    """One input item of a datum. A tuple, because a plan may read a million."""

    input: str
    #: Path in the repo; directories end with a slash.
    path: str
    hash: bytes
    size: int
    #: ``items.origin_of`` the leaf when several leaves have this name; otherwise empty.
    origin: str = ""


class _Item(Protocol):
    """What a row stores of an item; fields as in ``RowItem``."""

    @property
    def input(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def hash(self) -> bytes: ...
    @property
    def size(self) -> int: ...
    @property
    def origin(self) -> str: ...


class DatumRow(Struct, frozen=True):
    """A datum with what became of it."""

    id: bytes
    hash: bytes
    items: tuple[RowItem, ...]
    state: DatumState = DatumState.UNKNOWN
    #: Id of the job that ran it; empty in a todo.
    job_id: str = ""
    reason: str = ""
    #: Paths of its output files.
    outputs: tuple[str, ...] = ()
    download_ns: int = 0
    process_ns: int = 0
    upload_ns: int = 0
    download_bytes: int = 0
    upload_bytes: int = 0
    #: Processor time and most bytes of memory of its command; 0 when they were not measured.
    cpu_ns: int = 0
    peak_memory: int = 0

    @property
    def size(self) -> int:
        """Return the bytes of the datum's inputs."""
        return sum(item.size for item in self.items)

    def finished(self, **changes: object) -> DatumRow:
        """Return the row with a result in it."""
        return replace(self, **changes)


def encode(row: DatumRow) -> bytes:
    """Return the value of a row."""
    tail: dict[str, object] = {}
    if row.outputs:
        tail["o"] = row.outputs
    if row.reason:
        tail["r"] = row.reason
    stats = (row.download_ns, row.process_ns, row.upload_ns, row.download_bytes, row.upload_bytes)
    if any(stats):
        tail["s"] = stats
    if row.cpu_ns or row.peak_memory:
        tail["u"] = (row.cpu_ns, row.peak_memory)
    job = bytes.fromhex(row.job_id) if row.job_id else _NO_JOB
    rest = b"," + _ENCODER.encode(tail)[1:] if tail else b"}"
    items = b",".join(_item(item, item.origin) for item in row.items)
    head = bytes((VERSION, _CODES[row.state])) + row.hash + job
    return b'%b{"i":[%b]%b' % (head, items, rest)


def encode_todo(hash: bytes, items: Sequence[_Item], shared: Set[str]) -> bytes:
    """Return the value of the row of a datum that is to be run.

    Args:
        hash: the datum hash.
        items: its items.
        shared: names that several leaves of the input have.
    """
    texts = b",".join([_item(item, item.origin if item.input in shared else "") for item in items])
    return b'%b%b%b{"i":[%b]}' % (_TODO_HEAD, hash, _NO_JOB, texts)


def _item(item: _Item, origin: str) -> bytes:
    """Return the JSON of an item."""
    fields = (item.input, item.path, item.hash.hex(), item.size)
    return _ENCODER.encode((*fields, origin) if origin else fields)


def decode(key: bytes, value: bytes) -> DatumRow:
    """Return the row of a key and value.

    Raises:
        DataLoss: the value has a version that this code does not read.
    """
    if value[0] != VERSION:
        raise DataLoss(
            f"datum {key.hex()} is stored in row version {value[0]}; this Trunkline reads version {VERSION}"
        )
    tail = _DECODER.decode(value[JOB.stop :])
    job = value[JOB]
    return DatumRow(
        key,
        value[HASH],
        tuple(RowItem(item[0], item[1], bytes.fromhex(item[2]), *item[3:]) for item in tail["i"]),
        _STATES[value[1]],
        "" if job == _NO_JOB else job.hex(),
        tail.get("r", ""),
        tuple(tail.get("o", ())),
        *tail.get("s", (0, 0, 0, 0, 0)),
        *tail.get("u", (0, 0)),
    )


def is_success(value: bytes) -> bool:
    """Return whether a row is that of a success."""
    return value[1] == _CODES[DatumState.SUCCESS]


def same_work(old: bytes, new_hash: bytes) -> bool:
    """Return whether the datum need not run again: the old row has an equal hash and was a success."""
    return old[HASH] == new_hash and is_success(old)


def trees(versions: VersionedStore) -> Trees:
    """Return the datum trees of a store."""
    return versions.trees.of(KIND)
