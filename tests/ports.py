"""Ports for programs of tests that must be given one."""

from __future__ import annotations

import contextlib
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def reserved_port() -> Iterator[int]:
    """Give a port of 127.0.0.1 that the system gives nobody else meanwhile.

    A socket is bound to it and does not listen. A program that sets ``SO_REUSEADDR``, as servers do, can listen there;
    until it does, connections are refused.
    """
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        yield int(holder.getsockname()[1])
