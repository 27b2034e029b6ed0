"""The methods of every service in ``protos/``, each with the servicer's method that answers it.

A servicer is a plain object with a method named as the RPC, exactly:

- unary: ``async def InspectRepo(self, request, call) -> RepoInfo``
- server stream: ``async def ListRepo(self, request, call)`` that yields, an async generator; it may yield lists of
  small messages, which costs less for each
- client stream: ``request`` is an async iterator of messages; the rest as above

An RPC without such a method answers UNIMPLEMENTED with its own name, so every service of the API is registered
and a servicer can implement any part of it. A servicer that reads or returns bytes instead of messages for some
RPCs (to decode frequent messages by hand) names them in ``raw_requests`` and ``raw_responses``, two sets of method
names. Blocking work of a call runs in the lane of its connection (``threads``); a servicer names in ``control`` the
methods whose work must not wait for others', and in ``long_lists`` those whose requests may have lists beyond the
limit.

This module knows neither a transport nor what any RPC does.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from google.protobuf.message_factory import GetMessageClass
from msgspec import Struct

from trunkline import __version__, errors
from trunkline.model import limits
from trunkline.rpc.gen import (
    admin_pb2,
    auth_pb2,
    console_pb2,
    control_pb2,
    debug_pb2,
    enterprise_pb2,
    explain_pb2,
    identity_pb2,
    license_pb2,
    logs_pb2,
    machines_pb2,
    metadata_pb2,
    pfs_pb2,
    pjs_pb2,
    pps_pb2,
    snapshot_pb2,
    storage_pb2,
    store_pb2,
    transaction_pb2,
    version_pb2,
    worker_api_pb2,
    worker_pb2,
)
from trunkline.runtime import threads

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from google.protobuf.descriptor import Descriptor, MethodDescriptor, ServiceDescriptor

_MODULES = (
    admin_pb2,
    auth_pb2,
    console_pb2,
    control_pb2,
    debug_pb2,
    enterprise_pb2,
    explain_pb2,
    identity_pb2,
    license_pb2,
    logs_pb2,
    machines_pb2,
    metadata_pb2,
    pfs_pb2,
    pjs_pb2,
    pps_pb2,
    snapshot_pb2,
    storage_pb2,
    store_pb2,
    transaction_pb2,
    version_pb2,
    worker_api_pb2,
    worker_pb2,
)

#: Every service of the API by its full name, such as ``pfs_v2.API``.
SERVICES: Mapping[str, ServiceDescriptor] = {
    service.full_name: service
    for module in _MODULES
    for service in module.DESCRIPTOR.services_by_name.values()
}

# Pachyderm's clients look for exactly these words to learn that there is no login.
_AUTH_OFF = "the auth service is not activated"


class Method(Struct, frozen=True):
    """An RPC and what answers it.

    Attributes:
        rpc: ``package.Service/Method``.
        client_streaming: whether the request is a stream.
        server_streaming: whether the answer is a stream.
        answer: the servicer's method: called with the request and the ``Call``.
        decode: makes a request message of its bytes.
        encode: makes bytes of an answer message.
        lane: where its blocking work runs; empty for the lane of the connection.
        input_type: the request message, for what is not encoded as protobuf.
        output_type: the answer message, likewise.
        is_built: whether a servicer answers it; UNIMPLEMENTED otherwise.
    """

    rpc: str
    client_streaming: bool
    server_streaming: bool
    answer: Callable[[Any, Any], Any]
    decode: Callable[[bytes], Any]
    encode: Callable[[Any], bytes]
    lane: str
    input_type: Descriptor
    output_type: Descriptor
    is_built: bool


def table(
    servicers: Mapping[str, object], services: Mapping[str, ServiceDescriptor] = SERVICES
) -> dict[str, Method]:
    """Return the methods of services by their path, such as ``/pfs_v2.API/InspectRepo``.

    Args:
        servicers: the object that answers for a service, by the service's full name.
        services: the services by their full name.

    Raises:
        ValueError: a servicer is for no service, or names raw RPCs it does not have.
        TypeError: a method is not a coroutine function or async generator function as its RPC asks.
    """
    if unknown := servicers.keys() - services.keys():
        raise ValueError(f"no such service: {', '.join(sorted(unknown))}")
    for name, servicer in servicers.items():
        raw = _named_methods(servicer, "raw_requests") | _named_methods(servicer, "raw_responses")
        if unknown_raw := {rpc for rpc in raw if rpc not in services[name].methods_by_name}:
            raise ValueError(f"{name} has no {', '.join(sorted(unknown_raw))} to exchange raw bytes with")
    return {
        f"/{name}/{method.name}": _method(f"{name}/{method.name}", method, servicers.get(name))
        for name, service in services.items()
        for method in service.methods
    }


def _method(rpc: str, descriptor: MethodDescriptor, servicer: object) -> Method:
    name = descriptor.name
    answer = getattr(servicer, name, None)
    is_built = answer is not None
    if answer is None:
        answer = _missing_stream(rpc) if descriptor.server_streaming else _missing(rpc)
        decode: Callable[[bytes], Any] = _as_it_is
    else:
        raw = name in _named_methods(servicer, "raw_requests")
        decode = _as_it_is if raw else GetMessageClass(descriptor.input_type).FromString
        if not (descriptor.client_streaming or name in _named_methods(servicer, "long_lists")):
            decode = _within_limits(decode)
    if descriptor.server_streaming:
        if not inspect.isasyncgenfunction(answer):
            raise TypeError(f"{rpc} answers with a stream: its method must be an async generator")
    elif not inspect.iscoroutinefunction(answer):
        raise TypeError(f"{rpc} answers once: its method must be a coroutine function")
    return Method(
        rpc,
        client_streaming=descriptor.client_streaming,
        server_streaming=descriptor.server_streaming,
        answer=answer,
        decode=decode,
        encode=(
            _as_it_is
            if name in _named_methods(servicer, "raw_responses")
            else GetMessageClass(descriptor.output_type).SerializeToString
        ),
        lane=threads.CONTROL if name in _named_methods(servicer, "control") else "",
        input_type=descriptor.input_type,
        output_type=descriptor.output_type,
        is_built=is_built,
    )


def _missing(rpc: str) -> Callable[[Any, Any], Any]:
    async def answer(_request: object, _call: object) -> None:
        raise _not_built(rpc)

    return answer


def _missing_stream(rpc: str) -> Callable[[Any, Any], Any]:
    async def answer(_request: object, _call: object) -> Any:
        raise _not_built(rpc)
        yield  # an async generator

    return answer


def _not_built(rpc: str) -> errors.Unimplemented:
    return errors.Unimplemented(
        _AUTH_OFF
        if rpc.startswith("auth_v2.API/") or rpc.endswith("/ActivateAuth")
        else f"{rpc} is not built yet in Trunkline {__version__}; look for it in a later version"
    )


def _within_limits(decode: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return a decoder that also refuses messages with lists that are too long."""

    def limited(request: bytes) -> Any:
        message = decode(request)
        # A message with a longer list has more bytes.
        if len(request) > limits.REQUEST_LIST and message is not request:
            for descriptor, value in message.ListFields():
                if descriptor.is_repeated:
                    limits.check_count(
                        len(value), limits.REQUEST_LIST, f"{descriptor.name} of the request", "send fewer"
                    )
        return message

    return limited


def _named_methods(servicer: object, which: str) -> frozenset[str]:
    return frozenset(getattr(servicer, which, ()))


def _as_it_is(request: Any) -> Any:
    return request
