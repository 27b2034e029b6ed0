"""The lean client over TLS and Unix sockets, against servers that offer the right and the wrong things."""

from __future__ import annotations

import socket
import ssl
import threading
from contextlib import contextmanager

import pytest
from certificates import DAY, Authority
from patience import eventually

from trunkline import errors
from trunkline.client.channel import Channel
from trunkline.client.trust import Trust

MIB = 1 << 20


@pytest.fixture
def channel(secure_server, authority):
    with Channel(f"grpcs://127.0.0.1:{secure_server.port}", trust=Trust((str(authority.file),))) as opened:
        yield opened


@contextmanager
def listener(pair=None, alpn=("h2",)):
    """Accept connections and do nothing else with them than a TLS handshake, if there is a certificate."""
    context = None
    if pair is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pair.certificate, pair.key)
        if alpn:
            context.set_alpn_protocols(list(alpn))
    opened = socket.create_server(("127.0.0.1", 0))

    def accept():
        while True:
            try:
                connection, _ = opened.accept()
            except OSError:
                return
            with connection:
                try:
                    if context is not None:
                        with context.wrap_socket(connection, server_side=True) as wrapped:
                            wrapped.recv(1)
                    else:
                        connection.recv(1000)
                        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                except OSError:
                    pass

    thread = threading.Thread(target=accept)
    thread.start()
    yield opened.getsockname()[1]
    opened.shutdown(socket.SHUT_RDWR)
    opened.close()
    thread.join(60)


def refusal(port, trust, host="127.0.0.1"):
    with (
        Channel(f"grpcs://{host}:{port}", trust=trust) as channel,
        pytest.raises(errors.TrunklineError) as raised,
    ):
        channel.unary("/test.T/Echo", b"", timeout=60)
    return raised.value


@pytest.mark.parametrize("size", [0, 16_384, 3 * MIB, 20 * MIB])
def test_a_message_comes_back_over_tls_as_it_was_sent(channel, size):
    message = bytes(range(256)) * (size // 256)

    assert channel.unary("/test.T/Echo", message) == message


def test_many_messages_go_both_ways_over_tls(channel):
    up = channel.client_stream("/test.T/Count", (b"m" * (n % 7) for n in range(5_000)))
    down = list(channel.server_stream("/test.T/Many", b"5000 100"))

    assert up == b"5000 %d" % sum(n % 7 for n in range(5_000))
    assert [int.from_bytes(answer[:4], "big") for answer in down] == list(range(5_000))


def test_an_upload_that_waits_for_the_server_arrives_whole_over_tls(channel):
    sizes = [20 * MIB, 1, 70_000, 20 * MIB]

    assert channel.client_stream("/test.T/Count", (bytes(size) for size in sizes)) == b"4 %d" % sum(sizes)


def test_closing_the_channel_wakes_a_call_in_another_thread_over_tls(channel):
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


def test_a_deadline_ends_a_call_over_tls_and_the_next_one_works(channel):
    with pytest.raises(errors.DeadlineExceeded):
        channel.unary("/test.T/Sleep", b"", timeout=0.05)

    assert channel.unary("/test.T/Echo", b"next") == b"next"


def test_closing_a_stream_early_over_tls_leaves_the_channel_usable(channel):
    answers = channel.server_stream("/test.T/Endless", b"100000")
    next(answers)

    answers.close()

    assert channel.unary("/test.T/Echo", b"next") == b"next"


def test_another_channel_to_the_same_server_uses_tls_too(channel):
    with channel.sibling() as other:
        assert other.unary("/test.T/Echo", b"x") == b"x"


def test_an_address_without_a_scheme_uses_tls_when_a_ca_is_named(secure_server, authority):
    with Channel(f"localhost:{secure_server.port}", trust=Trust(text=authority.file.read_text())) as channel:
        assert channel.unary("/test.T/Echo", b"x") == b"x"


def test_a_server_may_be_trusted_by_its_own_certificate(authority):
    pair = authority.issue("127.0.0.1")
    with listener(pair) as port:
        error = refusal(port, Trust((str(pair.certificate),)))

    assert "closed the connection" in error.message  # after the handshake


def test_the_name_to_verify_can_be_given(authority):
    pair = authority.issue("trunkline.example.org")
    with listener(pair) as port:
        error = refusal(port, Trust((str(authority.file),), name="trunkline.example.org"))

    assert "closed the connection" in error.message


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("unknown CA", "unknown CA"),
        ("system's CAs", "unknown CA"),
        ("wrong name", "not valid for 127.0.0.1"),
        ("expired", "has expired"),
        ("not yet valid", "not valid yet"),
        ("no ALPN", "ALPN"),
        ("plain", "does not speak TLS"),
    ],
)
def test_a_server_that_is_not_accepted_is_named_with_the_reason(authority, tmp_path, case, message):
    trust = Trust((str(authority.file),))
    pair, alpn = authority.issue("127.0.0.1"), ("h2",)
    match case:
        case "unknown CA":
            trust = Trust((str(Authority(tmp_path, "Other CA").file),))
        case "system's CAs":
            trust = Trust()
        case "wrong name":
            pair = authority.issue("example.org", "127.0.0.2")
        case "expired":
            pair = authority.issue("127.0.0.1", begins=-2 * DAY, ends=-DAY)
        case "not yet valid":
            pair = authority.issue("127.0.0.1", begins=DAY / 2)
        case "no ALPN":
            alpn = ()
        case "plain":
            pair = None

    with listener(pair, alpn) as port:
        error = refusal(port, trust)

    assert type(error) is errors.Unavailable
    assert message in error.message
    assert f"127.0.0.1:{port}" in error.message


def test_plain_calls_to_a_server_with_tls_name_the_scheme(secure_server):
    with (
        Channel(f"127.0.0.1:{secure_server.port}") as channel,
        pytest.raises(errors.Unavailable, match="grpcs://"),
    ):
        channel.unary("/test.T/Echo", b"")


@pytest.mark.parametrize("content", [None, "", "nonsense"])
def test_a_ca_file_that_cannot_be_used_is_named(secure_server, tmp_path, content):
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content)

    with pytest.raises(errors.InvalidArgument, match=r"ca\.pem"):
        Channel(f"grpcs://127.0.0.1:{secure_server.port}", trust=Trust((str(file),))).unary(
            "/test.T/Echo", b""
        )


def test_a_missing_unix_socket_is_named(tmp_path):
    with pytest.raises(errors.Unavailable, match=rf"unix:{tmp_path}/none.sock \(no such file"):
        Channel(f"unix:{tmp_path}/none.sock").unary("/test.T/Echo", b"")
