"""Follows what changes, for ``--watch`` and ``top``: the stream of events says what to read again.

Nothing is polled. Events that come together are one batch, because a job of many short datums has many of them.
"""

from __future__ import annotations

import json
import sys
import threading
from io import TextIOWrapper
from queue import SimpleQueue
from time import sleep
from typing import TYPE_CHECKING, Any

from trunkline.client.stubs import Client
from trunkline.errors import Aborted, TrunklineError, Unavailable
from trunkline.rpc.gen import control_pb2

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trunkline.cli.invocation import Invocation
    from trunkline.client.channel import Channel

#: Seconds after an event in which further ones belong to the same batch.
TOGETHER = 0.2

#: What an event says, as docs/design/events.md has it.
Event = dict[str, Any]


def position(invocation: Invocation) -> str:
    """Return the place in the log of events from which changes follow what is read next."""
    log: control_pb2.EventLog = invocation.control.InspectEventLog(control_pb2.InspectEventLogRequest())
    return log.position


def changes(invocation: Invocation, request: control_pb2.WatchEventsRequest) -> Iterator[list[Event]]:
    """Yield batches of events as they happen; ends only by an error.

    Args:
        invocation: the command.
        request: what to watch; ``after`` is a position.

    Raises:
        Aborted: events were missed, because the server removed them before they were sent.
        Unavailable: the server ended the stream, and does not begin it again.
    """
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)
    channel = invocation.channel.sibling()
    queue: SimpleQueue[Event | TrunklineError] = SimpleQueue()
    thread = threading.Thread(target=_read, args=(channel, request, queue, _timeout(invocation)), daemon=True)
    thread.start()
    try:
        while True:
            received = [queue.get()]
            sleep(TOGETHER)
            while not queue.empty():
                received.append(queue.get())
            if batch := [each for each in received if isinstance(each, dict)]:
                yield batch
            if isinstance(received[-1], TrunklineError):  # nothing follows an error
                raise received[-1]
    finally:
        channel.close()
        thread.join()


def _timeout(invocation: Invocation) -> float | None:
    return invocation.timeout if hasattr(invocation.options, "timeout") else None


def _read(
    channel: Channel,
    request: control_pb2.WatchEventsRequest,
    queue: SimpleQueue[Event | TrunklineError],
    timeout: float | None,
) -> None:
    """Put events into a queue, and the error that ends them. Runs in a thread.

    Args:
        channel: carries this call alone.
        request: what to watch.
        queue: gets what arrives.
        timeout: seconds.
    """
    control, progressed = Client(channel).control, True
    while True:
        try:
            for event in control.WatchEvents(request, timeout):
                if event.kind == "reset":
                    raise Aborted("events were missed; run the command again")
                request.after, progressed = event.id, True
                queue.put(json.loads(event.json))
            end = Unavailable("the server ended the stream of events; run the command again")
        except Unavailable as error:
            end = error
        except TrunklineError as error:
            queue.put(error)
            return
        if not progressed:
            queue.put(end)
            return
        progressed = False  # a server that restarts ends its streams; the next one goes on
