"""``/files/PROJECT/REPO/REF/PATH``: the bytes of files by plain HTTP, both ways (docs/reference/rest.md).

A call like those of gRPC: observed, bounded in time and memory, ended at the stop of the server. Errors are those of
REST.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing
from typing import TYPE_CHECKING

from trunkline import errors
from trunkline.model import names
from trunkline.pfs import files
from trunkline.pfs.feed import Feed
from trunkline.pfs.file_uploads import FileUpload
from trunkline.rpc.asgi import file_headers
from trunkline.rpc.asgi.responses import JSON, NO_SNIFF, is_known
from trunkline.rpc.asgi.web_calls import HTTP_STATUS, WebCall, status_json
from trunkline.rpc.idle import IdleTimeout
from trunkline.rpc.servicer import ahead
from trunkline.runtime import threads

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable
    from concurrent.futures import Executor

    from trunkline.model.names import CommitName
    from trunkline.pfs.files import Snapshot
    from trunkline.pfs.reading import FileEntry
    from trunkline.pfs.repository import VersionedStore
    from trunkline.rpc.asgi.calls import Calls
    from trunkline.rpc.asgi.headers import RequestHeaders
    from trunkline.rpc.asgi.types import Receive, Scope, Send
    from trunkline.rpc.call import Call
    from trunkline.rpc.status import Status

PREFIX = "/files/"
#: Names of the calls in the access log, in metrics and in traces.
GET, PUT = "trunkline.files/Get", "trunkline.files/Put"

_METHODS = ("GET", "HEAD", "PUT")


class FilesApplication:
    """Answers requests below ``/files/``."""

    def __init__(self, versions: VersionedStore, executor: Executor, calls: Calls) -> None:
        """Make it.

        Args:
            versions: the store.
            executor: runs blocking work.
            calls: the running calls.
        """
        self._versions = versions
        self._executor = executor
        self._calls = calls

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Return what answers a request."""
        call = _FileCall(scope, receive, send, self._versions, self._executor)
        rpc, run = (PUT, call.put) if scope["method"] == "PUT" else (GET, call.get)
        if stopping := self._calls.stopping:
            return self._calls.attend(call, call.refuse(rpc, stopping))
        return self._calls.attend(call, call.observed(rpc, "", run))


class _FileCall(WebCall):
    """One request."""

    __slots__ = ("_executor", "_head", "_reply", "_versions")

    def __init__(
        self, scope: Scope, receive: Receive, send: Send, versions: VersionedStore, executor: Executor
    ) -> None:
        super().__init__(scope, receive, send)
        self._versions = versions
        self._executor = executor
        self._head = scope["method"] == "HEAD"
        #: The answer to an upload.
        self._reply = b""

    async def get(self, call: Call, _request: RequestHeaders) -> None:
        """Send a file, a range of it, or that the client has it."""
        commit, path = self._target()
        store = self._versions.for_caller(call.caller, call.trace)
        snapshot, entry = await threads.run(self._executor, _look, store, commit, path)
        tag = f'"{entry.hash.hex()}"'.encode()
        headers = file_headers.about_file(
            entry.path,
            tag,
            is_fixed=bool(commit.id and not commit.ancestry) and snapshot.finished is not None,
            is_download=any(
                part.partition(b"=")[0] == b"download"
                for part in self.scope.get("query_string", b"").split(b"&")
            ),
        )
        if is_known(self.scope["headers"], tag):
            await self._start(304, headers)
            return
        part = file_headers.part(self.scope["headers"], tag, entry.size)
        start, length = part or (0, entry.size)
        if part is not None and not length:
            headers += [(b"content-range", b"bytes */%d" % entry.size), (b"content-length", b"0")]
            await self._start(416, headers)
            return
        if part is not None:
            range_ = b"bytes %d-%d/%d" % (start, start + length - 1, entry.size)
            headers.append((b"content-range", range_))
        headers.append((b"content-length", b"%d" % length))
        await self._start(200 if part is None else 206, headers)
        if not self._head:
            await self._send_content(snapshot, entry, start, length)

    async def _send_content(self, snapshot: Snapshot, entry: FileEntry, start: int, length: int) -> None:
        idle = IdleTimeout(
            self.limits.download_idle, "the client took nothing of the file; read faster, or ask for a range"
        )
        pieces = ahead(self._executor, snapshot.read(entry, start, length))
        with idle:
            async with aclosing(pieces):
                async for piece in pieces:
                    idle.begin()
                    await self.send_part(piece)
                    idle.end()
                    del piece  # not to be held while the next one is awaited

    async def put(self, call: Call, request: RequestHeaders) -> None:
        """Take a file."""
        commit, path = self._target()
        if request.encoding != "identity":
            raise errors.InvalidArgument(
                f'content encoding "{request.encoding}" is not supported for files; send the bytes that the file'
                " shall have"
            )
        if any(name == b"content-range" for name, _ in self.scope["headers"]):
            raise errors.InvalidArgument(
                "parts of files cannot be put; send the whole file, without content-range"
            )
        store = self._versions.for_caller(call.caller, call.trace)
        upload = FileUpload(store, commit, path)
        idle = IdleTimeout(
            self.limits.upload_idle, "the client sent nothing; send the file again, without such a pause"
        )
        with idle:
            async with Feed(self._executor, upload, store.budget) as feed:
                await feed.receive(self._body(idle))
                commit_id, size = await feed.finish(upload.finish)
        self._reply = json.dumps({"commit": commit_id, "size": size}).encode() + b"\n"

    async def _body(self, idle: IdleTimeout) -> AsyncIterator[bytes]:
        """Yield the pieces of the request's body."""
        more = True
        while more:
            idle.begin()
            event = await self.receive()
            idle.end()
            if event["type"] != "http.request":
                raise asyncio.CancelledError("the client has disconnected")
            more = event.get("more_body", False)
            if piece := event.get("body", b""):
                yield piece

    def _target(self) -> tuple[CommitName, str]:
        """Return the commit and the path of the address.

        Raises:
            InvalidArgument: it does not have the form.
            Unimplemented: the method of HTTP is not supported.
        """
        method = self.scope["method"]
        if method not in _METHODS:
            raise errors.Unimplemented(f"{method} is not supported for files; use {', '.join(_METHODS)}")
        project, repo, ref, path = (*self.scope["path"].removeprefix(PREFIX).split("/", 3), "", "", "", "")[
            :4
        ]
        if not (project and repo and ref and path):
            raise errors.InvalidArgument(
                f"{self.scope['path'][:200]} names no file; use /files/PROJECT/REPO/REF/PATH, with a branch or the id"
                " of a commit as REF"
            )
        return names.parse_revision(names.parse_repo(f"{project}/{repo}"), ref), f"/{path}"

    async def _start(self, http_status: int, headers: list[tuple[bytes, bytes]]) -> None:
        self.started = True
        await self.emit({"type": "http.response.start", "status": http_status, "headers": headers})

    async def finish(self, ended: Status | None, _metadata: list[tuple[str, str | bytes]]) -> None:
        """Send the end of the response."""
        body = self._reply
        if not self.started:
            body = self._reply if ended is None else status_json(ended)
            http_status = 200 if ended is None else HTTP_STATUS[ended.code]
            headers = [
                (b"content-type", JSON),
                (b"content-length", b"%d" % len(body)),
                (b"cache-control", b"no-store"),
                NO_SNIFF,
                *file_headers.SAFETY,
            ]
            await self._start(http_status, headers)
        elif ended is not None:
            # The connection ends before the announced length, so that no client takes the answer for a whole one.
            raise asyncio.CancelledError(ended.message)
        await self.emit({"type": "http.response.body", "body": body, "more_body": False})


def _look(store: VersionedStore, commit: CommitName, path: str) -> tuple[Snapshot, FileEntry]:
    """Return the file at a path.

    Raises:
        NotFound: there is no such file.
        FailedPrecondition: it is a folder.
    """
    snapshot = files.snapshot(store, commit)
    entry = snapshot.inspect(path)
    if entry.is_dir or path.endswith("/"):
        raise errors.FailedPrecondition(
            f"{entry.path} is a folder in {snapshot.name}; name a file, or get the folder as an archive (GetFileTAR)"
        )
    return snapshot, entry
