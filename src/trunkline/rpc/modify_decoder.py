"""Decodes the frames of a ModifyFile stream; large pieces of files without copying them.

A large frame is nearly always one piece of a file: three nested length-delimited fields around a megabyte.
Decoding it as a message copies the megabyte twice; here it is sliced out of the frame as a view. Any other frame
is decoded by the message class. Both ways give the same operations; a test compares them.

This module knows the layout of ``ModifyFileRequest``, not what the operations do.
"""

from __future__ import annotations

from typing import cast

from trunkline.formats.protowire import fields, tag
from trunkline.rpc.gen import pfs_pb2

#: Bytes of a frame from which cutting by hand is cheaper than the message class (measured: about 8 KiB).
CUT_FROM = 8 * 1024

_parse = pfs_pb2.ModifyFileRequest.FromString

# Of ModifyFileRequest, AddFile and BytesValue.
_ADD_FILE, _PATH, _DATUM, _RAW, _VALUE = map(tag, (2, 1, 2, 3, 1))

#: Path, datum and bytes to append. A plain tuple: there is one for each file of an upload.
Add = tuple[str, str, "bytes | memoryview"]

#: An ``AddFile`` is one with a URL.
Operation = Add | pfs_pb2.Commit | pfs_pb2.DeleteFile | pfs_pb2.CopyFile | pfs_pb2.AddFile | None


def decode(frame: bytes) -> Operation:
    """Return the operation in a frame; None when the frame is empty.

    Raises:
        google.protobuf.message.DecodeError: it is not a ``ModifyFileRequest``.
    """
    if len(frame) >= CUT_FROM:
        add = _cut(frame)
        if add is not None:
            return add
    message = _parse(frame)
    if message.HasField("add_file"):
        add_file = message.add_file
        if add_file.HasField("url"):
            return add_file
        return add_file.path, add_file.datum, add_file.raw.value
    body = message.WhichOneof("body")
    operation: Operation = getattr(message, body) if body else None
    return operation


def _cut(frame: bytes) -> Add | None:
    """Return the piece of a file that is the whole frame, or None when the frame is anything else."""
    try:
        (add,) = fields(frame)
        if add[0] != _ADD_FILE:
            return None
        path = datum = ""
        data: memoryview | None = None
        for key, value in fields(cast("memoryview", add[1])):
            if key == _PATH:
                path = str(cast("memoryview", value), "utf-8")
            elif key == _DATUM:
                datum = str(cast("memoryview", value), "utf-8")
            elif key == _RAW and data is None:
                ((inner, content),) = fields(cast("memoryview", value))
                if inner != _VALUE:
                    return None
                data = cast("memoryview", content)
            else:
                return None
    except ValueError:  # the message class decides whether it is an error
        return None
    return (path, datum, data) if data is not None else None
