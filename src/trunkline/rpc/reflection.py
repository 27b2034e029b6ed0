"""The standard reflection service: the services of the server and the types of their messages, for generic clients.

``grpc.reflection.v1`` and ``v1alpha`` have the same messages, so one servicer answers both with those of v1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from google.protobuf import descriptor_pool
from google.protobuf.message import DecodeError

from trunkline import errors
from trunkline.rpc.gen import reflection_pb2, reflection_v1alpha_pb2
from trunkline.rpc.status import NUMBERS

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Mapping

    from google.protobuf.descriptor import FileDescriptor, ServiceDescriptor

    from trunkline.rpc.call import Call

_Request = reflection_pb2.ServerReflectionRequest
_Response = reflection_pb2.ServerReflectionResponse

#: The reflection services by their full names, as ``methods.table`` takes them.
SERVICES: Mapping[str, ServiceDescriptor] = {
    service.full_name: service
    for module in (reflection_pb2, reflection_v1alpha_pb2)
    for service in module.DESCRIPTOR.services_by_name.values()
}


class ReflectionServicer:
    """Answers from the descriptors of the generated code."""

    raw_requests = raw_responses = frozenset({"ServerReflectionInfo"})

    def __init__(self, services: Iterable[str]) -> None:
        """Make it.

        Args:
            services: full names of the services to list.
        """
        self._services = sorted(services)
        self._pool = descriptor_pool.Default()
        self._answers: Mapping[str, Callable[[reflection_pb2.ServerReflectionRequest], _Response]] = {
            "file_by_filename": lambda request: _files(self._pool.FindFileByName(request.file_by_filename)),
            "file_containing_symbol": self._file_of_symbol,
            "file_containing_extension": self._file_of_extension,
            "all_extension_numbers_of_type": self._extension_numbers,
            "list_services": self._list,
        }

    async def ServerReflectionInfo(self, requests: AsyncIterator[bytes], call: Call) -> AsyncGenerator[bytes]:
        async for body in requests:
            try:
                request = _Request.FromString(body)
            except DecodeError as error:
                raise errors.InvalidArgument(
                    f"{call.rpc} got bytes that are not a ServerReflectionRequest; use a client of gRPC's reflection"
                ) from error
            response = self._answer(request)
            response.valid_host = request.host
            response.original_request.CopyFrom(request)
            yield response.SerializeToString()

    def _answer(self, request: reflection_pb2.ServerReflectionRequest) -> _Response:
        which = request.WhichOneof("message_request")
        if which is None:
            return _refusal(
                "INVALID_ARGUMENT", "the request asks for nothing; set one field of message_request"
            )
        try:
            return self._answers[which](request)
        except KeyError:
            what = " ".join(str(getattr(request, which)).split())
            return _refusal(
                "NOT_FOUND", f"{which}: {what} not found; list_services shows what this server has"
            )

    def _list(self, _request: reflection_pb2.ServerReflectionRequest) -> _Response:
        services = [reflection_pb2.ServiceResponse(name=name) for name in self._services]
        return _Response(list_services_response={"service": services})

    def _file_of_symbol(self, request: reflection_pb2.ServerReflectionRequest) -> _Response:
        name = request.file_containing_symbol
        try:
            return _files(self._pool.FindFileContainingSymbol(name))
        except KeyError:  # the pool has methods under a name of their own
            return _files(self._pool.FindMethodByName(name).containing_service.file)

    def _file_of_extension(self, request: reflection_pb2.ServerReflectionRequest) -> _Response:
        asked = request.file_containing_extension
        message = self._pool.FindMessageTypeByName(asked.containing_type)
        extension = self._pool.FindExtensionByNumber(message, asked.extension_number)
        return _files(self._pool.FindFileContainingSymbol(extension.full_name))

    def _extension_numbers(self, request: reflection_pb2.ServerReflectionRequest) -> _Response:
        name = request.all_extension_numbers_of_type
        extensions = self._pool.FindAllExtensions(self._pool.FindMessageTypeByName(name))
        numbers = sorted(extension.number for extension in extensions)
        return _Response(all_extension_numbers_response={"base_type_name": name, "extension_number": numbers})


def _files(file: FileDescriptor) -> _Response:
    """Return a file and those that it imports, each once."""
    files: dict[str, bytes] = {}
    waiting = [file]
    while waiting:
        file = waiting.pop()
        if file.name not in files:
            files[file.name] = file.serialized_pb
            waiting += file.dependencies
    return _Response(file_descriptor_response={"file_descriptor_proto": list(files.values())})


def _refusal(code: str, message: str) -> _Response:
    return _Response(error_response={"error_code": NUMBERS[code], "error_message": message})
