"""The lean channel against real grpc.aio servers."""

from __future__ import annotations

import signal
import socket
import threading

import pytest
from patience import eventually

from trunkline import errors
from trunkline.client import channel as channels
from trunkline.client.channel import Channel

MIB = 1 << 20


@pytest.fixture
def channel(server):
    with Channel(server.address) as opened:
        yield opened


@pytest.mark.parametrize("size", [0, 1, 16_384 - 5, 16_384, 100_000, 3 * MIB, 20 * MIB])
def test_a_message_comes_back_as_it_was_sent(channel, size):
    message = bytes(range(256)) * (size // 256) + b"x" * (size % 256)

    assert channel.unary("/test.T/Echo", message) == message


def test_many_calls_share_one_connection(channel, server):
    for number in range(300):
        assert channel.unary("/test.T/Echo", b"%d" % number) == b"%d" % number

    assert server.servicer.metadata["user-agent"].startswith("trunkline")


def test_metadata_travels_with_every_call(server):
    with Channel(server.address, metadata=[("worker-id", "w-1"), ("worker-token", "secret=")]) as channel:
        channel.unary("/test.T/Echo", b"")

    assert server.servicer.metadata["worker-id"] == "w-1"
    assert server.servicer.metadata["worker-token"] == "secret="


@pytest.mark.parametrize(
    ("key", "value"), [("Worker", "x"), ("", "x"), ("k", "ü"), ("k", "a\nb"), (":path", "x")]
)
def test_metadata_that_cannot_be_sent_is_refused_before_connecting(key, value):
    with pytest.raises(errors.InvalidArgument, match="metadata"):
        Channel("localhost:1", metadata=[(key, value)])


def test_more_metadata_than_the_server_accepts_is_refused_with_the_figures(server):
    with Channel(server.address, metadata=[("k", "v" * 300_000)]) as channel:
        with pytest.raises((errors.InvalidArgument, errors.TrunklineError)):
            channel.unary("/test.T/Echo", b"")
        with pytest.raises(errors.InvalidArgument, match=r"takes 300\d+ bytes but .* accepts \d+"):
            channel.unary("/test.T/Echo", b"")


def test_long_metadata_is_spread_over_continuation_frames(server):
    with Channel(server.address, metadata=[(f"k{n}", "v" * 500) for n in range(14)]) as channel:
        assert channel.unary("/test.T/Echo", b"x") == b"x"

    assert server.servicer.metadata["k13"] == "v" * 500


def test_long_trailers_are_read(channel):
    assert channel.unary("/test.T/Trailing", b"100000") == b"done"


def test_trailers_over_the_limit_end_the_call_and_not_the_channel(channel):
    with pytest.raises(errors.TrunklineError):
        channel.unary("/test.T/Trailing", b"1000000")

    assert channel.unary("/test.T/Echo", b"still here") == b"still here"


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("INVALID_ARGUMENT", errors.InvalidArgument),
        ("NOT_FOUND", errors.NotFound),
        ("ALREADY_EXISTS", errors.AlreadyExists),
        ("FAILED_PRECONDITION", errors.FailedPrecondition),
        ("ABORTED", errors.Aborted),
        ("PERMISSION_DENIED", errors.PermissionDenied),
        ("UNAUTHENTICATED", errors.Unauthenticated),
        ("RESOURCE_EXHAUSTED", errors.ResourceExhausted),
        ("UNAVAILABLE", errors.Unavailable),
        ("UNIMPLEMENTED", errors.Unimplemented),
        ("DATA_LOSS", errors.DataLoss),
        ("DEADLINE_EXCEEDED", errors.DeadlineExceeded),
        ("CANCELLED", errors.Cancelled),
        ("INTERNAL", errors.TrunklineError),
        ("UNKNOWN", errors.TrunklineError),
    ],
)
def test_a_status_becomes_the_error_class_of_its_code(channel, code, kind):
    with pytest.raises(errors.TrunklineError) as raised:
        channel.unary("/test.T/Fail", code.encode() + b' 5 % of "r\xc3\xa9po" x\nis gone')

    assert type(raised.value) is kind
    assert raised.value.message == '5 % of "répo" x\nis gone'


def test_a_method_that_is_not_there_is_unimplemented(channel):
    with pytest.raises(errors.Unimplemented):
        channel.unary("/test.T/Nothing", b"")


many = pytest.mark.parametrize("number", [5_000, pytest.param(100_000, marks=pytest.mark.slow)])


@many
def test_many_small_messages_go_up(channel, number):
    answer = channel.client_stream("/test.T/Count", (b"m" * (n % 7) for n in range(number)))

    assert answer == b"%d %d" % (number, sum(n % 7 for n in range(number)))


@many
def test_many_small_messages_come_down_in_order(channel, number):
    answers = channel.server_stream("/test.T/Many", b"%d 1" % number)

    assert [int.from_bytes(answer[:4], "big") for answer in answers] == list(range(number))


def test_large_and_small_messages_mix_in_one_upload(channel):
    sizes = [0, 10, 20 * MIB, 1, 70_000, 3, MIB, 0]

    answer = channel.client_stream("/test.T/Count", (bytes(size) for size in sizes))

    assert answer == b"%d %d" % (len(sizes), sum(sizes))


def test_twenty_mebibyte_messages_come_down(channel):
    answers = list(channel.server_stream("/test.T/Many", b"3 %d" % (20 * MIB)))

    assert [len(answer) for answer in answers] == [20 * MIB + 4] * 3


def test_an_upload_without_messages_is_answered(channel):
    assert channel.client_stream("/test.T/Count", ()) == b"0 0"


def test_a_stream_without_messages_ends(channel):
    assert list(channel.server_stream("/test.T/Many", b"0 0")) == []


def test_answers_before_an_error_are_delivered_first(channel):
    answers = channel.server_stream("/test.T/FailLate", b"")

    assert [next(answers), next(answers)] == [b"one", b"two"]
    with pytest.raises(errors.DataLoss, match="100 % wrong - ünlucky"):
        next(answers)


def test_an_early_error_ends_an_upload_at_once(channel):
    def endless():
        yield b"good"
        yield b"bad"
        while True:
            yield bytes(MIB)

    with pytest.raises(errors.NotFound, match='repo "x" not found; create it first'):
        channel.client_stream("/test.T/RefuseAt", endless())

    assert channel.unary("/test.T/Echo", b"next") == b"next"


def test_an_exception_of_the_producer_cancels_the_upload(channel):
    def producer():
        yield b"one"
        raise FileNotFoundError("gone.bin")

    with pytest.raises(FileNotFoundError):
        channel.client_stream("/test.T/Count", producer())

    assert channel.unary("/test.T/Echo", b"next") == b"next"


def test_closing_a_stream_early_cancels_it_on_the_server(channel, server):
    answers = channel.server_stream("/test.T/Endless", b"100000")
    next(answers)

    answers.close()

    assert server.servicer.cancelled.wait(60)
    assert channel.unary("/test.T/Echo", b"next") == b"next"


def test_a_stream_that_is_dropped_is_closed(channel, server):
    answers = channel.server_stream("/test.T/Endless", b"10")
    next(answers)

    del answers

    assert server.servicer.cancelled.wait(60)


def test_a_stream_larger_than_its_window_arrives_whole(channel):
    answers = channel.server_stream("/test.T/Many", b"64 %d" % MIB)

    assert [len(answer) for answer in answers] == [MIB + 4] * 64


def test_a_deadline_ends_a_call_that_takes_too_long(channel, server):
    with pytest.raises(errors.DeadlineExceeded):
        channel.unary("/test.T/Sleep", b"", timeout=0.05)

    assert server.servicer.cancelled.wait(60)
    assert channel.unary("/test.T/Echo", b"next", timeout=60) == b"next"


def test_a_deadline_holds_for_streams(channel):
    with pytest.raises(errors.DeadlineExceeded):
        for _ in channel.server_stream("/test.T/Endless", b"1000", timeout=0.1):
            pass


def test_a_second_call_during_another_is_refused(channel):
    answers = channel.server_stream("/test.T/Endless", b"1")

    with pytest.raises(RuntimeError, match=r"/test.T/Endless is running"):
        channel.unary("/test.T/Echo", b"")

    answers.close()
    assert channel.unary("/test.T/Echo", b"") == b""


def test_closing_the_channel_wakes_a_call_in_another_thread(server):
    channel = Channel(server.address)
    outcome: list[BaseException] = []

    def wait():
        try:
            channel.unary("/test.T/Sleep", b"")
        except errors.Unavailable as error:
            outcome.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    eventually(lambda: channel._connection is not None, "the call to have a connection")
    channel.close()
    thread.join(60)

    assert not thread.is_alive()
    assert len(outcome) == 1


def test_a_channel_that_is_closed_while_it_connects_keeps_no_connection(server, monkeypatch):
    channel = Channel(server.address)
    connect = channels.connect

    def connect_and_be_closed(*arguments):
        opened = connect(*arguments)
        channel.close()  # by another thread
        return opened

    monkeypatch.setattr(channels, "connect", connect_and_be_closed)
    with pytest.raises(errors.Unavailable):
        channel.unary("/test.T/Echo", b"")

    assert channel._connection.closed


def test_a_server_that_does_not_listen_is_named_with_the_command_that_starts_one():
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]

    with pytest.raises(errors.Unavailable) as raised:
        Channel(f"127.0.0.1:{port}").unary("/test.T/Echo", b"")

    assert raised.value.message == (
        f"no server answers at 127.0.0.1:{port} (connection refused); start one with"
        ' "trunkline serve --data DIR" or name another with --address or PACHD_ADDRESS'
    )


def test_a_channel_reconnects_to_a_restarted_server(channel, server):
    assert channel.unary("/test.T/Echo", b"before") == b"before"
    server.stop()
    with pytest.raises(errors.Unavailable):
        channel.unary("/test.T/Echo", b"while away")

    server.restart()

    assert channel.unary("/test.T/Echo", b"after") == b"after"


def test_a_server_killed_in_the_middle_of_a_stream_is_unavailable(server_process):
    process, address = server_process
    answers = Channel(address).server_stream("/test.T/Endless", b"1000")
    next(answers)

    process.send_signal(signal.SIGKILL)

    with pytest.raises(errors.Unavailable, match="closed the connection"):
        for _ in answers:
            pass


def test_a_server_killed_in_the_middle_of_an_upload_is_unavailable(server_process):
    process, address = server_process

    def endless():
        for number in range(1_000_000):
            if number == 20:
                process.kill()
            yield bytes(MIB)

    with pytest.raises(errors.Unavailable, match="closed the connection"):
        Channel(address).client_stream("/test.T/Count", endless())
