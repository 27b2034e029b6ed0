"""REST in the shape of grpc-gateway, called as a server calls the application."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging

import pytest
import web_servicers
from exchange import GONE, LIMIT, WebApi, text
from google.protobuf import timestamp_pb2
from hypothesis import given
from hypothesis import strategies as st

from trunkline import errors
from trunkline.model import limits
from trunkline.model.port_limits import DEFAULTS
from trunkline.rpc.asgi import bodies, json_messages
from trunkline.rpc.asgi.rest import RestApplication
from trunkline.rpc.gen import pfs_pb2, pps_pb2
from trunkline.telemetry.logs import ACCESS

INSPECT, LIST, FILES, SUBSCRIBE, UPLOAD, DOWNLOAD, DATUMS = (
    "/api/pfs_v2.API/InspectRepo",
    "/api/pfs_v2.API/ListRepo",
    "/api/pfs_v2.API/ListFile",
    "/api/pfs_v2.API/SubscribeCommit",
    "/api/pfs_v2.API/ModifyFile",
    "/api/pfs_v2.API/GetFile",
    "/api/pps_v2.API/CreateDatum",
)


@pytest.fixture
def pfs():
    return web_servicers.Pfs()


@pytest.fixture
def calls(pfs):
    return web_servicers.calls(pfs)


@pytest.fixture
def api(calls):
    return WebApi(RestApplication(calls), b"application/json")


async def test_an_answer_has_all_fields_in_the_shape_of_grpc_gateway(api):
    exchange = await api.post(INSPECT, '{"repo": {"name": "images", "project": {"name": "default"}}}')

    assert exchange.status == 200
    assert exchange.headers[b"content-type"] == b"application/json"
    assert int(exchange.headers[b"content-length"]) == len(exchange.body)
    assert exchange.json == {
        "repo": {"name": "images", "type": "", "project": {"name": "default"}},
        "created": None,
        "sizeBytesUpperBound": "9007199254740992",
        "description": "",
        "branches": [],
        "authInfo": None,
        "details": None,
        "metadata": {},
    }


async def test_fields_may_have_the_names_of_the_proto_file_and_a_body_may_be_empty(api, pfs):
    await api.post(LIST, '{"page": {"page_size": "7"}}')
    empty = await api.post(LIST, "")

    assert len(empty.lines) == 2


async def test_a_stream_is_a_line_for_each_answer(api):
    exchange = await api.post(LIST)

    assert exchange.status == 200
    assert [line["result"]["repo"]["name"] for line in exchange.lines] == ["a", "b"]
    assert b"content-length" not in exchange.headers


async def test_an_error_within_a_stream_is_its_last_line(api):
    exchange = await api.post(LIST, '{"type": "fails"}')

    assert exchange.status == 200
    assert [list(line) for line in exchange.lines] == [["result"], ["result"], ["error"]]
    assert exchange.lines[2]["error"]["code"] == 14


async def test_an_error_before_the_first_answer_of_a_stream_has_its_http_status(api):
    exchange = await api.post(FILES)

    assert exchange.status == 404
    assert exchange.json["error"]["code"] == 5


async def test_an_error_is_a_status_as_json(api):
    exchange = await api.post(INSPECT, '{"repo": {"name": "missing"}}')

    assert exchange.status == 404
    assert exchange.json == {
        "code": 5,
        "message": "repo default/missing not found",
        "details": [
            {
                "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                "reason": "NOT_FOUND",
                "domain": "trunkline",
                "metadata": {},
            }
        ],
    }


@pytest.mark.parametrize(
    ("path", "method", "headers", "status", "code"),
    [
        pytest.param("/api/pfs_v2.API/None", "POST", [], 404, 5, id="unknown method"),
        pytest.param("/api", "POST", [], 404, 5, id="no method"),
        pytest.param(INSPECT, "GET", [], 405, 12, id="GET"),
        pytest.param(INSPECT, "POST", [(b"content-type", b"text/plain")], 415, 3, id="text"),
        pytest.param(INSPECT, "POST", [(b"content-type", b"")], 415, 3, id="no content type"),
        pytest.param(INSPECT, "POST", [(b"grpc-timeout", b"soon")], 400, 3, id="deadline"),
        pytest.param(INSPECT, "POST", [(b"grpc-metadata-name", b"\xff")], 400, 3, id="metadata"),
        pytest.param(INSPECT, "POST", [(b"content-encoding", b"br")], 501, 12, id="compression"),
        pytest.param(UPLOAD, "POST", [(b"content-encoding", b"gzip")], 501, 12, id="compressed stream"),
        pytest.param("/api/pfs_v2.API/DiffFile", "POST", [], 501, 12, id="not built"),
        pytest.param("/api/auth_v2.API/WhoAmI", "POST", [], 501, 12, id="no login"),
    ],
)
async def test_a_bad_request_gets_one_error(calls, path, method, headers, status, code):
    names = [name for name, _ in headers]
    kind = None if b"content-type" in names else b"application/json; charset=utf-8"
    api = WebApi(RestApplication(calls), kind)

    exchange = await api.begin(path, text(""), headers=headers, method=method).ended()

    assert exchange.status == status
    error = exchange.json.get("error", exchange.json)
    assert error["code"] == code
    assert error["message"]


@pytest.mark.parametrize(
    ("body", "fragment"),
    [
        pytest.param('{"repo": {"nme": "x"}}', "InspectRepoRequest.repo", id="unknown field, with its path"),
        pytest.param('{"repo": {"name": 7}}', "repo.name", id="wrong type, with its path"),
        pytest.param('{"repo": ', "line 1", id="cut off"),
        pytest.param("{} {}", "Extra data", id="two messages"),
        pytest.param("[]", "", id="a list"),
        pytest.param('{"repo": {}, "repo": {}}', "repo", id="a field twice"),
        pytest.param('{"repo":' * 100_000, "", id="deep"),
        pytest.param('{"repo": {"name": "\\ud800"}}', "", id="half a character"),
        pytest.param('{"\udcff', "utf-8", id="not UTF-8"),
    ],
)
async def test_json_that_is_not_the_request_is_refused_with_the_place(api, body, fragment):
    event = {"type": "http.request", "body": body.encode(errors="surrogateescape")}

    exchange = await api.begin(INSPECT, event).ended()

    assert exchange.status == 400
    assert exchange.json["code"] == 3
    assert fragment in exchange.json["message"]


async def test_a_message_beyond_the_limit_is_refused_with_both_numbers(api):
    event = {"type": "http.request", "body": b" " * (DEFAULTS.message + 1), "more_body": True}

    exchange = await api.begin(INSPECT, event).ended()

    assert (exchange.status, exchange.json["code"]) == (429, 8)
    assert f"{DEFAULTS.message:,}" in exchange.json["message"]
    assert f"{DEFAULTS.message + 1:,}" in exchange.json["message"]


async def test_json_with_too_many_values_is_refused_unread(api, pfs):
    body = '{"repo": {"name": "x"}, "unknown": [' + "{}," * limits.JSON_VALUES + "{}]}"

    exchange = await api.post(INSPECT, body)

    assert (exchange.status, exchange.json["code"]) == (400, 3)
    assert f"{limits.JSON_VALUES:,}" in exchange.json["message"]
    assert "unknown" not in exchange.json["message"]


async def test_a_long_body_is_converted_like_a_short_one(api, pfs):
    name = "x" * 100_000

    await api.post(INSPECT, json.dumps({"repo": {"name": name}}))

    assert pfs.requests[0].repo.name == name


async def test_a_compressed_body_is_read(api, pfs):
    body = gzip.compress(b'{"repo": {"name": "images"}}')

    await api.begin(
        INSPECT, {"type": "http.request", "body": body}, headers=[(b"content-encoding", b"gzip")]
    ).ended()

    assert pfs.requests[0].repo.name == "images"


async def test_headers_are_metadata(api, pfs):
    headers = [
        (b"authorization", b"Bearer x"),
        (b"authn-token", b"y"),
        (b"grpc-metadata-name", b"z"),
        (b"grpc-metadata-key-bin", b"//4"),
        (b"cookie", b"\xff"),
    ]

    await api.post(INSPECT, headers=headers)

    metadata = pfs.calls[0].metadata
    assert (metadata["authorization"], metadata["authn-token"], metadata["name"]) == ("Bearer x", "y", "z")
    assert metadata["key-bin"] == b"\xff\xfe"
    assert "cookie" not in metadata


async def test_trailing_metadata_is_in_the_headers(api):
    exchange = await api.post(INSPECT, '{"repo": {"name": "trailing"}}')

    assert exchange.headers[b"grpc-metadata-rows"] == b"7"
    assert exchange.headers[b"grpc-metadata-key-bin"] == b"//4"


async def test_a_call_ends_at_its_deadline(api):
    exchange = await api.post(INSPECT, '{"repo": {"name": "waits"}}', headers=[(b"grpc-timeout", b"20m")])

    assert (exchange.status, exchange.json["code"]) == (504, 4)


async def test_a_stream_of_requests_is_a_sequence_of_objects(api, pfs):
    body = '{"setCommit": {"id": "7"}}\n{"addFile": {"path": "/{\\"a", "raw": "aGk="}} {"deleteFile": {"path": "b"}}'

    exchange = await api.begin(UPLOAD, text(body[:40], more=True), text(body[40:])).ended()

    assert (exchange.status, exchange.json) == (200, {})
    assert [request.WhichOneof("body") for request in pfs.requests] == [
        "set_commit",
        "add_file",
        "delete_file",
    ]
    assert (pfs.requests[1].add_file.path, pfs.requests[1].add_file.raw.value) == ('/{"a', b"hi")


async def test_requests_and_answers_may_alternate(api):
    exchange = api.begin(DATUMS, text('{"start": {"number": 1}}', more=True))
    await asyncio.wait_for(exchange.arrived.wait(), LIMIT)
    first = exchange.body
    exchange.give(text('{"start": {"number": 2}}'))
    await exchange.ended()

    assert first
    assert [line["result"]["imageId"] for line in exchange.lines] == ["1", "2"]


@pytest.mark.parametrize("body", ['{"setCommit": {}}, {"deleteFile": {}}', "[{}]", '{} "x"', "}", "{} {"])
async def test_a_stream_of_anything_but_objects_is_refused(api, pfs, body):
    exchange = await api.post(UPLOAD, body)

    assert (exchange.status, exchange.json["code"]) == (400, 3)
    assert pfs.end != "finished"


async def test_an_upload_that_breaks_is_cancelled(api, pfs):
    await api.begin(UPLOAD, text("{}", more=True), GONE).ended()

    assert pfs.end == "cancelled"


async def test_bytes_of_files_are_base64(api):
    exchange = await api.post(DOWNLOAD)

    assert exchange.lines == [{"result": "aGk="}]


async def test_a_subscriber_that_goes_ends_the_call_and_the_access_log_has_it(api, pfs, caplog):
    with caplog.at_level(logging.INFO, logger=ACCESS):
        exchange = api.begin(SUBSCRIBE, text("{}"))
        await asyncio.wait_for(exchange.arrived.wait(), LIMIT)
        exchange.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await exchange.task

    assert pfs.ended.is_set()
    assert [(record.method, record.code) for record in caplog.records] == [
        ("pfs_v2.API/SubscribeCommit", "CANCELLED")
    ]


async def test_the_access_log_has_the_id_of_a_request_that_pages_show_with_its_failure(api, caplog):
    trace_id = "4bf92f3577b34da6a3ce929d0e0e4736"
    with caplog.at_level(logging.INFO, logger=ACCESS):
        await api.post(INSPECT, headers=[(b"traceparent", f"00-{trace_id}-00f067aa0ba902b7-00".encode())])

    assert [record.trace_id for record in caplog.records] == [trace_id]


async def test_a_slow_reader_holds_one_batch(api, pfs):
    exchange = api.begin(DOWNLOAD, text('{"offset": "1"}'))
    exchange.take_nothing()

    for _ in range(100):
        await asyncio.sleep(0)

    assert 0 < pfs.yielded <= 4
    exchange.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await exchange.task


async def test_the_stop_ends_a_stream_with_an_error(api, calls):
    exchange = api.begin(SUBSCRIBE, text("{}"))
    await asyncio.wait_for(exchange.arrived.wait(), LIMIT)

    await calls.stop(0)
    await exchange.ended()

    assert exchange.lines[-1]["error"]["code"] == 14


objects = st.recursive(
    st.text(max_size=5) | st.integers() | st.just('\\"{}'),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(
    values=st.lists(st.dictionaries(st.text(max_size=3), objects, max_size=3), max_size=4),
    between=st.sampled_from(["", "\n", " \r\n\t"]),
    cuts=st.lists(st.integers(0, 300), max_size=8),
)
def test_objects_are_the_same_however_their_body_is_cut(values, between, cuts):
    body = between.join(json.dumps(value, ensure_ascii=False) for value in values).encode()
    ends = sorted({min(cut, len(body)) for cut in cuts} | {len(body)})
    reader = bodies.JsonObjects("a.B/C")

    texts = [
        part for begin, end in zip([0, *ends], ends, strict=False) for part in reader.feed(body[begin:end])
    ]

    assert [json.loads(part) for part in texts] == values
    assert reader.end() == []


def test_an_object_beyond_the_limit_is_refused_before_its_end():
    reader = bodies.JsonObjects("a.B/C")
    reader.feed(b'{"x": "' + b"x" * (DEFAULTS.message - 7))

    with pytest.raises(errors.ResourceExhausted):
        reader.feed(b"x")


def test_the_members_of_a_oneof_that_are_not_set_are_left_out():
    add = pfs_pb2.AddFile(path="/a", raw={"value": b"x"})

    assert json.loads(json_messages.to_full_json(add)) == {"path": "/a", "datum": "", "raw": "eA=="}


def test_messages_in_lists_and_well_known_types_are_complete():
    info = pfs_pb2.CommitInfo(
        direct_provenance=[pfs_pb2.Commit(id="7")],
        started=timestamp_pb2.Timestamp(seconds=1, nanos=500_000_000),
    )

    value = json.loads(json_messages.to_full_json(info))

    assert value["started"] == "1970-01-01T00:00:01.500Z"
    assert value["directProvenance"] == [{"repo": None, "id": "7", "branch": None}]
    assert value["origin"] is None


def test_enums_are_names():
    info = pps_pb2.JobInfo(state=pps_pb2.JOB_SUCCESS)

    assert json.loads(json_messages.to_full_json(info))["state"] == "JOB_SUCCESS"
