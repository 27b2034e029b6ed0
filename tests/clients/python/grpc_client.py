"""Calls a server by gRPC's client for Python as ``go/grpc_client.go`` does, with the same output.

Arguments: HOST:PORT, a file with descriptors, and for TLS a file with the certificate of the CA.
"""

import json
import sys
from pathlib import Path

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc

SERVICE = "pfs_v2.API"
LARGE, TOO_MUCH = 19 << 20, 21 << 20

address, descriptors, *ca = sys.argv[1:]
pool = descriptor_pool.DescriptorPool()
with open(descriptors, "rb") as file:
    for proto in descriptor_pb2.FileDescriptorSet.FromString(file.read()).file:
        pool.Add(proto)
methods = pool.FindServiceByName(SERVICE).methods_by_name
options = [("grpc.max_receive_message_length", TOO_MUCH)]
if ca:
    channel = grpc.secure_channel(address, grpc.ssl_channel_credentials(Path(ca[0]).read_bytes()), options)
else:
    channel = grpc.insecure_channel(address, options)


def parts(method):
    request, answer = (
        message_factory.GetMessageClass(kind)
        for kind in (methods[method].input_type, methods[method].output_type)
    )
    return request, (f"/{SERVICE}/{method}", request.SerializeToString, answer.FromString)


def unary(method, request, **options):
    kind, call = parts(method)
    return channel.unary_unary(*call)(json_format.ParseDict(request, kind()), timeout=60, **options)


def server_stream(method, request, timeout=60):
    kind, call = parts(method)
    return channel.unary_stream(*call)(json_format.ParseDict(request, kind()), timeout=timeout)


def upload(repo, files, **options):
    kind, call = parts("ModifyFile")
    requests = [kind(), *(kind() for _ in files)]
    json_format.ParseDict({"setCommit": commit(repo)}, requests[0])
    for request, (path, content) in zip(requests[1:], files.items(), strict=True):
        request.add_file.path = path
        request.add_file.raw.value = content
    channel.stream_unary(*call)(iter(requests), timeout=60, **options)


def repo_of(name):
    return {"name": name, "type": "user", "project": {"name": "default"}}


def commit(repo):
    return {"branch": {"name": "master", "repo": repo_of(repo)}}


def code_of(call):
    try:
        call()
    except grpc.RpcError as error:
        return error.code().value[0], error
    return 0, None


def cancelled():
    stream = server_stream("SubscribeCommit", {"repo": repo_of(repo), "branch": "master", "state": "STARTED"})
    next(stream)
    stream.cancel()
    list(stream)


result = {}
health = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
result["health"] = health_pb2.HealthCheckResponse.ServingStatus.Name(health.status)

repo = "client-python"
unary("CreateRepo", {"repo": repo_of(repo)})
tagged = {
    "metadata": [("x-client", "python"), ("x-client-bin", b"\0\xff")],
    "compression": grpc.Compression.Gzip,
}
result["inspected"] = unary("InspectRepo", {"repo": repo_of(repo)}, **tagged).repo.name == repo

result["missing"], error = code_of(lambda: unary("InspectRepo", {"repo": repo_of("none")}))
[details] = [value for key, value in error.trailing_metadata() if key == "grpc-status-details-bin"]
info = error_details_pb2.ErrorInfo()
status_pb2.Status.FromString(details).details[0].Unpack(info)
result["domain"] = info.domain

upload(repo, {"/a": b"a", "/b": b"b"}, compression=grpc.Compression.Gzip)
listing = server_stream("ListFile", {"file": {"commit": commit(repo), "path": "/"}})
result["uploaded"] = [info.file.path for info in listing]

upload(repo, {"/large": bytes(LARGE)})
pieces = server_stream("GetFile", {"file": {"commit": commit(repo), "path": "/large"}})
result["large"] = sum(len(piece.value) for piece in pieces)
result["beyond"], _ = code_of(lambda: upload(repo, {"/beyond": bytes(TOO_MUCH)}))
waiting = {"repo": repo_of(repo), "branch": "none"}
result["late"], _ = code_of(lambda: list(server_stream("SubscribeCommit", waiting, timeout=0.3)))
result["cancelled"], _ = code_of(cancelled)

print(json.dumps(result), flush=True)
sys.stdin.readline()
again, _ = code_of(lambda: unary("InspectRepo", {"repo": repo_of(repo)}, wait_for_ready=True))
print(json.dumps({"again": again == 0}), flush=True)
