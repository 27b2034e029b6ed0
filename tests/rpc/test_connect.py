"""The Connect protocol, called as a server calls the application."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json

import pytest
import web_servicers
from exchange import LIMIT, WebApi, piece
from google.rpc import error_details_pb2

from trunkline.rpc.asgi import framing
from trunkline.rpc.asgi.connect import ConnectApplication
from trunkline.rpc.gen import pfs_pb2

INSPECT, LIST, FILES, SUBSCRIBE, UPLOAD, DATUMS = (
    "/pfs_v2.API/InspectRepo",
    "/pfs_v2.API/ListRepo",
    "/pfs_v2.API/ListFile",
    "/pfs_v2.API/SubscribeCommit",
    "/pfs_v2.API/ModifyFile",
    "/pps_v2.API/CreateDatum",
)
JSON, PROTO = b"application/json", b"application/proto"
JSON_STREAM, PROTO_STREAM = b"application/connect+json", b"application/connect+proto"


@pytest.fixture
def pfs():
    return web_servicers.Pfs()


@pytest.fixture
def calls(pfs):
    return web_servicers.calls(pfs)


@pytest.fixture
def application(calls):
    return ConnectApplication(calls)


def body(data):
    return {"type": "http.request", "body": data}


def messages(exchange):
    """Return the messages of a stream and its end."""
    data, parts = exchange.body, []
    while data:
        flags, size = framing.PREFIX.unpack_from(data)
        parts.append((flags, data[5 : 5 + size]))
        data = data[5 + size :]
    assert [flags & 2 for flags, _ in parts] == [0] * (len(parts) - 1) + [2]
    return [gzip.decompress(message) if flags & 1 else message for flags, message in parts[:-1]], json.loads(
        parts[-1][1]
    )


async def test_a_call_in_json(application):
    exchange = await WebApi(application, JSON).post(INSPECT, '{"repo": {"name": "images"}}')

    assert (exchange.status, exchange.headers[b"content-type"]) == (200, JSON)
    assert exchange.json == {"repo": {"name": "images"}, "sizeBytesUpperBound": "9007199254740992"}


async def test_a_call_in_protobuf(application):
    request = pfs_pb2.InspectRepoRequest(repo={"name": "images"}).SerializeToString()

    exchange = await WebApi(application, PROTO).begin(INSPECT, body(request)).ended()

    assert (exchange.status, exchange.headers[b"content-type"]) == (200, PROTO)
    assert pfs_pb2.RepoInfo.FromString(exchange.body).repo.name == "images"


async def test_an_error_is_json_with_its_http_status(application):
    request = pfs_pb2.InspectRepoRequest(repo={"name": "missing"}).SerializeToString()

    exchange = await WebApi(application, PROTO).begin(INSPECT, body(request)).ended()

    assert (exchange.status, exchange.headers[b"content-type"]) == (404, JSON)
    detail = error_details_pb2.ErrorInfo(reason="NOT_FOUND", domain="trunkline")
    error = exchange.json
    [entry] = error.pop("details")
    assert error == {"code": "not_found", "message": "repo default/missing not found"}
    assert entry["type"] == "google.rpc.ErrorInfo"
    assert entry["value"].rstrip("=") == entry["value"]
    assert base64.b64decode(entry["value"] + "===") == detail.SerializeToString()


async def test_trailing_metadata_is_in_headers_of_its_own(application):
    exchange = await WebApi(application, JSON).post(INSPECT, '{"repo": {"name": "trailing"}}')

    assert exchange.headers[b"trailer-rows"] == b"7"
    assert exchange.headers[b"trailer-key-bin"] == b"//4"


async def test_a_body_is_compressed_both_ways_when_asked(application):
    headers = [(b"content-encoding", b"gzip"), (b"accept-encoding", b"br, gzip;q=0.9")]
    request = gzip.compress(b'{"repo": {"name": "large"}}')

    exchange = await WebApi(application, JSON).begin(INSPECT, body(request), headers=headers).ended()

    assert exchange.headers[b"content-encoding"] == b"gzip"
    assert len(exchange.body) < 500
    assert json.loads(gzip.decompress(exchange.body))["description"] == "text " * 1000


async def test_a_stream_is_messages_and_an_end_with_metadata(application):
    exchange = await WebApi(application, JSON_STREAM).begin(LIST, piece(b"{}")).ended()

    assert (exchange.status, exchange.headers[b"content-type"]) == (200, JSON_STREAM)
    answers, end = messages(exchange)
    assert [json.loads(answer)["repo"]["name"] for answer in answers] == ["a", "b"]
    assert end == {"metadata": {"rows": ["2"]}}


@pytest.mark.parametrize(
    ("path", "request_", "number", "code"),
    [
        pytest.param(LIST, pfs_pb2.ListRepoRequest(type="fails"), 2, "unavailable", id="after answers"),
        pytest.param(FILES, pfs_pb2.ListFileRequest(), 0, "not_found", id="before answers"),
    ],
)
async def test_an_error_of_a_stream_is_in_its_end(application, path, request_, number, code):
    exchange = (
        await WebApi(application, PROTO_STREAM).begin(path, piece(request_.SerializeToString())).ended()
    )

    answers, end = messages(exchange)
    assert exchange.status == 200
    assert len(answers) == number
    assert end["error"]["code"] == code


async def test_messages_of_a_stream_are_compressed_when_asked(application):
    prefix, request = framing.compressed(b"{}")
    headers = [(b"connect-content-encoding", b"gzip"), (b"connect-accept-encoding", b"gzip")]

    exchange = (
        await WebApi(application, JSON_STREAM).begin(LIST, body(prefix + request), headers=headers).ended()
    )

    assert exchange.headers[b"connect-content-encoding"] == b"gzip"
    assert len(messages(exchange)[0]) == 2


async def test_a_stream_of_requests_is_answered_once(application, pfs):
    requests = [
        pfs_pb2.ModifyFileRequest(add_file={"path": path}).SerializeToString() for path in ("/a", "/b")
    ]

    exchange = await WebApi(application, PROTO_STREAM).begin(UPLOAD, piece(*requests)).ended()

    assert messages(exchange) == ([b""], {})
    assert [request.add_file.path for request in pfs.requests] == ["/a", "/b"]


async def test_requests_and_answers_may_alternate(application):
    first, second = b'{"start": {"number": 1}}', b'{"start": {"number": 2}}'
    exchange = WebApi(application, JSON_STREAM).begin(DATUMS, piece(first, more=True))
    await asyncio.wait_for(exchange.arrived.wait(), LIMIT)
    exchange.give(piece(second))
    await exchange.ended()

    assert [json.loads(answer)["imageId"] for answer in messages(exchange)[0]] == ["1", "2"]


@pytest.mark.parametrize(
    ("path", "kind", "method", "headers", "status", "code"),
    [
        pytest.param("/pfs_v2.API/None", JSON, "POST", [], 501, "unimplemented", id="unknown method"),
        pytest.param("/x.API/None", JSON, "POST", [], 501, "unimplemented", id="unknown service"),
        pytest.param(INSPECT, JSON, "GET", [], 405, "unimplemented", id="GET"),
        pytest.param(INSPECT, b"text/plain", "POST", [], 415, "unknown", id="text"),
        pytest.param(INSPECT, b"application/grpc-web+proto", "POST", [], 415, "unknown", id="gRPC-web"),
        pytest.param(INSPECT, JSON_STREAM, "POST", [], 415, "unknown", id="stream for a plain call"),
        pytest.param(LIST, JSON, "POST", [], 415, "unknown", id="plain call for a stream"),
        pytest.param(
            INSPECT, JSON, "POST", [(b"connect-timeout-ms", b"soon")], 400, "invalid_argument", id="deadline"
        ),
        pytest.param(
            INSPECT,
            JSON,
            "POST",
            [(b"connect-protocol-version", b"2")],
            400,
            "invalid_argument",
            id="version",
        ),
        pytest.param(INSPECT, JSON, "POST", [(b"content-encoding", b"br")], 501, "unimplemented", id="br"),
        pytest.param(
            INSPECT, PROTO, "POST", [(b"content-encoding", b"gzip")], 400, "invalid_argument", id="not gzip"
        ),
        pytest.param(INSPECT, PROTO, "POST", [], 400, "invalid_argument", id="not protobuf"),
    ],
)
async def test_a_bad_request_gets_one_error(application, path, kind, method, headers, status, code):
    api = WebApi(application, kind)
    data = b"\xff" if kind == PROTO else b"{}"

    exchange = await api.begin(path, body(data), headers=headers, method=method).ended()

    assert (exchange.status, exchange.json["code"]) == (status, code)
    assert exchange.json["message"]
    assert (b"accept-post" in exchange.headers) == (status == 415)


async def test_a_call_ends_at_its_deadline(application):
    exchange = await WebApi(application, JSON).post(
        INSPECT, '{"repo": {"name": "waits"}}', headers=[(b"connect-timeout-ms", b"20")]
    )

    assert (exchange.status, exchange.json["code"]) == (504, "deadline_exceeded")


async def test_the_stop_ends_a_stream_with_unavailable(application, calls, pfs):
    exchange = WebApi(application, JSON_STREAM).begin(SUBSCRIBE, piece(b"{}"))
    await asyncio.wait_for(exchange.arrived.wait(), LIMIT)

    await calls.stop(0)
    await exchange.ended()

    assert messages(exchange)[1]["error"]["code"] == "unavailable"
    assert pfs.ended.is_set()
