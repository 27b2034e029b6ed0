"""Calls by name with message objects, on top of a channel.

The messages of a call, and whether it streams, come from the descriptors of the generated modules, so they are not
repeated here. A generated module is imported when one of its services is first used.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from types import ModuleType

    from google.protobuf.descriptor import MethodDescriptor
    from google.protobuf.message import Message

    from trunkline.client.channel import Channel


class Service:
    """The calls of one service as attributes named like them.

    The arguments of a call are the request (or an iterable of requests) and a ``timeout`` in seconds; it returns
    the answer, or an iterator of answers. Errors are those of ``Channel``.
    """

    def __init__(self, channel: Channel, module: ModuleType, name: str) -> None:
        """Bind a service to a channel.

        Args:
            channel: carries the calls.
            module: the generated module of the service.
            name: of the service in the module.
        """
        self._channel = channel
        self._descriptor = module.DESCRIPTOR.services_by_name[name]

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = self._descriptor.methods_by_name.get(name)
        if method is None:
            raise AttributeError(f"{self._descriptor.full_name} has no call {name}")
        call = _bind(self._channel, method)
        setattr(self, name, call)
        return call


def _bind(channel: Channel, method: MethodDescriptor) -> Callable[..., Any]:
    from google.protobuf.message_factory import GetMessageClass

    path = f"/{method.containing_service.full_name}/{method.name}"
    answer = GetMessageClass(method.output_type)

    def unary(request: Message, timeout: float | None = None) -> Message:
        return answer.FromString(channel.unary(path, request.SerializeToString(), timeout))

    def server_stream(request: Message, timeout: float | None = None) -> Iterator[Message]:
        with channel.server_stream(path, request.SerializeToString(), timeout) as encoded:
            for message in encoded:
                yield answer.FromString(message)

    def client_stream(requests: Iterable[Message], timeout: float | None = None) -> Message:
        encoded = (request.SerializeToString() for request in requests)
        return answer.FromString(channel.client_stream(path, encoded, timeout))

    if method.client_streaming:
        return client_stream
    return server_stream if method.server_streaming else unary


class Client:
    """The services of a Trunkline server."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel

    @cached_property
    def pfs(self) -> Service:
        """Projects, repos, branches, commits and files."""
        from trunkline.rpc.gen import pfs_pb2

        return Service(self.channel, pfs_pb2, "API")

    @cached_property
    def pps(self) -> Service:
        """Pipelines, jobs, datums and logs."""
        from trunkline.rpc.gen import pps_pb2

        return Service(self.channel, pps_pb2, "API")

    @cached_property
    def transactions(self) -> Service:
        """Transactions and batches."""
        from trunkline.rpc.gen import transaction_pb2

        return Service(self.channel, transaction_pb2, "API")

    @cached_property
    def admin(self) -> Service:
        """The server as a whole."""
        from trunkline.rpc.gen import admin_pb2

        return Service(self.channel, admin_pb2, "API")

    @cached_property
    def metadata(self) -> Service:
        """Keys and values of projects, repos, branches, commits and pipelines."""
        from trunkline.rpc.gen import metadata_pb2

        return Service(self.channel, metadata_pb2, "API")

    @cached_property
    def control(self) -> Service:
        """Workers, scaling decisions, images and storage."""
        from trunkline.rpc.gen import control_pb2

        return Service(self.channel, control_pb2, "Control")

    @cached_property
    def explain(self) -> Service:
        """Explanations of datums, jobs and pipelines."""
        from trunkline.rpc.gen import explain_pb2

        return Service(self.channel, explain_pb2, "Explain")

    @cached_property
    def console(self) -> Service:
        """Summaries of what the server holds."""
        from trunkline.rpc.gen import console_pb2

        return Service(self.channel, console_pb2, "Console")

    @cached_property
    def machines(self) -> Service:
        """Machines that join, and their tokens."""
        from trunkline.rpc.gen import machines_pb2

        return Service(self.channel, machines_pb2, "Machines")

    @cached_property
    def store(self) -> Service:
        """Chunk-level uploads."""
        from trunkline.rpc.gen import store_pb2

        return Service(self.channel, store_pb2, "Store")

    @cached_property
    def debug(self) -> Service:
        """Dumps and profiles."""
        from trunkline.rpc.gen import debug_pb2

        return Service(self.channel, debug_pb2, "Debug")
