"""One request to an ASGI application: the events that a server gives, and those that it gets."""

from __future__ import annotations

import asyncio
import json

from trunkline.rpc.asgi import framing
from trunkline.rpc.asgi.headers import NUMBERS

LIMIT = 60  # seconds to wait for a state before a test fails
GRPC = [(b"content-type", b"application/grpc"), (b"te", b"trailers")]
END = {"type": "http.request"}
GONE = {"type": "http.disconnect"}


class Exchange:
    """A request in progress."""

    def __init__(
        self,
        application,
        path,
        *events,
        headers=(),
        http_version="2",
        method="POST",
        base=(*GRPC,),
        host="localhost:30650",
    ):
        self.sent = []
        self.arrived = asyncio.Event()
        self._takes = asyncio.Event()
        self._takes.set()
        self._takes_headers = False
        self._events = asyncio.Queue()
        for event in events:
            self._events.put_nowait(event)
        scope = {
            "type": "http",
            "http_version": http_version,
            "method": method,
            "path": path,
            "headers": [*([] if host is None else [(b"host", host.encode())]), *base, *headers],
            "client": ("127.0.0.1", 1),
            "extensions": {"http.response.trailers": {}} if http_version == "2" else {},
        }
        self.task = asyncio.create_task(application(scope, self._events.get, self._send))

    def give(self, event):
        self._events.put_nowait(event)

    def take_nothing(self):
        """Read no more of the response."""
        self._takes.clear()

    def take_no_body(self):
        """Read the headers of the response only."""
        self._takes_headers = True
        self._takes.clear()

    async def _send(self, event):
        if not (self._takes_headers and event["type"] == "http.response.start"):
            await self._takes.wait()
        self.sent.append(event)
        if event["type"] == "http.response.body":
            self.arrived.set()

    async def ended(self):
        await asyncio.wait_for(self.task, LIMIT)
        return self

    @property
    def status(self):
        return self.sent[0]["status"]

    @property
    def headers(self):
        return dict(self.sent[0]["headers"])

    @property
    def body(self):
        return b"".join(event.get("body", b"") for event in self.sent)

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def lines(self):
        return [json.loads(line) for line in self.body.splitlines()]

    @property
    def trailers(self):
        return dict(self.sent[-1]["headers"])

    @property
    def code(self):
        numbers = {number: name for name, number in NUMBERS.items()}
        return numbers[int(self.trailers[b"grpc-status"])]


def piece(*messages, more=False):
    body = b"".join(framing.prefix(message) + message for message in messages)
    return {"type": "http.request", "body": body, "more_body": more}


def text(body, *, more=False):
    return {"type": "http.request", "body": body.encode(), "more_body": more}


class WebApi:
    """Calls an application with JSON."""

    def __init__(self, application, kind):
        self._application = application
        self._kind = kind

    def begin(self, path, *events, headers=(), method="POST", http_version="1.1"):
        base = [(b"content-type", self._kind)] if self._kind else []
        return Exchange(
            self._application,
            path,
            *events,
            headers=headers,
            method=method,
            base=base,
            http_version=http_version,
        )

    async def post(self, path, body="{}", headers=()):
        return await self.begin(path, text(body), headers=headers).ended()
