"""The server that a batch program asks for its datums: which thread answers, and what the main thread waits for."""

from __future__ import annotations

import os
import select
from typing import TYPE_CHECKING

import grpc
import pytest
from google.protobuf.empty_pb2 import Empty

from trunkline.rpc.gen import pps_pb2, worker_pb2
from trunkline.worker.command import ASKED
from trunkline.worker.next_datum import NextDatumServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SERVICE = "/pachyderm.worker.Worker/"
LIMIT = 30_000  # milliseconds


@pytest.fixture
def server() -> Iterator[NextDatumServer]:
    server = NextDatumServer("worker", lambda: None)
    yield server
    server.close()


@pytest.fixture
def ask(server: NextDatumServer) -> Iterator[Callable[[], grpc.Future]]:
    """Calls NextDatum, without waiting for the answer."""
    with grpc.insecure_channel(f"localhost:{server.port}") as channel:
        method = channel.unary_unary(
            SERVICE + "NextDatum",
            worker_pb2.NextDatumRequest.SerializeToString,
            worker_pb2.NextDatumResponse.FromString,
        )
        yield lambda: method.future(worker_pb2.NextDatumRequest(error="the last one failed"), timeout=30)


def status(server: NextDatumServer) -> pps_pb2.WorkerStatus:
    with grpc.insecure_channel(f"localhost:{server.port}") as channel:
        method = channel.unary_unary(
            SERVICE + "Status", Empty.SerializeToString, pps_pb2.WorkerStatus.FromString
        )
        return method(Empty(), timeout=30)


def test_a_program_gets_its_datum_while_the_worker_waits_for_its_next_call(server, ask):
    sent = []
    asking = ask()

    events = server.poller.poll(LIMIT)
    error = server.take_error()
    server.answer(["a=b"], "job", [], lambda: sent.append("sent"))
    for _ in range(1_000):
        if sent:
            break
        server.poller.poll(30)

    assert events == [(ASKED, select.POLLIN)]
    assert error == "the last one failed"
    assert asking.result().env == ["a=b"]


def test_a_worker_without_a_datum_says_so(server, ask):
    asking = ask()
    server.poller.poll(LIMIT)
    server.answer(["a=b"], "job", [])

    server.end_datum()
    server.rest()

    assert asking.result().env == ["a=b"]
    assert (status(server).worker_id, status(server).job_id) == ("worker", "")


def test_a_call_that_waits_does_not_hide_the_end_of_the_program(server, ask):
    reader, writer = os.pipe()
    server.poller.register(reader)
    asking = ask()
    server.poller.poll(LIMIT)

    os.close(writer)  # readable at its end, as the descriptor of a process is
    events = server.poller.poll(LIMIT)

    assert {(reader, select.POLLIN), (ASKED, select.POLLIN)} == set(events)
    server.poller.clear()
    os.close(reader)
    server.forget()
    server.rest()
    assert asking.code() is grpc.StatusCode.UNAVAILABLE
