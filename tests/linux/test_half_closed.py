"""Connections whose peer has closed them, of real sockets."""

from __future__ import annotations

import contextlib
import socket

import pytest
from patience import eventually

from trunkline.linux import half_closed
from trunkline.linux.half_closed import Connection


@contextlib.contextmanager
def connected(family, address):
    with socket.socket(family) as listener:
        listener.bind((address, 0))
        listener.listen()
        with socket.socket(family) as client:
            client.connect((address, listener.getsockname()[1]))
            server, peer = listener.accept()
            with server:
                yield client, Connection(half_closed.normal(peer[0]), peer[1], listener.getsockname()[1])


@pytest.mark.parametrize(
    ("family", "address"),
    [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET, "127.1.2.3"), (socket.AF_INET6, "::1")],
)
def test_a_connection_is_listed_when_its_peer_has_closed_it(family, address):
    with connected(family, address) as (client, connection):
        before = half_closed.half_closed()

        client.close()

        eventually(lambda: connection in half_closed.half_closed(), "the connection")
        assert connection not in before


@pytest.mark.parametrize(
    ("address", "form"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("::ffff:127.0.0.1", "127.0.0.1"),
        ("fe80::1%eth0", "fe80::1"),
        ("::1", "::1"),
    ],
)
def test_addresses_have_one_form(address, form):
    assert half_closed.normal(address) == form
