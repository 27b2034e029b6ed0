"""Connections to checked addresses, and reading from them with limits of time.

A host is resolved once; the connection is made to an address that the rules allow, never to the name, so that a name
that resolves differently the next time changes nothing.
"""

from __future__ import annotations

import io
import socket
import time
from typing import TYPE_CHECKING, Any

from trunkline.errors import Unavailable
from trunkline.runtime import cancellation

if TYPE_CHECKING:
    from trunkline.model.outbound import Rules, Target

#: Seconds to make a connection.
CONNECT = 10.0
#: Seconds without a byte after which the other end counts as lost.
SILENCE = 60.0
#: Seconds between two looks at whether the work is cancelled.
_LOOK = 1.0


def addresses(rules: Rules, target: Target) -> list[str]:
    """Resolve the host of a URL and return its checked addresses. Blocks.

    Raises:
        Unavailable: it cannot be resolved.
        PermissionDenied: none of its addresses is allowed.
    """
    try:
        infos = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise Unavailable(
            f"cannot connect to {target}: its host cannot be resolved; check the name, or try again"
        ) from error
    return rules.checked(target, dict.fromkeys(str(info[4][0]) for info in infos))


def connected(rules: Rules, target: Target) -> socket.socket:
    """Return a connection to a checked address of a URL's host. Blocks.

    Raises:
        Unavailable: no checked address answers.
        PermissionDenied: there is none.
    """
    problem: OSError | None = None
    for address in addresses(rules, target):
        cancellation.check()
        try:
            return socket.create_connection((address, target.port), CONNECT)
        except OSError as error:
            problem = error
    raise Unavailable(f"cannot connect to {target}: {described(problem)}; try again") from problem


def described(error: BaseException | None) -> str:
    """Return what went wrong with a connection, without a URL."""
    if isinstance(error, TimeoutError):
        return "it does not answer"
    return (
        (getattr(error, "strerror", None) or type(error).__name__).lower() if error else "it has no address"
    )


class WatchedSocket:
    """A connected socket for ``http.client``, whose reads end at a deadline and when the work is cancelled.

    Args:
        sock: connected; with TLS, wrapped.
        target: the URL, for messages.
        seconds: until the deadline.
    """

    def __init__(self, sock: socket.socket, target: Target, seconds: float) -> None:
        self._sock = sock
        self._sock.settimeout(_LOOK)
        self._target = target
        self._readers = 0
        self._closed = False
        self.deadline = time.monotonic() + seconds

    def makefile(self, _mode: str) -> io.BufferedReader:
        """Return what responses are read from; the connection stays open until that is closed too."""
        self._readers += 1
        return io.BufferedReader(_Reader(self), 1 << 16)

    def sendall(self, data: bytes) -> None:
        """Send a request, which is small."""
        self._sock.settimeout(SILENCE)
        try:
            self._sock.sendall(data)
        finally:
            self._sock.settimeout(_LOOK)

    def close(self) -> None:
        """Close the connection, unless a response is still read from it, as ``http.client`` expects of sockets."""
        self._closed = True
        if not self._readers:
            self._sock.close()

    def release(self) -> None:
        """Close the connection if it was to be closed before."""
        self._readers -= 1
        if self._closed and not self._readers:
            self._sock.close()

    def receive(self, buffer: memoryview) -> int:
        """Read some bytes; 0 at the end.

        Raises:
            Unavailable: nothing comes, or it takes too long.
            Cancelled: nobody waits for them any more.
        """
        begun = time.monotonic()
        while True:
            cancellation.check()
            now = time.monotonic()
            if now > self.deadline or now > begun + SILENCE:
                why = "takes too long" if now > self.deadline else f"has sent nothing for {SILENCE:g} s"
                raise Unavailable(f"{self._target} {why}; try again")
            try:
                return self._sock.recv_into(buffer)
            except TimeoutError:
                continue


class _Reader(io.RawIOBase):
    def __init__(self, watched: WatchedSocket) -> None:
        self._watched = watched

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        if not self.closed:
            self._watched.release()
        super().close()

    def readinto(self, buffer: Any) -> int:
        return self._watched.receive(buffer)
