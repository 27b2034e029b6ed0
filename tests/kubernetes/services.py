"""Service addresses and names inside the test machine: what kube-proxy and a cluster DNS do on a real cluster.

Started as a process of its own in the machine. The whole range of service addresses is the machine's own, so a
service is served by listening on its address and passing bytes on to one of its ready endpoints. Names are answered
from the same list. A watch only wakes it; what it serves follows from what it reads then.

    python services.py URL TOKEN DNS_ADDRESS
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import socket
import ssl
import struct
import sys
import threading
import urllib.request
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

SLICES = "/apis/discovery.k8s.io/v1/endpointslices"
SERVICES = "/api/v1/services"
DOMAIN = "svc.cluster.local"


class Api:
    """The two lists that matter, from the API server."""

    def __init__(self, url: str, token: str) -> None:
        self._url = url
        self._headers = {"Authorization": f"Bearer {token}"}
        self._context = ssl.create_default_context()
        self._context.check_hostname = False
        self._context.verify_mode = ssl.CERT_NONE

    def open(self, path: str) -> Any:
        request = urllib.request.Request(self._url + path, headers=self._headers)
        return urllib.request.urlopen(request, context=self._context, timeout=600)

    def read(self, path: str) -> list[dict[str, Any]]:
        with self.open(path) as answer:
            items: list[dict[str, Any]] = json.load(answer)["items"]
        return items

    def watch(self, path: str, wake: Callable[[], None]) -> None:
        """Call ``wake`` at each change; never return."""
        while True:
            with contextlib.suppress(OSError), self.open(path + "?watch=1&timeoutSeconds=500") as lines:
                for _ in lines:
                    wake()
            wake()


class Switchboard:
    """The listeners, and what is behind each."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._behind: dict[tuple[str, int], list[tuple[str, int]]] = {}
        self._listeners: dict[tuple[str, int], asyncio.Server] = {}
        self._turn = itertools.count()
        self.names: dict[str, list[str]] = {}

    async def follow(self) -> None:
        """Make what is served what the API server says."""
        loop = asyncio.get_running_loop()
        services, slices = await asyncio.gather(
            loop.run_in_executor(None, self._api.read, SERVICES),
            loop.run_in_executor(None, self._api.read, SLICES),
        )
        self._behind, self.names = served(services, slices)
        for place in self._listeners.keys() - self._behind.keys():
            self._listeners.pop(place).close()
        for place in self._behind.keys() - self._listeners.keys():
            self._listeners[place] = await asyncio.start_server(self._passing_to(place), *place)

    def _passing_to(self, place: tuple[str, int]) -> Any:
        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            endpoints = self._behind.get(place)
            if not endpoints:
                writer.transport.abort()
                return
            try:
                target = await asyncio.open_connection(*endpoints[next(self._turn) % len(endpoints)])
            except OSError:
                writer.transport.abort()
                return
            await asyncio.gather(pass_on(reader, target[1]), pass_on(target[0], writer))

        return accept


async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copy one direction until its end."""
    try:
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    except OSError:
        writer.transport.abort()
    with contextlib.suppress(OSError):
        writer.close()


def served(
    services: list[dict[str, Any]], slices: list[dict[str, Any]]
) -> tuple[dict[tuple[str, int], list[tuple[str, int]]], dict[str, list[str]]]:
    """Return the endpoints behind each address and port, and the addresses of each name."""
    behind: dict[tuple[str, int], list[tuple[str, int]]] = {}
    names: dict[str, list[str]] = {}
    of_service: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for slice_ in slices:
        owner = slice_["metadata"].get("labels", {}).get("kubernetes.io/service-name", "")
        of_service.setdefault((slice_["metadata"]["namespace"], owner), []).append(slice_)
    for service in services:
        name, namespace = service["metadata"]["name"], service["metadata"]["namespace"]
        own = of_service.get((namespace, name), [])
        address = service["spec"].get("clusterIP")
        if not address or address == "None":
            names[f"{name}.{namespace}.{DOMAIN}"] = [
                ready for slice_ in own for ready in ready_addresses(slice_)
            ]
            continue
        names[f"{name}.{namespace}.{DOMAIN}"] = [address]
        for port in service["spec"].get("ports", []):
            if port.get("protocol", "TCP") == "TCP":
                behind[address, port["port"]] = [
                    (ready, target["port"])
                    for slice_ in own
                    for target in slice_.get("ports") or []
                    if (target.get("name") or "") == port.get("name", "")
                    for ready in ready_addresses(slice_)
                ]
    return behind, names


def ready_addresses(slice_: dict[str, Any]) -> list[str]:
    """Return the addresses of a slice that take connections."""
    return [
        address
        for endpoint in slice_.get("endpoints") or []
        if endpoint.get("conditions", {}).get("ready", True)
        for address in endpoint["addresses"]
    ]


class Names(asyncio.DatagramProtocol):
    """Answers questions for the addresses of services; all other names do not exist."""

    def __init__(self, switchboard: Switchboard) -> None:
        self._switchboard = switchboard

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        with contextlib.suppress(IndexError, struct.error, UnicodeDecodeError):
            self._transport.sendto(answer(data, self._switchboard.names), addr)


def answer(query: bytes, names: dict[str, list[str]]) -> bytes:
    """Return the reply to one DNS query (RFC 1035, section 4): one question, A records."""
    labels, at = [], 12
    while length := query[at]:
        labels.append(query[at + 1 : at + 1 + length].decode())
        at += 1 + length
    kind = struct.unpack_from(">H", query, at + 1)[0]
    question = query[12 : at + 5]
    address = names.get(".".join(labels).lower().removesuffix("."))
    addresses = (address or []) if kind == 1 else []
    flags = 0x8580 if address is not None else 0x8583  # an authoritative answer; 3 is "no such name"
    header = query[:2] + struct.pack(">HHHHH", flags, 1, len(addresses), 0, 0)
    # 0xC00C points to the name in the question; type A, class IN, five seconds to live, four bytes.
    records = (b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 5, 4) + socket.inet_aton(each) for each in addresses)
    return header + question + b"".join(records)


async def main(url: str, token: str, dns: str) -> None:
    """Serve until the process ends."""
    api = Api(url, token)
    switchboard = Switchboard(api)
    changed = asyncio.Event()
    changed.set()
    loop = asyncio.get_running_loop()

    def wake() -> None:
        loop.call_soon_threadsafe(changed.set)

    for path in (SERVICES, SLICES):
        threading.Thread(target=api.watch, args=(path, wake), daemon=True).start()
    await loop.create_datagram_endpoint(lambda: Names(switchboard), local_addr=(dns, 53))
    while True:
        await changed.wait()
        changed.clear()
        try:
            await switchboard.follow()
        except OSError as error:
            print(f"not followed: {error}", flush=True)
            changed.set()
            await asyncio.sleep(0.5)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
