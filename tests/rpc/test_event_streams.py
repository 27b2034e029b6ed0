"""``GET /events`` of a real server, read as browsers do, and its application by itself."""

from __future__ import annotations

import asyncio
import contextlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
from manual_clock import ManualClock
from pachyderm_sdk.api import pfs
from patience import PATIENCE

from trunkline.client.channel import Channel
from trunkline.errors import InvalidArgument
from trunkline.meta import install
from trunkline.meta.database import Database, sqlite_url
from trunkline.model.events import EventKind, event
from trunkline.pfs import event_hub
from trunkline.pfs.event_hub import EventHub
from trunkline.rpc.asgi import events
from trunkline.rpc.asgi.events import EventsApplication
from trunkline.rpc.gen import control_pb2

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from conftest import Served

    from trunkline.meta.group_commit import Tx


@dataclass(frozen=True, slots=True)
class Message:
    """What an ``EventSource`` dispatches."""

    name: str
    id: str
    data: dict[str, Any]


def messages(lines: Iterator[str]) -> Iterator[Message]:
    """Interpret a stream as the HTML standard says (Server-sent events, 9.2.6)."""
    name, last_id, data = "", "", []
    for line in lines:
        if line.startswith(":"):
            continue
        if not line:
            if data:
                yield Message(name or "message", last_id, json.loads("\n".join(data)))
            name, data = "", []
            continue
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "event":
            name = value
        elif field == "data":
            data.append(value)
        elif field == "id":
            last_id = value


# --- a real server ------------------------------------------------------------------------------------------


def read_all(served: Served, **parameters: str) -> list[Message]:
    """Return what is stored."""
    answer = httpx2.get(
        f"http://{served.address}/events",
        params={"after": "0", "follow": "false", **parameters},
        timeout=PATIENCE,
    )
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/event-stream")
    return list(messages(iter(answer.text.split("\n"))))


def test_a_browser_sees_commits_and_resumes_after_a_restart(
    tmp_path: Path, serve_folder: Callable[[Path], AbstractContextManager[Served]]
) -> None:
    with serve_folder(tmp_path) as served:
        client = served.client()
        with httpx2.stream("GET", f"http://{served.address}/events", timeout=PATIENCE) as answer:
            stream = messages(answer.iter_lines())
            opened = next(stream)
            client.pfs.create_repo(repo=repo("images"))
            created = next(stream)
            with client.pfs.commit(branch=branch("images")) as commit:
                started = next(stream)
        # It is cut off here, and misses the rest.
        finished_id = commit.id
    with (
        serve_folder(tmp_path) as served,
        httpx2.stream(
            "GET", f"http://{served.address}/events", headers={"Last-Event-ID": started.id}, timeout=PATIENCE
        ) as answer,
    ):
        stream = messages(answer.iter_lines())
        opened_again, finished = next(stream), next(stream)
        served.client().pfs.create_repo(repo=repo("more"))
        live = next(stream)

    assert (opened.name, opened_again.name) == ("open", "open")
    assert opened_again.id == started.id
    assert (created.name, created.data["repo"], created.data["state"]) == ("repo", "images", "CREATED")
    assert (started.name, started.data["state"], started.data["finished"]) == ("commit", "STARTED", None)
    assert (finished.name, finished.data["state"], finished.data["commit"]) == (
        "commit",
        "FINISHED",
        finished_id,
    )
    assert (live.name, live.data["repo"]) == ("repo", "more")


def test_what_is_stored_is_read_and_the_stream_ends(server: Served) -> None:
    client = server.client()
    client.pfs.create_repo(repo=repo("a"))
    client.pfs.create_repo(repo=repo("b"))

    everything = read_all(server)
    of_b = read_all(server, repo="b")
    jobs = read_all(server, kind="job")

    assert [message.name for message in everything] == ["open", "repo", "repo", "end"]
    assert everything[-1].data == {"reason": "complete"}
    assert [message.data["repo"] for message in of_b[1:-1]] == ["b"]
    assert [message.name for message in jobs] == ["open", "end"]
    assert jobs[-1].id == everything[-1].id


def test_a_stream_is_told_that_the_server_stops_and_where_to_go_on(
    tmp_path: Path, serve_folder: Callable[[Path], AbstractContextManager[Served]]
) -> None:
    with contextlib.ExitStack() as reading:
        with serve_folder(tmp_path) as served:
            stream = httpx2.stream("GET", f"http://{served.address}/events", timeout=PATIENCE)
            received = messages(reading.enter_context(stream).iter_lines())
            opened = next(received)
        rest = list(received)

    assert [message.name for message in rest] == ["end"]
    assert (rest[0].data, rest[0].id) == ({"reason": "stopping"}, opened.id)


def test_the_same_events_are_messages_of_a_call(server: Served) -> None:
    client = server.client()
    client.pfs.create_repo(repo=repo("a"))
    client.pfs.create_repo(repo=repo("b"))
    with Channel(server.address) as channel:

        def watch(**request: Any) -> list[control_pb2.Event]:
            message = control_pb2.WatchEventsRequest(stored_only=True, **request).SerializeToString()
            answers = channel.server_stream("/trunkline.control.v1.Control/WatchEvents", message, PATIENCE)
            return [control_pb2.Event.FromString(answer) for answer in answers]

        everything = watch(after="0")
        rest = watch(after=everything[0].id, kinds=["repo"])
        new = watch()
        log = channel.unary("/trunkline.control.v1.Control/InspectEventLog", b"")
        lost = watch(after="ffffffff-1")
        with pytest.raises(InvalidArgument):
            watch(kinds=["bogus"])

    assert [json.loads(happened.json)["repo"] for happened in everything] == ["a", "b"]
    assert [(happened.id, happened.json) for happened in rest] == [(everything[1].id, everything[1].json)]
    assert new == []
    assert control_pb2.EventLog.FromString(log).position == everything[1].id
    assert [(happened.kind, happened.id) for happened in lost] == [("reset", everything[1].id)]


# --- the application by itself ------------------------------------------------------------------------------


class Client:
    """A client of the application that reads when the test says so."""

    def __init__(self, application: EventsApplication, query: str = "", last_id: str = "") -> None:
        headers = [(b"last-event-id", last_id.encode())] if last_id else []
        scope = {
            "type": "http",
            "method": "GET",
            "path": "/events",
            "query_string": query.encode(),
            "headers": headers,
        }
        self.reads = asyncio.Event()
        self.reads.set()
        self.status = 0
        self.ended = False
        self._lines: list[str] = []
        self._arrived = asyncio.Event()
        self.task = asyncio.create_task(application(scope, self._receive, self._send))

    async def _receive(self) -> dict[str, Any]:
        raise AssertionError("there is no body to read")

    async def _send(self, part: Any) -> None:
        await self.reads.wait()
        if part["type"] == "http.response.start":
            self.status = part["status"]
        else:
            self._lines += part["body"].decode().split("\n")[:-1] or [part["body"].decode()]
            self.ended = not part.get("more_body", False)
        self._arrived.set()

    @property
    def received(self) -> list[Message]:
        return list(messages(iter(self._lines)))

    async def until(self, name: str, last_id: str = "") -> list[Message]:
        """Wait for an event of this name, with this end of its id."""
        async with asyncio.timeout(PATIENCE):
            while not any(message.name == name and message.id.endswith(last_id) for message in self.received):
                self._arrived.clear()
                await self._arrived.wait()
        return self.received


@pytest.fixture
async def db(tmp_path: Path) -> AsyncIterator[Database]:
    database = Database(sqlite_url(tmp_path), lambda _topics: None)
    await asyncio.to_thread(install.install, database, 1.0)
    yield database
    await asyncio.to_thread(database.close)


@pytest.fixture
async def application(db: Database) -> AsyncIterator[EventsApplication]:
    application = EventsApplication(EventHub(db), ManualClock())
    yield application
    await application.stop(PATIENCE)


def record(tx: Tx, pipeline: str) -> None:
    tx.record(event(EventKind.WORKER, 1.0, "p", pipeline=pipeline))


async def test_a_heartbeat_moves_a_quiet_watcher_on(
    db: Database, application: EventsApplication, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "HEARTBEAT", 0.01)
    quiet = Client(application, "pipeline=quiet")
    [opened, *_] = await quiet.until("open")
    await db.run(record, "busy")
    received = await quiet.until("heartbeat", "-1")

    assert opened.id == "00000000-0"
    assert {message.name for message in received} == {"open", "heartbeat"}


async def test_a_client_that_reads_too_slowly_is_ended_with_a_position_to_resume_from(
    db: Database, application: EventsApplication, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_hub, "WAITING_BYTES", 1000)
    slow = Client(application)
    await slow.until("open")
    slow.reads.clear()
    for number in range(30):
        await db.run(record, str(number))
    slow.reads.set()

    received = await slow.until("end")
    rest = await Client(application, "follow=false", last_id=received[-1].id).until("end")

    assert received[-1].data == {"reason": "slow"}
    assert received[-1].id == received[-2].id
    workers = [message.data["pipeline"] for message in (*received, *rest) if message.name == "worker"]
    assert workers == [str(number) for number in range(30)]


async def test_a_position_that_is_not_of_this_log_is_answered_with_a_reset_and_what_happens_then(
    db: Database, application: EventsApplication
) -> None:
    await db.run(record, "before")
    client = Client(application, last_id="ffffffff-1")
    await client.until("reset")
    await db.run(record, "after")

    received = await client.until("worker")

    assert [message.name for message in received] == ["open", "reset", "worker"]
    assert received[1].data == {"reason": "unknown"}
    assert received[1].id.endswith("-1")
    assert received[2].data["pipeline"] == "after"


async def test_a_thousand_watchers_share_the_bytes_of_an_event(
    db: Database, application: EventsApplication
) -> None:
    bodies: list[bytes] = []

    class Keeping(Client):
        async def _send(self, part: Any) -> None:
            if part["type"] == "http.response.body":
                bodies.append(part["body"])
            await super()._send(part)

    clients = [Keeping(application) for _ in range(1000)]
    for client in clients:
        await client.until("open")
    bodies.clear()

    await db.run(record, "a")
    for client in clients:
        await client.until("worker")

    assert len(bodies) == 1000
    assert len({id(body) for body in bodies}) == 1


@pytest.mark.parametrize(
    "query",
    [
        "bogus=1",
        "kind=commits",
        "after=x",
        "after=0&after=0",
        "after=0&since=1",
        "since=yesterday",
        "since=2026-01-01T00:00:00",
        "since=2026-01-01 00:00:00%2B00:00",
        "since=20260101T000000Z",
        "since=-1",
        "since=nan",
        "follow=maybe",
        "&".join(["repo=a"] * 10_001),
    ],
)
async def test_parameters_that_are_not_valid_are_refused(application: EventsApplication, query: str) -> None:
    client = Client(application, query)
    await client.task

    assert (client.status, client.ended) == (400, True)
    [info] = (refusal := json.loads(client._lines[0]))["details"]
    assert (refusal["code"], info["reason"]) == (3, "INVALID_ARGUMENT")


@pytest.mark.parametrize("since", ["5", "1970-01-01T00:00:05Z", "1970-01-01T01:00:05%2B01:00"])
async def test_a_time_is_seconds_or_rfc_3339(
    db: Database, application: EventsApplication, since: str
) -> None:
    for at in (1.0, 5.0, 9.0):
        await db.run(lambda tx, at=at: tx.record(event(EventKind.WORKER, at, "p", pipeline="a")))

    received = await Client(application, f"follow=false&since={since}").until("end")

    assert [message.data["at"] for message in received if message.name == "worker"] == [5.0, 9.0]


async def test_a_stopped_application_sends_browsers_away_in_a_way_that_lets_them_come_back(
    application: EventsApplication,
) -> None:
    await application.stop(PATIENCE)
    client = Client(application)
    await client.task

    assert (client.status, client.ended) == (200, True)
    assert [(message.name, message.id) for message in client.received] == [("end", "")]


def repo(name: str) -> pfs.Repo:
    return pfs.Repo(name=name)


def branch(name: str) -> pfs.Branch:
    return pfs.Branch(repo=repo(name), name="master")
