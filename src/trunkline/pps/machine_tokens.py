"""Worker tokens, by which machines join to run workers (docs/design/fleets.md).

A token is good for reports of a machine alone. Its hash, not the token, is kept, as one setting of the database: there
are few of them, and with the database they are lost on purpose.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from typing import TYPE_CHECKING, NamedTuple

from trunkline import errors
from trunkline.meta import settings
from trunkline.model import limits

if TYPE_CHECKING:
    import sqlalchemy as sa

    from trunkline.pfs.writes import WriteTransaction

_SETTING = "worker_tokens"
#: Seconds that a token is valid when nothing is said, and at most.
DEFAULT_VALID, LONGEST_VALID = 30 * 86_400.0, 3_660 * 86_400.0


class WorkerToken(NamedTuple):
    """A token without its secret part."""

    id: str
    #: Seconds since the epoch.
    created: float
    expires: float
    #: Hex SHA-256 of the whole token. Its secret has 256 random bits, so it needs no slow hash.
    hash: str


def create(write: WriteTransaction, valid: float) -> tuple[WorkerToken, str]:
    """Make a token.

    Args:
        write: the transaction.
        valid: seconds until it expires; 0 for the default.

    Returns:
        The record, and the token, which nobody can read again.

    Raises:
        InvalidArgument: it would never be valid, or for too long.
        ResourceExhausted: there are too many.
    """
    if not 0 <= valid <= LONGEST_VALID:
        raise errors.InvalidArgument(
            f"a worker token cannot be valid for {valid:g} s; the longest time is {LONGEST_VALID:g} s (ten years)"
        )
    now = write.now
    tokens = [each for each in list_all(write.conn) if each.expires > now]
    if len(tokens) >= limits.WORKER_TOKENS:
        raise errors.ResourceExhausted(
            f"{limits.WORKER_TOKENS:,} worker tokens are valid, which is the limit; revoke some with"
            " trunkline revoke worker-token ID"
        )
    id = secrets.token_hex(6)
    text = f"{id}.{secrets.token_hex(32)}"
    token = WorkerToken(id, now, now + (valid or DEFAULT_VALID), _hash(text))
    _store(write, [*tokens, token])
    return token, text


def list_all(conn: sa.Connection) -> list[WorkerToken]:
    """Return all tokens, the oldest first, those that have expired included."""
    return [WorkerToken(*each) for each in json.loads(settings.value(conn, _SETTING) or "[]")]


def revoke(write: WriteTransaction, id: str) -> None:
    """Remove a token: machines that joined with it lose their workers.

    Raises:
        NotFound: there is none.
    """
    tokens = list_all(write.conn)
    if all(each.id != id for each in tokens):
        raise errors.NotFound(f"worker token {id} not found; trunkline list worker-token shows them")
    _store(write, [each for each in tokens if each.id != id])


def verify(conn: sa.Connection, text: str, now: float) -> None:
    """Check a token.

    Args:
        conn: a connection.
        text: the token.
        now: seconds since the epoch.

    Raises:
        Unauthenticated: it is not valid, or not any more.
    """
    expected = _hash(text)
    for token in list_all(conn):
        if hmac.compare_digest(token.hash, expected):
            if token.expires > now:
                return
            raise errors.Unauthenticated(
                f"worker token {token.id} has expired; make a new one with trunkline create worker-token"
            )
    raise errors.Unauthenticated(
        "the worker token is not valid: it was revoked, or is of another server; make one with trunkline create"
        " worker-token"
    )


def _store(write: WriteTransaction, tokens: list[WorkerToken]) -> None:
    settings.put(write.conn, _SETTING, json.dumps(tokens))


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
