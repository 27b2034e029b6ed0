"""The worker API as typed calls over one connection.

A connection carries one call at a time; the worker opens one for its main thread and one for the thread
that renews claims. This module knows the messages and the paths of the RPCs, not when to call them.
"""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, TypeVar

from trunkline.client.channel import Channel
from trunkline.client.trust import SYSTEM
from trunkline.errors import TrunklineError
from trunkline.rpc.gen import worker_api_pb2 as pb
from trunkline.worker.circuit_breaker import StoreBreaker

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Sequence

    from google.protobuf.message import Message

    from trunkline.client.trust import Trust
    from trunkline.worker.interrupts import Interrupts

Answer = TypeVar("Answer")

_SERVICE = "/trunkline.worker.v1.Worker/"
#: Seconds for calls that the server answers from memory or with one transaction.
_SHORT = 20.0
#: Seconds for calls that move data; a server that has stopped breaks the connection long before.
_LONG = 3600.0

#: Seconds after which the file with the token is read again. The kubelet renews a token at four fifths of its
#: life, an hour.
TOKEN_SECONDS = 60.0
#: Seconds without an answer after which a worker exits. A server restarts within a few seconds; a server that moves
#: to another machine with its disk needs minutes. (A worker of the process fleet ends with its server anyway.)
PATIENCE = 600.0
_FIRST_PAUSE = 0.1  # seconds
_LONGEST_PAUSE = 5.0  # seconds


class ServerAPI:
    """One connection of one worker to its server."""

    def __init__(
        self, address: str, worker_id: str, token: str, token_file: str = "", trust: Trust = SYSTEM
    ) -> None:
        """Prepare the connection.

        Args:
            address: of the server, as ``client.address`` reads it.
            worker_id: id of this worker, which its calls carry.
            token: proves that calls come from this worker.
            token_file: file that holds the token instead; it is read again from time to time, because the
                kubelet renews it.
            trust: which servers are accepted over TLS.
        """
        self._worker_id = worker_id
        self._token_file = token_file
        self._token_read = time.monotonic()
        token = _read_token(token_file) if token_file else token
        self._connection = Channel(address, _metadata(worker_id, token), trust)
        #: Decides whether transfers use the object store directly.
        self.store = StoreBreaker()

    @property
    def _channel(self) -> Channel:
        """The connection, with a valid token."""
        if self._token_file and time.monotonic() - self._token_read >= TOKEN_SECONDS:
            self._token_read = time.monotonic()
            self._connection.set_metadata(_metadata(self._worker_id, _read_token(self._token_file)))
        return self._connection

    def register(self, pid: int) -> None:
        """Report that the worker is ready."""
        self._unary("Register", pb.RegisterRequest(pid=pid))

    def claim(self, wait_seconds: float, held: str = "") -> pb.ClaimResponse:
        """Claim work.

        Args:
            wait_seconds: the longest wait for it.
            held: the claim of a standing program that runs; there is no work before its end.
        """
        request = pb.ClaimRequest(wait_seconds=wait_seconds, held=held)
        return pb.ClaimResponse.FromString(self._unary("Claim", request, wait_seconds + _SHORT))

    def end_program(self, claim_id: str, reason: str) -> None:
        """Report that a standing program has ended, and how."""
        self._unary("EndProgram", pb.EndProgramRequest(claim_id=claim_id, reason=reason))

    def renew(self, claim_id: str, datum: int, started: float) -> pb.RenewResponse:
        """Renew the lease of a claim.

        Args:
            claim_id: id of the claim.
            datum: position of the running datum in the assignment.
            started: when it started, in seconds since the epoch; 0 when none runs.
        """
        request = pb.RenewRequest(claim_id=claim_id, datum=datum, datum_started=started)
        return pb.RenewResponse.FromString(self._unary("Renew", request))

    def fetch(
        self, claim_id: str, items: Sequence[int], *, direct: bool, path: str = ""
    ) -> Generator[tuple[pb.FilePiece, Sequence[str]]]:
        """Yield the files of the items in the requested order, each piece with the URLs that its places index.

        Args:
            claim_id: id of the claim whose assignment has the items.
            items: positions of the items.
            direct: whether pieces may be places in the object store instead of bytes.
            path: only this file of the only item.
        """
        request = pb.FetchRequest(
            claim_id=claim_id, items=items, direct=direct, path=path
        ).SerializeToString()
        urls: list[str] = []
        with contextlib.closing(self._channel.server_stream(_SERVICE + "Fetch", request, _LONG)) as frames:
            for frame in frames:
                response = pb.FetchResponse.FromString(frame)
                urls += response.packs
                for piece in response.pieces:
                    yield piece, urls

    def offer(self, claim_id: str, ids: bytes) -> pb.OfferResponse:
        """Ask which chunks the store lacks and where they may be put."""
        return pb.OfferResponse.FromString(self._unary("Offer", pb.OfferRequest(claim_id=claim_id, ids=ids)))

    def complete(self, frames: Iterable[pb.CompleteRequest]) -> pb.CompleteResponse:
        """Report results and upload outputs."""
        requests = (frame.SerializeToString() for frame in frames)
        return pb.CompleteResponse.FromString(
            self._channel.client_stream(_SERVICE + "Complete", requests, _LONG)
        )

    def log(self, claim_id: str, lines: Sequence[pb.LogLine]) -> None:
        """Send log lines."""
        self._unary("Log", pb.LogRequest(claim_id=claim_id, lines=lines))

    def _unary(
        self,
        method: str,
        request: Message,
        timeout: float = _SHORT,
    ) -> bytes:
        return self._channel.unary(_SERVICE + method, request.SerializeToString(), timeout)


def _metadata(worker_id: str, token: str) -> tuple[tuple[str, str], tuple[str, str]]:
    return ("worker-id", worker_id), ("worker-token", token)


def _read_token(path: str) -> str:
    with open(path, encoding="ascii") as file:
        return file.read().strip()


def patiently(call: Callable[[], Answer], interrupts: Interrupts) -> Answer:
    """Make a call; retry it while the server does not answer, for at most ``PATIENCE`` seconds.

    Raises:
        TrunklineError: the last error of the call; raised at once when it is not retryable.
    """
    deadline = time.monotonic() + PATIENCE
    pause = _FIRST_PAUSE
    while True:
        try:
            return call()
        except TrunklineError as error:
            if not error.retryable or time.monotonic() + pause > deadline or interrupts.abandon:
                raise
        interrupts.wait(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)
