"""One call as servicers see it, independent of the transport.

Servicers receive a ``Call`` with their request and nothing else about the network. The transport's adapter
creates it, and sends the trailing metadata that the servicer sets.
"""

from __future__ import annotations

import time
from functools import cached_property
from typing import TYPE_CHECKING

from trunkline.model.caller import ANONYMOUS, Caller

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from trunkline.model.trace import TraceContext

#: Trailing metadata of a stream of changes: the id of the commit that has them. The API's answer is empty.
COMMIT_HEADER = "trunkline-commit"


class Call:
    """One call in progress. Belongs to the event loop's thread.

    A method is cancelled (``asyncio.CancelledError``) when its client disconnects; its work in threads is cancelled
    by ``trunkline.runtime.cancellation``. An exception of the method becomes the call's status.

    Attributes:
        rpc: ``package.Service/Method``.
        peer: the client's address, as the transport writes it.
        caller: the authenticated caller, for whom the call reads and writes.
        trace: the trace that the call belongs to; None without one. Its writes belong to it too.
        trailing: metadata to be sent after the answer.
    """

    def __init__(
        self,
        rpc: str,
        *,
        peer: str = "",
        metadata: Iterable[tuple[str, str | bytes]] = (),
        time_left: float | None = None,
    ) -> None:
        """Create the call.

        Args:
            rpc: ``package.Service/Method``.
            peer: the client's address.
            metadata: the request's metadata, names in lower case.
            time_left: seconds until the client's deadline; None without one.
        """
        self.rpc = rpc
        self.peer = peer
        self.caller: Caller = ANONYMOUS
        self.trace: TraceContext | None = None
        self.trailing: list[tuple[str, str | bytes]] = []
        self._metadata = metadata
        self._deadline = time.monotonic() + time_left if time_left is not None else None

    @cached_property
    def metadata(self) -> Mapping[str, str | bytes]:
        """The request's metadata; values are bytes when the name ends with ``-bin``."""
        return dict(self._metadata)

    @property
    def time_left(self) -> float | None:
        """Seconds until the client's deadline, at least 0; None when it set none."""
        return max(0.0, self._deadline - time.monotonic()) if self._deadline is not None else None
