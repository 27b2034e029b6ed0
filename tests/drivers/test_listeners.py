"""Listening sockets: several addresses, and Unix sockets."""

from __future__ import annotations

import os
import socket
import stat

import pytest

from trunkline import errors
from trunkline.runtime.listening import Listeners


@pytest.fixture
def opened():
    """Return a function that listens until the end of the test."""
    created = []

    def listen(*listens):
        created.append(Listeners(listens))
        return created[-1]

    yield listen
    for listeners in created:
        listeners.close()


def test_each_address_has_its_own_port(opened, tmp_path):
    listeners = opened(f"unix:{tmp_path}/t.sock", "127.0.0.1:0", "127.0.0.1:0")

    ports = [address.rpartition(":")[2] for address in listeners.addresses[1:]]

    assert listeners.addresses[0] == f"unix:{tmp_path}/t.sock"
    assert len(set(ports)) == 2
    assert listeners.address == listeners.addresses[1]


def test_a_unix_socket_is_for_its_user_alone_and_is_removed_at_the_end(tmp_path):
    path = tmp_path / "t.sock"
    listeners = Listeners([f"unix:{path}"])

    mode = stat.S_IMODE(path.stat().st_mode)
    listeners.close()

    assert mode == 0o600
    assert not path.exists()


def test_the_socket_of_a_killed_server_is_replaced(opened, tmp_path):
    path = tmp_path / "t.sock"
    with socket.socket(socket.AF_UNIX) as abandoned:
        abandoned.bind(str(path))

    opened(f"unix:{path}")

    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))


def test_a_socket_in_use_is_not_taken(opened, tmp_path):
    opened(f"unix:{tmp_path}/t.sock")

    with pytest.raises(errors.Unavailable, match="another server"):
        opened(f"unix:{tmp_path}/t.sock")

    assert (tmp_path / "t.sock").exists()


def test_a_file_that_is_not_a_socket_is_kept(opened, tmp_path):
    (tmp_path / "data").write_text("precious")

    with pytest.raises(errors.Unavailable, match="not a socket"):
        opened(f"unix:{tmp_path}/data")

    assert (tmp_path / "data").read_text() == "precious"


def test_the_socket_of_another_server_is_not_removed(tmp_path):
    path = tmp_path / "t.sock"
    first = Listeners([f"unix:{path}"])
    path.unlink()
    second = Listeners([f"unix:{path}"])

    first.close()
    is_there = path.exists()
    second.close()

    assert is_there


@pytest.mark.parametrize("listen", ["nowhere", "127.0.0.1", ":1", "127.0.0.1:x", "127.0.0.1:70000"])
def test_an_address_that_is_not_valid_is_refused(opened, listen):
    with pytest.raises(errors.InvalidArgument, match=listen):
        opened(listen)


def test_a_path_that_is_too_long_or_has_no_folder_is_refused(opened, tmp_path):
    for path in ("x" * 200, "none/t.sock"):
        with pytest.raises(errors.Unavailable, match="cannot listen on unix:"):
            opened(f"unix:{tmp_path}/{path}")


def test_an_address_in_use_leaves_the_others_free(opened, tmp_path):
    first = opened("127.0.0.1:0").address

    with pytest.raises(errors.Unavailable, match=first):
        opened(f"unix:{tmp_path}/t.sock", first)

    assert os.listdir(tmp_path) == []
