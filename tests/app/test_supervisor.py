"""The supervisor restarts services that fail and reports those that it cannot restart."""

from __future__ import annotations

import asyncio
import threading

import pytest

from trunkline.errors import Unavailable
from trunkline.runtime.supervision import MOST_FAILURES, ServiceLost, ServiceState, Supervisor

PATIENCE = 60.0


@pytest.fixture
def lost() -> list[str]:
    return []


@pytest.fixture
def supervisor(lost: list[str]) -> Supervisor:
    return Supervisor(lost.append, first_pause=0.0)


@pytest.mark.parametrize("ends", ["raises", "returns", "is cancelled from inside"])
def test_a_task_that_ends_unexpectedly_is_restarted(
    supervisor: Supervisor, lost: list[str], ends: str
) -> None:
    starts: list[int] = []

    async def main() -> None:
        steady = asyncio.Event()

        async def service() -> None:
            starts.append(len(starts))
            if len(starts) == 3:
                steady.set()
                await asyncio.get_running_loop().create_future()
            if ends == "raises":
                raise OSError("the disk is gone")
            if ends == "is cancelled from inside":
                raise asyncio.CancelledError

        async with supervisor.running({"loop": service}):
            await asyncio.wait_for(steady.wait(), PATIENCE)
            assert supervisor.states() == {"loop": ServiceState.RUNNING}

    asyncio.run(main())

    assert len(starts) == 3
    assert lost == []
    assert supervisor.states() == {"loop": ServiceState.ENDED}


def test_a_task_that_fails_repeatedly_is_lost_and_reported_once(
    supervisor: Supervisor, lost: list[str]
) -> None:
    starts: list[int] = []

    async def service() -> None:
        starts.append(1)
        raise ValueError("a bug")

    with pytest.raises(ServiceLost):
        asyncio.run(supervisor.keep("loop", service))
    with pytest.raises(ServiceLost):
        asyncio.run(supervisor.keep("other", service))

    assert len(starts) == 2 * MOST_FAILURES
    assert supervisor.states() == {"loop": ServiceState.LOST, "other": ServiceState.LOST}
    assert len(lost) == 1
    assert "ValueError: a bug" in lost[0]


def test_an_error_that_can_be_retried_never_makes_a_service_lost(
    supervisor: Supervisor, lost: list[str]
) -> None:
    starts: list[int] = []

    async def main() -> None:
        enough = asyncio.Event()

        async def service() -> None:
            starts.append(1)
            if len(starts) > 2 * MOST_FAILURES:
                enough.set()
            raise Unavailable("the database does not answer")

        async with supervisor.running({"loop": service}):
            await asyncio.wait_for(enough.wait(), PATIENCE)

    asyncio.run(main())

    assert lost == []


def test_a_thread_that_fails_is_restarted_in_the_same_thread_and_ends_on_request(
    supervisor: Supervisor, lost: list[str]
) -> None:
    threads: list[int] = []

    def service() -> None:
        threads.append(threading.get_ident())
        if len(threads) < 3:
            raise RecursionError("a deep tree")

    supervisor.thread("fleet", service).join(PATIENCE)

    assert len(threads) == 3
    assert len(set(threads)) == 1
    assert lost == []
    assert supervisor.states() == {"fleet": ServiceState.ENDED}


def test_a_thread_that_cannot_be_restarted_is_lost_with_its_first_failure(
    supervisor: Supervisor, lost: list[str]
) -> None:
    def service() -> None:
        raise SystemExit(1)

    supervisor.thread("writer", service, restart=False).join(PATIENCE)

    assert supervisor.states() == {"writer": ServiceState.LOST}
    assert len(lost) == 1


def test_states_are_reported_as_they_are_and_as_they_change(supervisor: Supervisor) -> None:
    reports: list[tuple[str, ServiceState]] = []
    supervisor.thread("first", lambda: None).join(PATIENCE)

    supervisor.report_to(lambda name, state: reports.append((name, state)))
    supervisor.thread("second", lambda: None).join(PATIENCE)
    supervisor.report_to(None)
    supervisor.thread("third", lambda: None).join(PATIENCE)

    assert reports == [
        ("first", ServiceState.ENDED),
        ("second", ServiceState.RUNNING),
        ("second", ServiceState.ENDED),
    ]
