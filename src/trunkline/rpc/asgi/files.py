"""``/files/PROJECT/REPO/REF/PATH``: the bytes of files by plain HTTP, both ways (docs/reference/rest.md).

Logs are below ``/files/.log/``. A call like those of gRPC: observed, bounded in time and memory, ended at the stop of
the server. Errors are those of REST.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

from trunkline import errors
from trunkline.model import names
from trunkline.pfs import files
from trunkline.pfs.feed import Feed
from trunkline.pfs.file_uploads import FileUpload
from trunkline.rpc.asgi import file_headers, log_text
from trunkline.rpc.asgi.log_text import LogCall
from trunkline.rpc.asgi.raw_calls import RawCall
from trunkline.rpc.asgi.responses import is_known
from trunkline.rpc.idle import IdleTimeout
from trunkline.runtime import threads

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from concurrent.futures import Executor

    from trunkline.model.names import CommitName
    from trunkline.pfs.files import Snapshot
    from trunkline.pfs.reading import FileEntry
    from trunkline.pfs.repository import VersionedStore
    from trunkline.rpc.asgi.calls import Calls
    from trunkline.rpc.asgi.headers import RequestHeaders
    from trunkline.rpc.asgi.types import Receive, Scope, Send
    from trunkline.rpc.call import Call

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
        if scope["path"].startswith(log_text.PREFIX):
            log = LogCall(scope, receive, send, self._versions, self._executor)
            return self._attend(log, log_text.GET, log.get)
        file = _FileCall(scope, receive, send, self._versions, self._executor)
        if scope["method"] == "PUT":
            return self._attend(file, PUT, file.put)
        return self._attend(file, GET, file.get)

    def _attend(
        self, call: RawCall, rpc: str, run: Callable[[Call, RequestHeaders], Awaitable[None]]
    ) -> Awaitable[None]:
        if stopping := self._calls.stopping:
            return self._calls.attend(call, call.refuse(rpc, stopping))
        return self._calls.attend(call, call.observed(rpc, "", run))


class _FileCall(RawCall):
    """One request for a file, or with one."""

    __slots__ = ()

    async def get(self, call: Call, _request: RequestHeaders) -> None:
        """Send a file, a range of it, or that the client has it."""
        commit, path = self._target()
        store = self.versions.for_caller(call.caller, call.trace)
        snapshot, entry = await threads.run(self.executor, _look, store, commit, path)
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
            await self.start(304, headers)
            return
        part = file_headers.part(self.scope["headers"], tag, entry.size)
        start, length = part or (0, entry.size)
        if part is not None and not length:
            headers += [(b"content-range", b"bytes */%d" % entry.size), (b"content-length", b"0")]
            await self.start(416, headers)
            return
        if part is not None:
            range_ = b"bytes %d-%d/%d" % (start, start + length - 1, entry.size)
            headers.append((b"content-range", range_))
        headers.append((b"content-length", b"%d" % length))
        await self.start(200 if part is None else 206, headers)
        if not self.is_head:
            await self.send_pieces(
                snapshot.read(entry, start, length),
                "the client took nothing of the file; read faster, or ask for a range",
            )

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
        store = self.versions.for_caller(call.caller, call.trace)
        upload = FileUpload(store, commit, path)
        idle = IdleTimeout(
            self.limits.upload_idle, "the client sent nothing; send the file again, without such a pause"
        )
        with idle:
            async with Feed(self.executor, upload, store.budget) as feed:
                await feed.receive(self._body(idle))
                commit_id, size = await feed.finish(upload.finish)
        self.uploaded = json.dumps({"commit": commit_id, "size": size}).encode() + b"\n"

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
