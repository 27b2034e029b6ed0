"""The reflection service: by its messages, and with gRPC's own client for it."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from importlib.util import find_spec

import grpc
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool

from trunkline.app import drivers
from trunkline.app.settings import Settings
from trunkline.rpc import methods
from trunkline.rpc.asgi.server import Server
from trunkline.rpc.gen import reflection_pb2

LIMIT = 60  # seconds to wait for a state before a test fails

# In a process of its own, because it registers the names that our generated code has registered here.
CLIENT = """
import sys, grpc
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
with grpc.insecure_channel(sys.argv[1]) as channel:
    database = ProtoReflectionDescriptorDatabase(channel)
    print(*database.get_services())
    service = DescriptorPool(database).FindServiceByName("pfs_v2.API")
    method = service.methods_by_name["InspectRepo"]
    print(method.input_type.full_name, method.output_type.fields_by_name["created"].message_type.full_name)
"""


@pytest.fixture
async def server(tmp_path):
    started = Server(drivers.http_server(Settings(data=tmp_path, listen=("127.0.0.1:0",))))
    await started.serve({})
    yield started
    await started.stop(0)


@pytest.fixture(params=["v1", "v1alpha"])
async def ask(request, server):
    """Return what asks several questions in one call."""
    async with grpc.aio.insecure_channel(server.address) as channel:

        async def answers(*questions):
            call = channel.stream_stream(
                f"/grpc.reflection.{request.param}.ServerReflection/ServerReflectionInfo",
                request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
                response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
            )
            requests = [reflection_pb2.ServerReflectionRequest(host="h", **each) for each in questions]
            return [answer async for answer in call(iter(requests), timeout=LIMIT)]

        yield answers


async def test_every_service_is_listed(ask):
    [answer] = await ask({"list_services": "*"})

    names = [service.name for service in answer.list_services_response.service]
    assert names == sorted(
        [
            *methods.SERVICES,
            "grpc.health.v1.Health",
            "grpc.reflection.v1.ServerReflection",
            "grpc.reflection.v1alpha.ServerReflection",
        ]
    )
    assert answer.valid_host == answer.original_request.host == "h"


async def test_the_file_of_a_symbol_comes_with_all_files_that_it_needs(ask):
    [answer] = await ask({"file_containing_symbol": "pps_v2.API.InspectJob"})
    files = [
        descriptor_pb2.FileDescriptorProto.FromString(each)
        for each in answer.file_descriptor_response.file_descriptor_proto
    ]

    assert len({file.name for file in files}) == len(files) > 5
    pool = descriptor_pool.DescriptorPool()
    missing = {file.name: file for file in files}
    while missing:
        ready = [file for file in missing.values() if not missing.keys() & set(file.dependency)]
        assert ready
        for file in ready:
            pool.Add(missing.pop(file.name))
    assert pool.FindServiceByName("pps_v2.API").methods_by_name["InspectJob"].output_type.name == "JobInfo"


async def test_a_file_is_found_by_its_name(ask):
    [answer] = await ask({"file_by_filename": "google/protobuf/empty.proto"})

    [body] = answer.file_descriptor_response.file_descriptor_proto
    assert descriptor_pb2.FileDescriptorProto.FromString(body).package == "google.protobuf"


async def test_extensions_are_found_by_their_numbers(ask):
    [numbers] = await ask({"all_extension_numbers_of_type": "pfs_v2.Repo"})
    [none] = await ask(
        {"file_containing_extension": {"containing_type": "pfs_v2.Repo", "extension_number": 1}}
    )

    assert numbers.all_extension_numbers_response.base_type_name == "pfs_v2.Repo"
    assert list(numbers.all_extension_numbers_response.extension_number) == []
    assert none.error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]


async def test_a_question_without_an_answer_does_not_end_the_call(ask):
    answers = await ask({"file_containing_symbol": "no.Such"}, {}, {"list_services": ""})

    codes = [answer.error_response.error_code for answer in answers]
    assert codes == [grpc.StatusCode.NOT_FOUND.value[0], grpc.StatusCode.INVALID_ARGUMENT.value[0], 0]
    assert "no.Such" in answers[0].error_response.error_message


async def test_bytes_that_are_no_question_are_refused(server):
    async with grpc.aio.insecure_channel(server.address) as channel:
        call = channel.stream_stream("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            [answer async for answer in call(iter([b"\xff"]), timeout=LIMIT)]

    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.skipif(find_spec("grpc_reflection") is None, reason="grpcio-reflection is not installed")
async def test_the_published_client_lists_and_describes(server):
    command = [sys.executable, "-c", CLIENT, server.address]
    output = await asyncio.to_thread(subprocess.run, command, stdout=subprocess.PIPE, text=True, check=True)

    services, described = output.stdout.splitlines()
    assert "pps_v2.API" in services.split()
    assert described == "pfs_v2.InspectRepoRequest google.protobuf.Timestamp"
