"""Clients that mean harm: each attack ends for its own connection, others notice nothing, and memory comes back."""

from __future__ import annotations

import contextlib
import os
import resource
from typing import TYPE_CHECKING

import hostile_clients
import psutil
import pytest
from fuzzer import Probe, make_world, put_frames
from hostile_clients import HYPERCORN, LARGE, QUICK, WAITING
from raw_http2 import RawClient
from servers import Server, until

from trunkline.client.channel import Channel
from trunkline.client.trust import Trust
from trunkline.model.port_limits import DEFAULTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

MIB = 1 << 20
#: Bytes of memory that all attacks together may leave: caches, and what the allocators of Python, the C library and
#: the HTTP server keep for further use. The attacks that hold most, 1,000 uploads and 50 downloads, use it again.
LEFTOVER = 112 * MIB
SECONDS = 30.0
LARGE_FILE = 8 * MIB


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Attacked]:
    with _attacked(tmp_path_factory.mktemp("hostile"), "h2corn") as running:
        yield running


@pytest.fixture(scope="module")
def hypercorn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Attacked]:
    with _attacked(tmp_path_factory.mktemp("hypercorn"), "hypercorn") as running:
        yield running


class Attacked(Server):
    """A server with a large file.

    Attributes:
        memory: bytes that it holds before the attacks.
    """

    memory = 0

    def held(self) -> int:
        """Return the bytes of memory that it holds."""
        return int(psutil.Process(self.pid).memory_info().rss)


@contextlib.contextmanager
def _attacked(folder: Path, http_server: str) -> Iterator[Attacked]:
    running = Attacked(folder / "data", options=("--http-server", http_server))
    try:
        running.start()
        make_world(running.address)
        with Channel(running.address) as channel:
            frames = [
                frame.SerializeToString() for frame in put_frames("probe", LARGE, os.urandom(LARGE_FILE))
            ]
            channel.client_stream("/pfs_v2.API/ModifyFile", iter(frames), SECONDS)
        with Probe(running.address) as probe:  # what is loaded and cached once
            until(lambda: len(probe.latencies) > 8, "two rounds of calls")
        running.memory = running.held()
        yield running
        assert running.terminate() == 0
    finally:
        running.close()


@contextlib.contextmanager
def unharmed(server: Attacked) -> Iterator[None]:
    """Make ordinary calls beside an attack; all succeed, and afterwards the server is as before the attacks."""
    process = psutil.Process(server.pid)
    connections = len(process.net_connections())

    with Probe(server.address, pause=0.01) as probe:
        until(lambda: probe.latencies, "the first call")
        yield
        calls = len(probe.latencies)
        until(lambda: len(probe.latencies) > calls + 4, "calls after the attack")

    assert probe.failures == []
    until(lambda: len(process.net_connections()) <= connections, "connections are closed", SECONDS)

    def has_returned_memory() -> bool:
        surplus = server.held() - server.memory
        assert surplus <= LEFTOVER, f"{surplus >> 20} MiB more than before the attacks"
        return True

    until(has_returned_memory, "the memory comes back", SECONDS, AssertionError)


def names(attacks: dict[Callable[[str, int], str], str]) -> list[str]:
    return [attack.__name__ for attack in attacks]


@pytest.mark.parametrize(("attack", "end"), QUICK.items(), ids=names(QUICK))
def test_an_attack_harms_only_its_own_connection(
    server: Attacked, attack: Callable[[str, int], str], end: str
) -> None:
    with unharmed(server):
        assert attack(server.address, 1) == end


@pytest.mark.slow
@pytest.mark.parametrize(("attack", "end"), (QUICK | WAITING).items(), ids=names(QUICK | WAITING))
def test_a_long_attack_harms_only_its_own_connection(
    server: Attacked, attack: Callable[[str, int], str], end: str
) -> None:
    with unharmed(server):
        assert attack(server.address, 4) == end


@pytest.mark.slow
@pytest.mark.parametrize(("attack", "end"), HYPERCORN.items(), ids=names(HYPERCORN))
def test_an_attack_on_hypercorn_lets_no_other_call_fail(
    hypercorn: Attacked, attack: Callable[[str, int], str], end: str
) -> None:
    """Others may wait meanwhile, and what clients have left may stay for minutes."""
    with Probe(hypercorn.address, pause=0.01) as probe:
        assert attack(hypercorn.address, 1) == end
        calls = len(probe.latencies)
        until(lambda: len(probe.latencies) > calls + 4, "calls after the attack", SECONDS)

    assert probe.failures == []


@pytest.mark.slow
def test_all_attacks_at_once_harm_nobody(server: Attacked) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with unharmed(server), ThreadPoolExecutor(len(QUICK)) as pool:
        ends = list(pool.map(lambda attack: attack(server.address, 1), QUICK))

    assert ends == list(QUICK.values())


@pytest.mark.slow
def test_messages_that_do_not_get_whole_hold_a_bounded_part_of_the_memory(server: Attacked) -> None:
    """40 messages of 18 MiB each: the server once held all of them, and kept the memory when they had ended."""
    with unharmed(server):
        memory = server.held()
        with hostile_clients.unfinished_messages(server.address, 10):
            most = server.held() - memory

    assert most < DEFAULTS.arriving_requests + 2 * 40 * DEFAULTS.stream_window


@pytest.mark.slow
def test_ten_thousand_connections_harm_nobody(server: Attacked) -> None:
    """All but some of the server's 10,000, which the others need, from as many addresses as that takes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    number = min(9_900, hard * 3 // 4 - 100)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        with unharmed(server), contextlib.ExitStack() as stack:
            clients = [
                stack.enter_context(RawClient(server.address, source=f"127.0.0.{2 + turn % 10}"))
                for turn in range(number)
            ]
            served = [client.read() is not None for client in clients]

        assert all(served)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.slow
def test_an_address_that_takes_all_connections_keeps_its_share(server: Attacked) -> None:
    number = int(DEFAULTS.connections_per_address * 1.5)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    process = psutil.Process(server.pid)
    try:
        with unharmed(server), contextlib.ExitStack() as stack:
            for _ in range(number):
                stack.enter_context(RawClient(server.address, source="127.0.0.2"))

            def remaining() -> int:
                peers = [each.raddr for each in process.net_connections() if each.status == "ESTABLISHED"]
                return sum(peer.ip == "127.0.0.2" for peer in peers)

            until(lambda: remaining() == DEFAULTS.connections_per_address, "the others are ended")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("attack", "end"),
    [(hostile_clients.random_bytes, hostile_clients.TAKEN), (hostile_clients.silent, hostile_clients.CLOSED)],
)
def test_what_is_not_tls_harms_no_server_with_tls(
    tmp_path: Path, attack: Callable[[str, int], str], end: str
) -> None:
    running = Server(tmp_path / "data", options=("--tls", "auto")).start()
    try:
        process = psutil.Process(running.pid)
        connections = len(process.net_connections())

        assert attack(running.address, 4) == end

        until(lambda: len(process.net_connections()) <= connections, "connections are closed", SECONDS)
        trust = Trust((str(tmp_path / "data/tls/public/ca.pem"),))
        with Channel(f"grpcs://{running.address}", trust=trust) as channel:
            assert channel.unary("/versionpb_v2.API/GetVersion", b"", SECONDS)
        assert running.terminate() == 0
    finally:
        running.close()
