"""Prints the calls that a command makes, for ``-v``."""

from __future__ import annotations

import sys
from time import monotonic
from typing import TYPE_CHECKING

from trunkline.client.channel import Channel
from trunkline.errors import TrunklineError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import TypeVar

    from trunkline.client.channel import Responses

    T = TypeVar("T")


class LoggedChannel(Channel):
    """A channel that prints each call with its time, and how it failed, to standard error."""

    def unary(self, path: str, request: bytes, timeout: float | None = None) -> bytes:
        """Send one message and return the one that answers it.

        Args:
            path: ``/package.Service/Method``.
            request: encoded.
            timeout: seconds; None for no limit.
        """
        return _logged(path, lambda: super(LoggedChannel, self).unary(path, request, timeout))

    def server_stream(self, path: str, request: bytes, timeout: float | None = None) -> Responses:
        """Send one message and return an iterator of the answers.

        Args:
            path: ``/package.Service/Method``.
            request: encoded.
            timeout: seconds; None for no limit.
        """
        return _logged(path, lambda: super(LoggedChannel, self).server_stream(path, request, timeout))

    def client_stream(self, path: str, requests: Iterable[bytes], timeout: float | None = None) -> bytes:
        """Send every message and return the one that answers them.

        Args:
            path: ``/package.Service/Method``.
            requests: encoded.
            timeout: seconds; None for no limit.
        """
        return _logged(path, lambda: super(LoggedChannel, self).client_stream(path, requests, timeout))


def _logged(path: str, call: Callable[[], T]) -> T:
    begin = monotonic()
    try:
        answer = call()
    except TrunklineError as error:
        print(f"{path}: {error.code} after {1000 * (monotonic() - begin):.1f} ms", file=sys.stderr)
        raise
    print(f"{path}: {1000 * (monotonic() - begin):.1f} ms", file=sys.stderr)
    return answer
