"""The parts of the ASGI edge by themselves: framing, headers, batches."""

from __future__ import annotations

import asyncio
import gc
import gzip
import os
import threading
import weakref

import pytest
from google.rpc import error_details_pb2, status_pb2
from hypothesis import given
from hypothesis import strategies as st

from trunkline import errors
from trunkline.model.port_limits import DEFAULTS
from trunkline.rpc.asgi import batching, framing, headers
from trunkline.rpc.asgi.arriving import ArrivingRequest, ArrivingRequests
from trunkline.rpc.asgi.requests import Requests
from trunkline.rpc.idle import IdleTimeout
from trunkline.rpc.status import MESSAGE_LIMIT, Status


def plain(messages):
    return [
        message if isinstance(message, bytes) else asyncio.run(message.decompress()) for message in messages
    ]


def framed(message, *, compress=False):
    prefix, body = framing.compressed(message) if compress else (framing.prefix(message), message)
    return prefix + body


@given(
    messages=st.lists(st.tuples(st.binary(max_size=40), st.booleans()), max_size=6),
    cuts=st.lists(st.integers(0, 300), max_size=6),
)
def test_messages_are_the_same_however_their_body_is_cut(messages, cuts):
    body = b"".join(framed(message, compress=compress) for message, compress in messages)
    ends = sorted({min(cut, len(body)) for cut in cuts} | {len(body)})
    unframer = framing.Unframer("a.B/C", "gzip")

    seen = [
        message
        for begin, end in zip([0, *ends], ends, strict=False)
        for message in plain(unframer.feed(body[begin:end]))
    ]

    assert seen == [message for message, _ in messages]
    assert unframer.end() == []


@given(message=st.binary(min_size=1, max_size=40), missing=st.integers(1, 44))
def test_a_body_that_ends_within_a_message_is_noticed(message, missing):
    body = framed(message)
    unframer = framing.Unframer("a.B/C", "identity")

    assert unframer.feed(body[: max(1, len(body) - missing)]) == []

    with pytest.raises(errors.InvalidArgument):
        unframer.end()


@pytest.mark.parametrize(
    ("encoding", "body", "kind"),
    [
        pytest.param("identity", b"\0\xff\xff\xff\xff", errors.ResourceExhausted, id="4 GiB"),
        pytest.param("identity", b"\1\0\0\0\1x", errors.InvalidArgument, id="compressed without encoding"),
        pytest.param("gzip", b"\2\0\0\0\1x", errors.InvalidArgument, id="unknown flag"),
        pytest.param("gzip", b"\1\0\0\0\1x", errors.InvalidArgument, id="not gzip"),
        pytest.param("gzip", b"\1\0\0\0\0", errors.InvalidArgument, id="empty gzip"),
        pytest.param(
            "gzip", framed(bytes(DEFAULTS.message + 1), compress=True), errors.ResourceExhausted, id="bomb"
        ),
    ],
)
def test_a_frame_that_is_not_valid_is_refused_with_its_code(encoding, body, kind):
    with pytest.raises(kind):
        plain(framing.Unframer("a.B/C", encoding).feed(body))


async def test_a_large_request_is_decompressed_like_a_small_one():
    message = os.urandom(1 << 20)

    [packed] = framing.Unframer("a.B/C", "gzip").feed(framed(message, compress=True))

    assert await packed.decompress() == message


async def test_compressed_requests_are_decompressed_one_at_a_time():
    """Otherwise a small piece of a body would become gigabytes at once."""
    body = framed(b"first", compress=True) + b"\1\0\0\0\1x"

    async def receive():
        return {"type": "http.request", "body": body, "more_body": False}

    idle = IdleTimeout(DEFAULTS.upload_idle, "")
    held = ArrivingRequest(ArrivingRequests(DEFAULTS), None)
    requests = Requests("a.B/C", framing.Unframer("a.B/C", "gzip"), bytes, receive, idle, held).stream()

    assert await anext(requests) == b"first"
    with pytest.raises(errors.InvalidArgument):
        await anext(requests)


@pytest.mark.parametrize("answer", [bytes(64 << 10), [b"small"] * 3], ids=["large", "list"])
async def test_answers_that_take_long_to_compress_are_compressed_in_a_thread(answer):
    threads = set()

    def frame(body):
        threads.add(threading.get_ident())
        return framing.compressed(body)

    async def answers():
        yield answer

    async def send(_body):
        pass

    await batching.send_all(answers(), bytes, frame, send, gzip=True)

    assert len(threads) == 1
    assert threading.get_ident() not in threads


def test_an_unknown_compression_is_refused():
    with pytest.raises(errors.Unimplemented, match="deflate"):
        framing.Unframer("a.B/C", "deflate")


def test_compressed_messages_are_valid_gzip():
    _, body = framing.compressed(b"text " * 100)

    assert gzip.decompress(body) == b"text " * 100


@pytest.mark.parametrize(
    ("text", "seconds"),
    [(b"2H", 7200), (b"1M", 60), (b"5S", 5), (b"20m", 0.02), (b"7u", 7e-6), (b"9n", 9e-9)],
)
def test_deadlines_have_six_units(text, seconds):
    assert headers.parse([(b"grpc-timeout", text)]).timeout == pytest.approx(seconds)


@pytest.mark.parametrize("text", [b"", b"5", b"S", b"5x", b"-5S", b"123456789S", b"1.5S"])
def test_a_deadline_that_is_not_valid_is_refused(text):
    with pytest.raises(errors.InvalidArgument, match="grpc-timeout"):
        headers.parse([(b"grpc-timeout", text)])


def test_metadata_is_text_or_bytes_by_its_name():
    request = headers.parse(
        [(b"te", b"trailers"), (b"name", b"value"), (b"key-bin", b"AAE"), (b"k-bin", b"AAE=")]
    )

    assert request.metadata == [("name", "value"), ("key-bin", b"\0\1"), ("k-bin", b"\0\1")]


@pytest.mark.parametrize("entry", [(b"name", b"\xc3\xbc"), (b"name-bin", b"*")])
def test_metadata_that_is_not_valid_is_refused_by_its_name(entry):
    with pytest.raises(errors.InvalidArgument, match=entry[0].decode()):
        headers.parse([entry])


def test_a_status_has_details_for_programs():
    sent = dict(
        headers.trailers(Status("NOT_FOUND", "no größe", "NOT_FOUND"), [("n-bin", b"\0"), ("n", "v")])
    )

    details = status_pb2.Status.FromString(
        headers.parse([(b"d-bin", sent[b"grpc-status-details-bin"])]).metadata[0][1]
    )
    reason = error_details_pb2.ErrorInfo()
    assert details.details[0].Unpack(reason)
    assert (details.code, details.message) == (5, "no größe")
    assert (reason.domain, reason.reason) == ("trunkline", "NOT_FOUND")
    assert sent[b"grpc-message"] == b"no gr%C3%B6%C3%9Fe"
    assert (sent[b"n-bin"], sent[b"n"]) == (b"AA", b"v")


def test_details_are_left_out_when_a_client_could_not_take_them():
    sent = dict(headers.trailers(Status("ABORTED", "x" * (MESSAGE_LIMIT - 10)), []))

    assert b"grpc-status-details-bin" not in sent
    assert sent[b"grpc-status"] == b"10"


async def sent_by(messages):
    """Return what is sent of a generator's messages, one item per send."""
    sent = []

    async def send(body):
        sent.append(body)

    await batching.send_all(messages, lambda message: message, lambda message: (b"", message), send)
    return sent


async def test_messages_that_come_at_once_are_sent_together():
    async def messages():
        for number in range(3):
            yield b"%d" % number
        await asyncio.sleep(0)
        yield b"last"

    assert await sent_by(messages()) == [b"012", b"last"]


async def test_lists_of_messages_are_sent_like_single_ones():
    async def messages():
        yield [b"0", b"1"]
        yield []
        yield b"2"
        yield [bytes(batching.BATCH_BYTES)]
        yield [b"3"]

    assert await sent_by(messages()) == [b"012" + bytes(batching.BATCH_BYTES), b"3"]


async def test_a_message_is_sent_before_its_servicer_waits():
    wait, arrived = asyncio.Event(), asyncio.Event()

    async def messages():
        yield b"event"
        await wait.wait()

    async def send(_body):
        arrived.set()

    sending = asyncio.create_task(
        batching.send_all(messages(), lambda message: message, lambda message: (b"", message), send)
    )
    await asyncio.wait_for(arrived.wait(), 10)
    assert not sending.done()
    wait.set()
    await sending


async def test_large_messages_are_sent_as_they_are():
    large = bytes(batching.LARGE)

    async def messages():
        yield b"small"
        yield large

    sent = await sent_by(messages())

    assert sent[0] == b"small"
    assert sent[1] is large


async def test_a_batch_ends_when_it_is_full():
    async def messages():
        for _ in range(100):
            yield bytes(batching.LARGE - 1)

    sent = await sent_by(messages())

    assert max(map(len, sent)) <= batching.BATCH_BYTES + batching.LARGE
    assert sum(map(len, sent)) == 100 * (batching.LARGE - 1)


@pytest.mark.parametrize("waits", [False, True])
async def test_an_error_comes_after_the_messages_before_it(waits):
    sent = []

    async def messages():
        yield b"one"
        if waits:
            await asyncio.sleep(0)
        raise errors.NotFound("no more")

    async def send(body):
        sent.append(body)

    with pytest.raises(errors.NotFound):
        await batching.send_all(messages(), lambda message: message, lambda message: (b"", message), send)

    assert sent == [b"one"]


@pytest.mark.parametrize("where", ["generator", "send"])
async def test_a_generator_is_closed_when_its_call_is_cancelled(where):
    waiting, closed = asyncio.Event(), asyncio.Event()

    async def messages():
        try:
            yield b"one"
            if where == "generator":
                waiting.set()
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)  # cleaning up may wait
            closed.set()

    async def send(_body):
        if where == "send":
            waiting.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(
        batching.send_all(messages(), lambda message: message, lambda message: (b"", message), send)
    )
    await waiting.wait()
    await asyncio.sleep(0)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert closed.is_set()


async def test_a_cancelled_call_frees_its_messages_at_once():
    """Not when the garbage collector runs next: 200 readers that had gone left 300 MiB."""
    waiting = asyncio.Event()
    messages = [Message()]
    message = weakref.ref(messages[0])

    async def answers():
        yield messages.pop()
        waiting.set()
        await asyncio.Event().wait()

    async def send(_body):
        pass

    task = asyncio.create_task(batching.send_all(answers(), lambda _: b"x", lambda body: (b"", body), send))
    await waiting.wait()
    await asyncio.sleep(0)
    gc.disable()
    try:
        task.cancel()
        await asyncio.wait([task])
        del task

        assert message() is None
    finally:
        gc.enable()


class Message:
    """What a weak reference can be made to."""
