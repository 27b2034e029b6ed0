"""A real server on a free port, spoken to by the published SDK and by plain gRPC clients."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging

import grpc
import pachyderm_sdk
import pytest
import raw_http2
from google.protobuf import empty_pb2
from pachyderm_sdk.api import pfs
from pachyderm_sdk.errors import AuthServiceNotActivated
from raw_http2 import (
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    INITIAL_WINDOW_SIZE,
    PREFACE,
    WINDOW_UPDATE,
    RawClient,
    frame,
    request,
    settings,
)

from trunkline import errors
from trunkline.model import limits
from trunkline.model.caller import ANONYMOUS
from trunkline.model.port_limits import DEFAULTS, PortLimits
from trunkline.rpc import methods, status
from trunkline.rpc.asgi import unsent
from trunkline.rpc.asgi.server import Server
from trunkline.rpc.gen import health_pb2, pfs_pb2, pps_pb2, version_pb2

LIMIT = 60  # seconds to wait for a state before a test fails


class Version:
    async def GetVersion(self, _request, _call):
        return version_pb2.Version(major=2, minor=12)


class Pfs:
    """Answers by the name of the repo that is asked for."""

    raw_requests = frozenset({"ModifyFile", "ClearCommit"})
    raw_responses = frozenset({"GetFile", "GetFileTAR"})

    def __init__(self):
        self.received = []
        self.ended = asyncio.Event()
        self.uploads = asyncio.Queue()
        self.begun = 0

    async def InspectRepo(self, request, _call):
        name = request.repo.name
        if name == "missing":
            raise errors.NotFound("repo default/missing not found")
        if name == "bug":
            return {}["no such key"]
        if name == "wordy":
            raise errors.Aborted("zu groß, 100 % ✗ " * 10_000)
        if name == "surrogate":
            raise errors.InvalidArgument("no such path: \udcff")
        if name == "spaces":
            raise errors.NotFound(" no repo  has the name ")
        if request.repo.name == "lines":
            raise errors.InvalidArgument("no such path: a\nb\0")
        return pfs_pb2.RepoInfo(repo=request.repo)

    async def ListRepo(self, request, _call):
        for name in ("a", "b"):
            yield pfs_pb2.RepoInfo(repo=pfs_pb2.Repo(name=name))
        if request.type == "fails":
            raise errors.Unavailable("the store does not answer; try again")

    async def SubscribeCommit(self, _request, _call):
        try:
            yield pfs_pb2.CommitInfo()
            await asyncio.Event().wait()
        finally:
            self.ended.set()

    async def CreateFileSet(self, request, _call):
        async for message in request:
            self.received.append(message)
        return pfs_pb2.CreateFileSetResponse(file_set_id=str(len(self.received)))

    async def ClearCommit(self, request, _call):
        self.received.append(request)
        return empty_pb2.Empty()

    async def ModifyFile(self, request, _call):
        self.begun += 1
        try:
            async for frame in request:
                self.received.append(frame)
            self.uploads.put_nowait("finished")
        except asyncio.CancelledError:
            self.uploads.put_nowait("cancelled")
            raise
        return empty_pb2.Empty()

    async def GetFile(self, _request, _call):
        yield b"\x0a\x02hi"

    async def GetFileTAR(self, _request, _call):
        try:
            while True:
                yield bytes(1 << 20)
        finally:
            self.ended.set()


class Pps:
    async def CreateDatum(self, request, _call):
        async for message in request:
            yield pps_pb2.DatumInfo(image_id=str(message.start.number))


@pytest.fixture
def servicer():
    return Pfs()


@pytest.fixture
def port_limits():
    return DEFAULTS


async def start(servicers, http, limits=DEFAULTS):
    started = Server(http, limits=limits)
    await started.serve(servicers)
    return started


@pytest.fixture
async def running(servicer, http_server, port_limits):
    started = await start(
        {"pfs_v2.API": servicer, "pps_v2.API": Pps(), "versionpb_v2.API": Version()},
        http_server(limits=port_limits),
        port_limits,
    )
    yield started
    await started.stop(grace=0)


@pytest.fixture
async def channel(running):
    async with grpc.aio.insecure_channel(running.address) as opened:
        yield opened


@pytest.fixture
def client(running):
    host, port = running.address.split(":")
    return pachyderm_sdk.Client(host=host, port=int(port))


async def refusal(call):
    """Run an SDK call in a thread; return the code and the sentence it is refused with."""
    with pytest.raises(grpc.RpcError) as caught:
        await asyncio.to_thread(call)
    return caught.value.code(), caught.value.details()


async def test_the_sdk_gets_an_answer(client):
    version = await asyncio.to_thread(client.get_version)

    assert (version.major, version.minor) == (2, 12)


async def test_the_sdk_gets_a_stream(client):
    infos = await asyncio.to_thread(lambda: list(client.pfs.list_repo()))

    assert [info.repo.name for info in infos] == ["a", "b"]


async def test_both_sides_of_a_call_may_be_streams(channel):
    requests = [pps_pb2.CreateDatumRequest(start={"number": number}) for number in (1, 2)]
    call = channel.stream_stream(
        "/pps_v2.API/CreateDatum",
        request_serializer=pps_pb2.CreateDatumRequest.SerializeToString,
        response_deserializer=pps_pb2.DatumInfo.FromString,
    )

    answers = [answer async for answer in call(iter(requests))]

    assert [answer.image_id for answer in answers] == ["1", "2"]


async def test_an_error_of_ours_keeps_its_code_and_sentence(client):
    asked = pfs.Repo(name="missing")

    code, sentence = await refusal(lambda: client.pfs.inspect_repo(repo=asked))

    assert (code, sentence) == (grpc.StatusCode.NOT_FOUND, "repo default/missing not found")
    assert await asyncio.to_thread(client.pfs.repo_exists, asked) is False


async def test_an_error_in_the_middle_of_a_stream_comes_after_the_answers(client):
    seen = []

    def read():
        seen.extend(info.repo.name for info in client.pfs.list_repo(type="fails"))

    code, sentence = await refusal(read)

    assert (code, seen) == (grpc.StatusCode.UNAVAILABLE, ["a", "b"])
    assert sentence == "the store does not answer; try again"


async def test_a_bug_is_told_as_such_and_logged_with_its_traceback(client, caplog):
    with caplog.at_level(logging.ERROR, logger="trunkline.rpc"):
        code, sentence = await refusal(lambda: client.pfs.inspect_repo(repo=pfs.Repo(name="bug")))

    assert code is grpc.StatusCode.INTERNAL
    assert "pfs_v2.API/InspectRepo failed with a KeyError" in sentence
    assert "please report it" in sentence
    [record] = caplog.records
    assert record.exc_info[0] is KeyError


async def test_a_refusal_of_ours_is_not_logged(client, caplog):
    await refusal(lambda: client.pfs.inspect_repo(repo=pfs.Repo(name="missing")))

    assert caplog.records == []


async def test_a_very_long_sentence_is_cut_so_that_it_arrives(client):
    code, sentence = await refusal(lambda: client.pfs.inspect_repo(repo=pfs.Repo(name="wordy")))

    assert code is grpc.StatusCode.ABORTED
    assert sentence.startswith("zu groß, 100 % ✗ zu groß")
    assert sentence.endswith("…")


async def test_a_sentence_with_bytes_that_are_not_text_arrives(client):
    code, sentence = await refusal(lambda: client.pfs.inspect_repo(repo=pfs.Repo(name="surrogate")))

    assert (code, sentence) == (grpc.StatusCode.INVALID_ARGUMENT, "no such path: ?")


async def test_a_sentence_with_line_ends_arrives_as_one_line(client):
    _, sentence = await refusal(lambda: client.pfs.inspect_repo(repo=pfs.Repo(name="lines")))

    assert sentence == r"no such path: a\nb\x00"


async def test_a_sentence_keeps_the_spaces_around_it(client):
    _, sentence = await refusal(lambda: client.pfs.inspect_repo(repo=pfs.Repo(name="spaces")))

    assert sentence == " no repo  has the name "


async def test_bytes_that_are_no_message_are_the_clients_fault(channel):
    with pytest.raises(grpc.aio.AioRpcError) as single:
        await channel.unary_unary("/pfs_v2.API/InspectRepo")(b"\xff")
    with pytest.raises(grpc.aio.AioRpcError) as streamed:
        await channel.stream_unary("/pfs_v2.API/CreateFileSet")(iter([b"\xff"]))

    for error in (single.value, streamed.value):
        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert "bytes that are not its request message" in error.details()


async def test_a_request_with_a_list_beyond_the_limit_is_refused(channel):
    request = pfs_pb2.ListRepoRequest(projects=[pfs_pb2.Project()] * (limits.REQUEST_LIST + 1))
    call = channel.unary_stream("/pfs_v2.API/ListRepo")

    with pytest.raises(grpc.aio.AioRpcError) as caught:
        [answer async for answer in call(request.SerializeToString())]

    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "projects" in caught.value.details()


async def test_an_rpc_that_is_not_built_names_itself(client):
    code, sentence = await refusal(client.pps.run_pipeline)

    assert code is grpc.StatusCode.UNIMPLEMENTED
    assert sentence.startswith("pps_v2.API/RunPipeline is not built yet in Trunkline 0.1.0")


async def test_a_stream_that_is_not_built_names_itself(client):
    code, sentence = await refusal(lambda: list(client.storage.read_fileset(fileset_id="x")))

    assert code is grpc.StatusCode.UNIMPLEMENTED
    assert sentence.startswith("storage.Fileset/ReadFileset is not built yet")


async def test_the_sdk_learns_that_there_is_no_login(client):
    with pytest.raises(AuthServiceNotActivated, match=r"^the auth service is not activated$"):
        await asyncio.to_thread(client.auth.who_am_i)


async def test_a_servicer_may_take_and_give_bytes(channel, servicer):
    file_set = pfs_pb2.ClearCommitRequest(commit={"id": "c"}).SerializeToString()

    await channel.unary_unary("/pfs_v2.API/ClearCommit")(file_set)
    await channel.stream_unary("/pfs_v2.API/ModifyFile")(iter([b"one", b"two"]))
    answers = [answer async for answer in channel.unary_stream("/pfs_v2.API/GetFile")(b"")]

    assert servicer.received == [file_set, b"one", b"two"]
    assert answers == [b"\x0a\x02hi"]


async def test_messages_of_20_mebibytes_are_taken_and_larger_ones_refused(running):
    frames = {
        size: pfs_pb2.InspectRepoRequest(repo={"name": "x" * size}).SerializeToString()
        for size in (DEFAULTS.message - 100, DEFAULTS.message)
    }
    fitting, too_large = frames.values()
    unlimited = [("grpc.max_receive_message_length", -1)]

    async with grpc.aio.insecure_channel(running.address, unlimited) as channel:
        call = channel.unary_unary("/pfs_v2.API/InspectRepo")
        echo = await call(fitting)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call(too_large)

    assert echo == fitting
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_a_stream_is_closed_as_soon_as_its_reader_goes(channel, servicer):
    call = channel.unary_stream("/pfs_v2.API/SubscribeCommit")(b"")
    await call.read()

    call.cancel()

    await asyncio.wait_for(servicer.ended.wait(), LIMIT)


async def test_an_upload_whose_client_goes_never_looks_finished(running, servicer, caplog):
    """Taking a broken stream for a finished one would commit half a file.

    A server may do so rarely, and on new connections only: hence the number of attempts, each on a connection of its
    own. A call that is cancelled at once may never begin.
    """
    for attempt in range(100):
        async with grpc.aio.insecure_channel(running.address, [("test.attempt", attempt)]) as channel:
            call = channel.stream_unary("/pfs_v2.API/ModifyFile")()
            await call.write(b"part of a file")
            call.cancel()

    async with asyncio.timeout(LIMIT):
        ends = [await servicer.uploads.get() for _ in range(servicer.begun)]
    assert set(ends) == {"cancelled"}
    assert caplog.records == []


async def test_an_upload_that_was_ended_is_finished(channel, servicer):
    await channel.stream_unary("/pfs_v2.API/ModifyFile")(iter([b"all of a file"]))

    assert servicer.uploads.get_nowait() == "finished"


async def test_every_service_is_healthy(channel):
    check = channel.unary_unary(
        "/grpc.health.v1.Health/Check",
        request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
        response_deserializer=health_pb2.HealthCheckResponse.FromString,
    )

    for service in ("", "pfs_v2.API", "pps_v2.API", "auth_v2.API", "trunkline.worker.v1.Worker"):
        answer = await check(health_pb2.HealthCheckRequest(service=service))

        assert answer.status == health_pb2.HealthCheckResponse.SERVING


async def test_a_taken_port_is_refused(running, http_server):
    with pytest.raises(errors.Unavailable, match=f"{running.address}: Address already in use"):
        await start({}, http_server(listen=(running.address,)))


@pytest.mark.parametrize("listen", ["", "30650", ":30650", "localhost", "localhost:http", "localhost:65536"])
async def test_an_address_that_is_none_is_refused(listen, http_server):
    with pytest.raises(errors.InvalidArgument, match="write HOST:PORT"):
        await start({}, http_server(listen=(listen,)))


async def test_a_method_sees_its_call_without_knowing_the_transport(http_server):
    seen = []

    class Curious:
        async def GetVersion(self, _request, call):
            seen.append(call)
            call.trailing.append(("cost", "3"))
            return version_pb2.Version(major=2)

    started = await start({"versionpb_v2.API": Curious()}, http_server())
    async with grpc.aio.insecure_channel(started.address) as channel:
        answer = channel.unary_unary("/versionpb_v2.API/GetVersion")(
            b"", metadata=(("name", "value"),), timeout=LIMIT
        )
        await answer
        trailing = dict(await answer.trailing_metadata())
    await started.stop(grace=0)

    [call] = seen
    assert (call.rpc, call.caller) == ("versionpb_v2.API/GetVersion", ANONYMOUS)
    assert call.metadata["name"] == "value"
    assert 0 < call.time_left < 2 * LIMIT  # gRPC rounds what it sends
    assert call.peer
    assert trailing["cost"] == "3"


async def test_stopping_lets_running_calls_finish(http_server):
    entered, release = asyncio.Event(), asyncio.Event()

    class Slow:
        async def GetVersion(self, _request, _call):
            entered.set()
            await release.wait()
            return version_pb2.Version(major=2)

    started = await start({"versionpb_v2.API": Slow()}, http_server())
    async with grpc.aio.insecure_channel(started.address) as channel:
        call = channel.unary_unary("/versionpb_v2.API/GetVersion")(b"")
        await entered.wait()
        stopping = asyncio.create_task(started.stop(grace=LIMIT))
        release.set()

        assert version_pb2.Version.FromString(await call).major == 2

        await asyncio.wait_for(stopping, LIMIT)


async def test_a_stopped_server_frees_its_port(http_server):
    first = await start({}, http_server())
    await first.stop(grace=0)

    second = await start({}, http_server(listen=(first.address,)))

    assert second.address == first.address
    await second.stop(grace=0)


def test_a_servicer_for_no_service_is_refused():
    with pytest.raises(ValueError, match=r"no such service: pfs\.API"):
        methods.table({"pfs.API": Pfs})


def test_raw_bytes_for_an_rpc_that_does_not_exist_are_refused():
    class Misspelt:
        raw_requests = frozenset({"ModifyFiles"})

    with pytest.raises(ValueError, match=r"pfs_v2\.API has no ModifyFiles"):
        methods.table({"pfs_v2.API": Misspelt()})


def test_a_method_of_the_wrong_shape_is_refused():
    class Once:
        async def ListRepo(self, _request, _call):
            return []

    class Many:
        async def InspectRepo(self, _request, _call):
            yield None

    with pytest.raises(TypeError, match=r"pfs_v2\.API/ListRepo answers with a stream"):
        methods.table({"pfs_v2.API": Once()})
    with pytest.raises(TypeError, match=r"pfs_v2\.API/InspectRepo answers once"):
        methods.table({"pfs_v2.API": Many()})


def test_every_error_of_ours_has_its_status_code():
    kinds = [
        kind for _, kind in inspect.getmembers(errors, inspect.isclass) if kind.__module__ == errors.__name__
    ]

    names = {
        kind.__name__: grpc.StatusCode[status.status_of("a.B/C", kind("what is wrong")).code].name
        for kind in kinds
    }

    assert names == {kind.__name__: kind.code for kind in kinds}
    assert [name for name, code in names.items() if code == "UNKNOWN"] == ["TrunklineError"]


@pytest.mark.parametrize("port_limits", [PortLimits(download_idle=0.05)])
async def test_a_call_whose_client_takes_nothing_of_the_answer_ends(channel, servicer):
    call = channel.unary_stream("/pfs_v2.API/GetFileTAR")(b"")

    await asyncio.wait_for(servicer.ended.wait(), LIMIT)

    with pytest.raises(grpc.aio.AioRpcError) as refused:
        async for _ in call:
            pass
    assert refused.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED


@pytest.mark.parametrize("port_limits", [PortLimits(answer_stall=0.05, unsent_answers=3 << 20)])
async def test_the_longest_stalled_answer_ends_when_there_are_too_many_bytes_of_them(
    running, servicer, monkeypatch
):
    """Each holds megabytes: a thousand readers with a window of zero could take all memory for ten minutes."""
    monkeypatch.setattr(unsent, "LOOK", 0.01)
    window = settings((INITIAL_WINDOW_SIZE, 0))
    call = frame(HEADERS, END_HEADERS, 1, request("/pfs_v2.API/GetFileTAR"))
    call += frame(DATA, END_STREAM, 1, raw_http2.message(b""))

    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(RawClient(running.address, PREFACE, window)) for _ in range(4)]
        for client in clients:  # the answer of each is 1 MiB without end
            client.send(call)
            await asyncio.to_thread(client.read_headers, 1)
        await asyncio.wait_for(servicer.ended.wait(), LIMIT)
        clients[-1].send(frame(WINDOW_UPDATE, 0, 1, (1 << 16).to_bytes(4, "big")))
        others = await asyncio.to_thread(clients[-1].read_until, DATA, 1)

    assert others


@pytest.mark.parametrize("port_limits", [PortLimits(upload_idle=0.05)])
async def test_a_stream_of_requests_whose_client_sends_nothing_more_ends(channel, servicer):

    async def requests():
        yield b"first"
        await asyncio.Event().wait()

    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await asyncio.wait_for(channel.stream_unary("/pfs_v2.API/ModifyFile")(requests()), LIMIT)

    assert refused.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert servicer.received == [b"first"]
    assert await asyncio.wait_for(servicer.uploads.get(), LIMIT) == "cancelled"
