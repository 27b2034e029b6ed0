"""Short forms of the answers of the scripted server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from google.protobuf.wrappers_pb2 import BytesValue

from trunkline.rpc.gen import pfs_pb2, pps_pb2

if TYPE_CHECKING:
    import grpc
    from google.protobuf.message import Message


class Refusal(Exception):
    """An answer that is a status."""

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def repo(name: str, **more: Any) -> pfs_pb2.Repo:
    return pfs_pb2.Repo(name=name, type="user", project=pfs_pb2.Project(name="default"), **more)


def pipeline(name: str) -> pps_pb2.Pipeline:
    return pps_pb2.Pipeline(name=name, project=pfs_pb2.Project(name="default"))


def commit(name: str, id: str) -> pfs_pb2.Commit:
    return pfs_pb2.Commit(repo=repo(name), id=id)


def content(*pieces: bytes) -> list[Message]:
    return [BytesValue(value=piece) for piece in pieces]
