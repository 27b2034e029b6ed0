"""Long-lived tasks and threads as named services whose failures do not stay unnoticed.

A service is a function that runs until it is stopped. One that raises, or returns before it is stopped, is logged
and started again after a pause, which doubles with each failure in a row. One that fails too often in a row, or
that cannot be started again, is lost: the supervisor reports that once, and the server exits with a code of its
own, so that systemd or Kubernetes starts a new one. Each service's state is reported by name. Errors that can be
retried (a database that does not answer) never make a service lost, however long they last.

Modelled on the supervisors of Erlang/OTP: restart intensity, and escalation when it is exceeded.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from contextlib import asynccontextmanager
from enum import StrEnum
from typing import TYPE_CHECKING

from trunkline.errors import TrunklineError, is_retryable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

log = logging.getLogger("trunkline.runtime.supervision")

#: Seconds to the first restart of a service; doubles with each failure in a row, up to the second figure.
FIRST_PAUSE, LAST_PAUSE = 0.1, 10.0
#: Failures in a row after which a service is lost: about 45 s after the first of them.
MOST_FAILURES = 11
#: Seconds of running after which an earlier failure no longer counts.
STABLE = 60.0


class ServiceState(StrEnum):
    """How a service is doing."""

    RUNNING = "running"
    #: It failed and is started again after a pause.
    RESTARTING = "restarting"
    #: It failed and is not started again.
    LOST = "lost"
    #: It ended because it was stopped.
    ENDED = "ended"


class ServiceLost(TrunklineError):
    """A part of the server ended for good; the server cannot go on without it."""

    code = "SERVICE_LOST"


class Supervisor:
    """Runs services and keeps their states. Every method may be called from any thread."""

    def __init__(
        self,
        lost: Callable[[str], None] = log.critical,
        *,
        first_pause: float = FIRST_PAUSE,
    ) -> None:
        """Create a supervisor without services.

        Args:
            lost: called once, from any thread, with a sentence, when a service is lost.
            first_pause: seconds to the first restart of a service.
        """
        self._lost: Callable[[str], None] | None = lost
        self._first_pause = first_pause
        self._lock = threading.Lock()  # guards the two below
        self._states: dict[str, ServiceState] = {}
        self._report: Callable[[str, ServiceState], None] | None = None

    def states(self) -> Mapping[str, ServiceState]:
        """Return the state of every service that was ever started, by name."""
        with self._lock:
            return dict(self._states)

    async def keep(self, name: str, main: Callable[[], Awaitable[None]]) -> None:
        """Keep a service running on the current event loop until this coroutine is cancelled.

        Args:
            name: of the service, for logs and the health service.
            main: runs it until it is cancelled; is called again after a failure.

        Raises:
            ServiceLost: it failed too often in a row.
        """
        history = _History(self._first_pause)
        while True:
            self._move(name, ServiceState.RUNNING)
            history.begin()
            try:
                await main()
            except asyncio.CancelledError:
                task = asyncio.current_task()
                if task is not None and task.cancelling():
                    self._move(name, ServiceState.ENDED)
                    raise
                error: BaseException | None = None  # somebody cancelled what it waited for
            except Exception as raised:  # noqa: BLE001 - logged by _failed
                error = raised
            else:
                error = None
            pause = history.failed(error)
            self._failed(name, error, pause)
            assert pause is not None  # else _failed has raised
            await asyncio.sleep(pause)

    def thread(self, name: str, main: Callable[[], None], *, restart: bool = True) -> threading.Thread:
        """Start a service in a thread of its own.

        Args:
            name: of the service and the thread.
            main: runs it; returns when it is stopped. It is called again, in the same thread, after an
                exception.
            restart: whether it may be called again.
        """

        def run() -> None:
            history = _History(self._first_pause)
            while True:
                self._move(name, ServiceState.RUNNING)
                history.begin()
                try:
                    main()
                except BaseException as error:  # noqa: BLE001 - logged by _failed
                    pause = history.failed(error) if restart else None
                    try:
                        self._failed(name, error, pause)
                    except ServiceLost:
                        return
                    assert pause is not None
                    time.sleep(pause)
                else:
                    self._move(name, ServiceState.ENDED)
                    return

        started = threading.Thread(target=run, name=name, daemon=True)
        started.start()
        return started

    @asynccontextmanager
    async def running(self, services: Mapping[str, Callable[[], Awaitable[None]]]) -> AsyncIterator[None]:
        """Keep services running on the current event loop while the context is open."""
        tasks = [asyncio.create_task(self._keep_to_the_end(*service)) for service in services.items()]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _keep_to_the_end(self, name: str, main: Callable[[], Awaitable[None]]) -> None:
        try:
            await self.keep(name, main)
        except ServiceLost:
            pass  # reported by _failed
        except Exception as error:  # noqa: BLE001 - a bug of this module must not hide the service
            self._escalate(name, error)

    def report_to(self, report: Callable[[str, ServiceState], None] | None) -> None:
        """Report every service's state, now and whenever it changes.

        Args:
            report: called from any thread with a service's name and state; None to report no more.
        """
        with self._lock:
            self._report = report
            if report is not None:
                for name, state in self._states.items():
                    report(name, state)

    def _failed(self, name: str, error: BaseException | None, pause: float | None) -> None:
        """Log a failure; raise ServiceLost when the service is not started again."""
        how = "ended unexpectedly" if error is None else f"failed: {describe(error)}"
        if pause is None:
            self._move(name, ServiceState.LOST)
            log.critical("service %s %s", name, how, exc_info=error, extra={"action": "service_lost"})
            self._escalate(name, error)
            raise ServiceLost(f"service {name} {how}")
        self._move(name, ServiceState.RESTARTING)
        text = "service %s %s; it is started again in %.1f s"
        log.error(text, name, how, pause, exc_info=error, extra={"action": "service_restarted"})

    def _escalate(self, name: str, error: BaseException | None) -> None:
        with self._lock:
            report, self._lost = self._lost, None
        if report is not None:
            why = describe(error) if error is not None else "it ended unexpectedly"
            report(f"the service {name} of this server is lost ({why}); see the log above and start it again")

    def _move(self, name: str, state: ServiceState) -> None:
        with self._lock:
            before = self._states.get(name)
            self._states[name] = state
            if self._report is not None and before is not state:
                self._report(name, state)


class _History:
    """How often a service has failed in a row."""

    def __init__(self, first_pause: float) -> None:
        self._first_pause = first_pause
        self._failures = 0
        self._begun = 0.0

    def begin(self) -> None:
        self._begun = time.monotonic()

    def failed(self, error: BaseException | None) -> float | None:
        """Return the seconds to the next start; None when there is none."""
        if time.monotonic() - self._begun > STABLE:
            self._failures = 0
        self._failures += 1
        if is_retryable(error):
            self._failures = min(self._failures, MOST_FAILURES - 1)
        if self._failures >= MOST_FAILURES:
            return None
        return min(LAST_PAUSE, self._first_pause * 2.0 ** (self._failures - 1))


def describe(error: BaseException) -> str:
    """Return an error as one line: our message, or the class and text of any other."""
    if isinstance(error, TrunklineError):
        return error.message
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
