"""Ends connections that are too many of one address, or whose headers take too long, whatever the HTTP server.

The servers accept connections by themselves and bound only the pauses between bytes. So the connections of the process
are looked at from outside: the kernel lists them with their client's address and says what was received and sent, and
the application says which of them have requests. A connection is ended at its socket, and the server sees it closed.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import time
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from trunkline import errors
from trunkline.linux import accepted

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, MutableMapping, Sequence

    from trunkline.linux.accepted import Accepted, Traffic
    from trunkline.model.port_limits import PortLimits

    Event = MutableMapping[str, Any]
    Application = Callable[[Event, Any, Any], Awaitable[None]]

log = logging.getLogger("trunkline.drivers.http")

#: Seconds between two looks at the connections: usually, and while a limit is near.
PAUSE, BUSY_PAUSE = 5.0, 1.0
#: How many times the processor time of a look the pause after it is at least.
PAUSE_OF_LOOKS = 100
#: Part of a limit from which it is near.
NEAR = 0.5
#: Seconds between two records in the log about one address.
LOG_PAUSE = 60.0
#: Seconds within which something was received when a connection still receives headers, besides the longest pause.
SPARE = 2.0


class _Connection:
    """What is known of one connection."""

    __slots__ = ("descriptor", "first", "idle_since", "inode", "received", "running", "unanswered_since")

    def __init__(self, now: float) -> None:
        #: Requests that are being answered, and since when there are none.
        self.running = 0
        self.idle_since = now
        self.begin(0, now)

    def begin(self, inode: int, now: float) -> None:
        """Begin again: the client's port has got another connection."""
        self.first = now
        if not self.running:
            self.idle_since = now
        #: Its socket; 0 and -1 until they are known.
        self.inode = inode
        self.descriptor = -1
        #: Bytes received at the last look, and since when bytes have come that were not answered.
        self.received = 0
        self.unanswered_since: float | None = None


class ConnectionGuard:
    """The connections of one HTTP server. ``counted`` and ``close`` belong to the event loop's thread."""

    def __init__(self, ports: Iterable[int], limits: PortLimits, trusted: Iterable[str] = ()) -> None:
        """Make it.

        Args:
            ports: for TCP, on which the server listens.
            limits: of the port.
            trusted: addresses and networks whose connections are not counted by address.

        Raises:
            InvalidArgument: one of ``trusted`` is not an address or a network.
        """
        self._ports = frozenset(ports)
        self._limits = limits
        self._trusted = tuple(_network(text) for text in trusted)
        #: By host, port and the server's port, as requests have them.
        self._connections: dict[tuple[str, int, int], _Connection] = {}
        self._logged: dict[str, float] = {}
        self._looking: asyncio.Task[None] | None = None
        self._is_near = False

    def counted(self, application: Application) -> Application:
        """Return an application that counts its requests by connection.

        Args:
            application: answers them.
        """
        connections = self._connections

        async def counting(scope: Event, receive: Any, send: Any) -> None:
            client, server = scope.get("client"), scope.get("server")
            if not client or not server:  # a Unix socket
                await application(scope, receive, send)
                return
            key = (client[0], client[1], server[1])
            connection = connections.get(key)
            if connection is None:
                connection = connections[key] = _Connection(time.monotonic())
            connection.running += 1
            connection.unanswered_since = None
            answering = application(scope, receive, send)
            del scope, receive, send  # a subscription that waits for hours needs them no more
            try:
                await answering
            finally:
                connection.running -= 1
                connection.idle_since = time.monotonic()

        return counting

    def start(self) -> None:
        """Begin to look."""
        if self._ports:
            self._looking = asyncio.create_task(self._look_again_and_again(), name="http-connections")

    async def close(self) -> None:
        """End."""
        if self._looking is not None:
            self._looking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._looking

    async def _look_again_and_again(self) -> None:
        pause = BUSY_PAUSE
        while True:
            await asyncio.sleep(pause)
            cost = await asyncio.to_thread(self._look)
            usual = BUSY_PAUSE if self._is_near else min(PAUSE, self._limits.header_time / 4)
            pause = max(usual, PAUSE_OF_LOOKS * cost)

    # --- in a thread -----------------------------------------------------------------------------------

    def _look(self) -> float:
        """End connections beyond the limits; return the seconds of processor time that this took."""
        begun = time.thread_time()
        now = time.monotonic()
        by_address = self._update(now)
        surplus = [
            connection
            for address, connections in by_address.items()
            if len(connections) > self._limits.connections_per_address and not self._is_trusted(address)
            for connection in self._surplus(address, connections, now)
        ]
        slow = self._slow(now)
        self._find({connection for connection in (*surplus, *slow) if connection.descriptor < 0})
        for connection in {*surplus, *slow}:
            accepted.end(connection.descriptor, connection.inode)
        largest = max(map(len, by_address.values()), default=0)
        self._is_near = (
            len(self._connections) > NEAR * self._limits.connections
            or largest > NEAR * self._limits.connections_per_address
        )
        return time.thread_time() - begun

    def _update(self, now: float) -> dict[str, list[_Connection]]:
        """Learn which connections there are; return them by the client's address."""
        by_address: defaultdict[str, list[_Connection]] = defaultdict(list)
        live: set[tuple[str, int, int]] = set()
        each: Accepted
        for each in accepted.accepted(self._ports):
            key = (each.connection.peer, each.connection.peer_port, each.connection.port)
            connection = self._connections.get(key)
            if connection is None:
                connection = self._connections[key] = _Connection(now)
            if connection.inode != each.inode:
                connection.begin(each.inode, now)
            live.add(key)
            by_address[each.connection.peer].append(connection)
        for key in [key for key in tuple(self._connections) if key not in live]:
            connection = self._connections[key]
            if not connection.running and connection.idle_since < now:
                del self._connections[key]
        return by_address

    def _surplus(self, address: str, connections: list[_Connection], now: float) -> Sequence[_Connection]:
        """Return the connections of an address that are too many: those without requests first, then the newest."""
        limit = self._limits.connections_per_address
        if now - self._logged.get(address, -LOG_PAUSE) >= LOG_PAUSE:
            self._logged = {other: at for other, at in self._logged.items() if now - at < LOG_PAUSE}
            self._logged[address] = now
            log.warning(
                "connections were ended: %s has %d, and the limit for an address is %d; raise it with --limit"
                " connections-per-address, or name a proxy with --trust-proxy",
                address, len(connections), limit, extra={"action": "connections_ended", "peer": address},
            )  # fmt: skip
        connections.sort(key=lambda connection: (connection.running == 0, connection.first))
        return connections[limit:]

    def _slow(self, now: float) -> list[_Connection]:
        """Return the connections whose clients go on and on with headers, and those that are idle for too long."""
        limits = self._limits
        idle = [
            connection
            for connection in tuple(self._connections.values())
            if not connection.running and now - connection.idle_since >= min(limits.header_time, BUSY_PAUSE)
        ]
        self._find({connection for connection in idle if connection.descriptor < 0})
        slow = []
        for connection in idle:
            traffic = accepted.traffic(connection.descriptor, connection.inode)
            if traffic is not None and not connection.running:
                self._judge(connection, traffic, now)
                since = connection.unanswered_since
                if (
                    since is not None and now - since >= limits.header_time
                ) or now - connection.idle_since >= limits.idle_connection + PAUSE:
                    slow.append(connection)
        return slow

    def _judge(self, connection: _Connection, traffic: Traffic, now: float) -> None:
        """Note since when a connection without requests has received bytes that are no answered frames or requests."""
        came = traffic.received > connection.received
        connection.received = traffic.received
        if traffic.sent_before <= traffic.silence or traffic.silence > self._limits.header_pause + SPARE:
            connection.unanswered_since = None
        elif came and connection.unanswered_since is None:
            connection.unanswered_since = now - traffic.silence

    def _find(self, connections: Iterable[_Connection]) -> None:
        """Learn the descriptors of connections."""
        by_inode = {connection.inode: connection for connection in connections if connection.inode}
        for inode, descriptor in accepted.descriptors(by_inode).items():
            by_inode[inode].descriptor = descriptor

    def _is_trusted(self, address: str) -> bool:
        parsed = ipaddress.ip_address(address)
        return any(parsed in network for network in self._trusted)


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    try:
        return ipaddress.ip_network(text)
    except ValueError as error:
        raise errors.InvalidArgument(
            f'--trust-proxy "{text}" is not valid ({error}); write an address or a network such as 10.0.0.0/8'
        ) from error
