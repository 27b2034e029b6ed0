"""What requests below ``/files/`` have in common: they are calls that answer with bytes, or with errors as REST."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING

from trunkline.rpc.asgi import file_headers
from trunkline.rpc.asgi.responses import JSON, NO_SNIFF
from trunkline.rpc.asgi.web_calls import HTTP_STATUS, WebCall, status_json
from trunkline.rpc.idle import IdleTimeout
from trunkline.rpc.servicer import ahead

if TYPE_CHECKING:
    from collections.abc import Generator
    from concurrent.futures import Executor

    from trunkline.pfs.repository import VersionedStore
    from trunkline.rpc.asgi.types import Receive, Scope, Send
    from trunkline.rpc.status import Status


class RawCall(WebCall):
    """A request for bytes."""

    __slots__ = ("executor", "is_head", "uploaded", "versions")

    def __init__(
        self, scope: Scope, receive: Receive, send: Send, versions: VersionedStore, executor: Executor
    ) -> None:
        """Begin it.

        Args:
            scope: of ASGI.
            receive: of ASGI.
            send: of ASGI.
            versions: the store.
            executor: runs blocking work.
        """
        super().__init__(scope, receive, send)
        self.versions = versions
        self.executor = executor
        self.is_head = scope["method"] == "HEAD"
        #: The answer to an upload.
        self.uploaded = b""

    async def send_pieces(self, pieces: Generator[bytes], advice: str) -> None:
        """Send what a generator yields, which runs in the executor.

        Args:
            pieces: parts of the content.
            advice: what to tell a client that takes nothing.
        """
        idle = IdleTimeout(self.limits.download_idle, advice)
        with idle:
            async with aclosing(ahead(self.executor, pieces)) as parts:
                async for piece in parts:
                    idle.begin()
                    await self.send_part(piece)
                    idle.end()
                    del piece  # not to be held while the next one is awaited

    async def start(self, http_status: int, headers: list[tuple[bytes, bytes]]) -> None:
        """Send the begin of the response."""
        self.started = True
        await self.emit({"type": "http.response.start", "status": http_status, "headers": headers})

    async def finish(self, ended: Status | None, _metadata: list[tuple[str, str | bytes]]) -> None:
        """Send the end of the response."""
        body = self.uploaded
        if not self.started:
            body = self.uploaded if ended is None else status_json(ended)
            http_status = 200 if ended is None else HTTP_STATUS[ended.code]
            headers = [
                (b"content-type", JSON),
                (b"content-length", b"%d" % len(body)),
                (b"cache-control", b"no-store"),
                NO_SNIFF,
                *file_headers.SAFETY,
            ]
            await self.start(http_status, headers)
        elif ended is not None:
            # The connection ends before the announced length, so that no client takes the answer for a whole one.
            raise asyncio.CancelledError(ended.message)
        await self.emit({"type": "http.response.body", "body": body, "more_body": False})
