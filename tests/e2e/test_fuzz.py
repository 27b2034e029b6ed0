"""Messages that nobody should send: the server answers each, and nobody else notices."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psutil
import pytest
from fuzzer import Fuzzer, Probe, make_world
from servers import Server, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MIB = 1 << 20


@pytest.fixture
def server(tmp_path: Path, database_url: str) -> Iterator[Server]:
    options = () if database_url.startswith("sqlite") else ("--database", database_url)
    server = Server(tmp_path / "data", options=options).start()
    try:
        yield server
        assert server.terminate() == 0
    finally:
        server.close()


def run(server: Server, seed: int, seconds: float) -> tuple[Fuzzer, Probe]:
    fuzzer = Fuzzer(server.address, seed)
    fuzzer.messages.names = make_world(server.address)
    try:
        with Probe(server.address) as probe:
            fuzzer.run(seconds)
    finally:
        fuzzer.close()
    return fuzzer, probe


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_hostile_messages_are_answered_and_harm_nobody(server: Server) -> None:
    fuzzer, probe = run(server, seed=7, seconds=3)

    assert fuzzer.outcome.faults == []
    assert probe.failures == []
    assert probe.latencies


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("database_url", "seed"), [("sqlite", 0), ("postgres", 1)], indirect=["database_url"]
)
def test_hostile_messages_for_minutes_leave_the_memory_as_it_was(server: Server, seed: int) -> None:
    process = psutil.Process(server.pid)
    run(server, seed=seed + 1000, seconds=30)  # caches and threads are there now
    baseline = process.memory_info().rss

    fuzzer = Fuzzer(server.address, seed)
    try:
        with Probe(server.address) as probe:
            fuzzer.run(150)
    finally:
        fuzzer.close()

    assert fuzzer.outcome.faults == []
    assert probe.failures == []
    until(lambda: process.memory_info().rss < baseline + 200 * MIB, "the memory to return", 60)
