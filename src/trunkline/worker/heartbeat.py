"""The worker's side thread: renews the claim and sends log lines while the main thread works.

It has its own connection, so a long upload or a long wait of the main thread never delays a renewal. It raises the
server's answers (the claim is lost, restart the datum, retire) as flags and makes no decisions. It sleeps nearly all
the time: a busy second thread would slow down every spawn.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from trunkline.errors import TrunklineError, Unauthenticated
from trunkline.worker.api import PATIENCE
from trunkline.worker.logs import Logs

if TYPE_CHECKING:
    from trunkline.worker.api import ServerAPI
    from trunkline.worker.interrupts import Interrupts

#: Seconds before the next try after the server did not answer.
_RETRY = 0.5


class Heartbeat:
    """Owner of the side thread; the main thread calls its methods."""

    def __init__(self, api: ServerAPI, interrupts: Interrupts) -> None:
        self._api = api
        self._interrupts = interrupts
        self._changed = threading.Condition()  # guards all below
        self._claim = ""
        self._period = 0.0
        self._is_standing = False
        self._renew_at = 0.0
        self._datum = (0, 0.0)
        self._silent_since: float | None = None
        self._stopped = False
        self.logs = Logs(self._wake)
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread; lines that were not sent are dropped."""
        with self._changed:
            self._stopped = True
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join(timeout=1.0)  # it may be inside a call that only the process's end interrupts

    def hold(self, claim_id: str, lease_seconds: float, *, is_standing: bool = False) -> None:
        """Renew this claim every third of its lease until ``let_go``.

        Args:
            claim_id: id of the claim.
            lease_seconds: its lease; 0 for a claim that needs no renewal.
            is_standing: it is for a standing program, whose end is decided elsewhere.
        """
        self.logs.open(claim_id)
        with self._changed:
            self._claim, self._period = claim_id if lease_seconds else "", lease_seconds / 3
            self._is_standing = is_standing
            self._renew_at = time.monotonic() + self._period
            self._datum = (0, 0.0)
            self._changed.notify()

    def let_go(self) -> None:
        """Stop renewing the claim."""
        with self._changed:
            self._claim = ""

    def report(self, datum: int, started: float) -> None:
        """Set the datum and its start time for the next renewal; 0 when none runs."""
        self._datum = (datum, started)

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify()

    def _run(self) -> None:
        while True:
            with self._changed:
                if self._stopped:
                    return
                delays = [self.logs.due(), self._renew_at - time.monotonic() if self._claim else None]
                wait = min((delay for delay in delays if delay is not None), default=None)
                if wait is None or wait > 0:
                    self._changed.wait(wait)
                    continue
            self._work()

    def _work(self) -> None:
        try:
            if self._claim and time.monotonic() >= self._renew_at:
                self._renew()
            if self.logs.due() == 0:
                self.logs.ship_batch(self._api)
            self._silent_since = None
        except TrunklineError as error:
            self._bear(error)

    def _renew(self) -> None:
        with self._changed:
            claim, (datum, started) = self._claim, self._datum
        answer = self._api.renew(claim, datum, started)
        with self._changed:
            self._renew_at = time.monotonic() + self._period
            if claim != self._claim:
                return  # the main thread has completed the claim meanwhile
        claim_lost = not answer.valid and not self._is_standing
        if claim_lost or answer.restart_datum or answer.retire:
            self._interrupts.raise_flag(
                claim_lost=claim_lost, restart_datum=answer.restart_datum, retire=answer.retire
            )

    def _bear(self, error: TrunklineError) -> None:
        """Handle an error of the server: pause, or abandon the work."""
        now = time.monotonic()
        if isinstance(error, Unauthenticated):
            self._interrupts.raise_flag(abandon=True)
        elif not error.retryable:
            self._interrupts.raise_flag(claim_lost=True)
        self._silent_since = self._silent_since or now
        if now - self._silent_since > PATIENCE:
            self._interrupts.raise_flag(abandon=True)
        with self._changed:
            if not self._stopped:
                self._changed.wait_for(lambda: self._stopped, _RETRY)
