"""What reads and transactions cost in SQL: rows fetched, processor time, and how the database would find the rows."""

from __future__ import annotations

import json
import re
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from trunkline.meta import query

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pytest

    from trunkline.meta.database import Database

#: Tables that grow with what has happened and not with what is alive.
HISTORY = frozenset({
    "commit", "commit_provenance", "job", "job_bill", "handin", "worker_past", "log_batch", "decision",
    "worker_event", "pipeline_version", "event_batch",
})  # fmt: skip
#: Indexes that have only the rows of what is alive.
LIVE = frozenset({"ix_job_live"})


@dataclass(slots=True)
class Transaction:
    """A read or a write transaction."""

    name: str
    rows: int = 0
    #: Processor time of its thread and of the PostgreSQL process that serves it, if there is one.
    seconds: float = 0.0
    #: Driver's SQL and its values.
    statements: dict[str, Any] = field(default_factory=dict)


class Recorder:
    """Records the transactions of a database while ``recording`` is open."""

    def __init__(self, db: Database) -> None:
        self.transactions: list[Transaction] = []
        self._db = db
        self._local = threading.local()

    def _current(self) -> Transaction | None:
        current: Transaction | None = getattr(self._local, "transaction", None)
        return current

    def count(self, rows: int) -> None:
        """Add fetched rows to the transaction of this thread."""
        current = self._current()
        if current is not None:
            current.rows += rows

    def note(self, text: str, values: Any) -> None:
        """Remember a statement of the transaction of this thread."""
        current = self._current()
        if current is not None:
            current.statements[text] = values

    def timed(self, fn: Callable[..., Any], names: tuple[object, ...]) -> Callable[..., Any]:
        """Return a function of a transaction that is recorded when it runs."""
        name = next((each.__qualname__ for each in (*names[:2], fn) if hasattr(each, "__qualname__")), "?")

        def run(*args: Any, **kwargs: Any) -> Any:
            transaction = self._local.transaction = Transaction(name)
            backend = _backend(args[0])
            begun = _processor_time(backend)
            try:
                return fn(*args, **kwargs)
            finally:
                transaction.seconds = _processor_time(backend) - begun
                self.transactions.append(transaction)
                self._local.transaction = None

        return run


def _backend(transaction: Any) -> int:
    """Return the process of PostgreSQL that serves a transaction; 0 with SQLite."""
    conn = getattr(transaction, "conn", transaction)
    if conn.dialect.name != "postgresql":
        return 0
    return int(conn.connection.dbapi_connection.info.backend_pid)


def _processor_time(backend: int) -> float:
    """Return the seconds of processor time of this thread and of a process of PostgreSQL on this machine."""
    served = int(Path(f"/proc/{backend}/schedstat").read_text().split()[0]) if backend else 0
    return time.thread_time() + served / 1e9


@contextmanager
def recording(db: Database, patch: pytest.MonkeyPatch) -> Iterator[Recorder]:
    """Record the transactions of a database while the context is open."""
    recorder = Recorder(db)
    run, read, submit = query._run, db.read_blocking, db._writes.submit
    strategy = sa.engine.cursor.CursorFetchStrategy
    fetchall, fetchone = strategy.fetchall, strategy.fetchone

    def counted_run(conn: Any, text: str, values: Any, *, many: bool = False) -> Any:
        if not many:
            recorder.note(text, values)
        return _CountingCursor(run(conn, text, values, many=many), recorder)

    def counted_fetchall(self: Any, result: Any, dbapi_cursor: Any) -> Any:
        rows = fetchall(self, result, dbapi_cursor)
        recorder.count(len(rows))
        return rows

    def counted_fetchone(self: Any, result: Any, dbapi_cursor: Any, hard_close: bool = False) -> Any:
        recorder.count(1)
        return fetchone(self, result, dbapi_cursor, hard_close)

    def executing(_conn: Any, _cursor: Any, text: str, values: Any, _context: Any, many: bool) -> None:
        if not many:
            recorder.note(text, values)

    with patch.context() as each:
        each.setattr(query, "_run", counted_run)
        each.setattr(strategy, "fetchall", counted_fetchall)
        each.setattr(strategy, "fetchone", counted_fetchone)
        each.setattr(
            db, "read_blocking", lambda fn, *args, **kwargs: read(recorder.timed(fn, args), *args, **kwargs)
        )
        each.setattr(
            db._writes,
            "submit",
            lambda fn, *args, **kwargs: submit(recorder.timed(fn, args[1:]), *args, **kwargs),
        )
        sa.event.listen(db.engine, "before_cursor_execute", executing)
        try:
            yield recorder
        finally:
            sa.event.remove(db.engine, "before_cursor_execute", executing)


class _CountingCursor:
    """A driver's cursor that counts the rows that it returns."""

    def __init__(self, cursor: Any, recorder: Recorder) -> None:
        self._cursor, self._recorder = cursor, recorder

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cursor, name)

    def fetchall(self) -> list[Any]:
        """Return the rows, counted."""
        rows: list[Any] = self._cursor.fetchall()
        self._recorder.count(len(rows))
        return rows

    def fetchone(self) -> Any:
        """Return a row, counted."""
        self._recorder.count(1)
        return self._cursor.fetchone()


def full_scans(db: Database, transactions: list[Transaction], most_rows: int, *, small: bool) -> list[str]:
    """Return the statements that read a history table from end to end, each with its plan.

    A walk along an index in the order of the result that a LIMIT ends is none, on PostgreSQL if it visits no more
    than ``most_rows`` rows.

    Args:
        db: the database.
        transactions: what was recorded.
        most_rows: as above.
        small: the tables are so small that PostgreSQL would rather read them whole than use their indexes.
    """
    statements = {text: values for each in transactions for text, values in each.statements.items()}
    with db.engine.connect() as conn:
        judge = _sqlite_scan if conn.dialect.name == "sqlite" else _postgres_scan
        if small and conn.dialect.name == "postgresql":
            conn.execute(sa.text("SET LOCAL enable_seqscan = off"))
            conn.execute(sa.text("SET LOCAL random_page_cost = 1"))
        cursor = conn.connection.cursor()
        scans = []
        for text, values in statements.items():
            if re.match(r"\s*(SELECT|WITH|UPDATE|DELETE)\b", text, re.IGNORECASE):
                plan = judge(cursor, text, values, most_rows, small)
                if plan:
                    scans.append(f"{text}\n  {plan}")
        conn.rollback()
    return scans


def _sqlite_scan(cursor: Any, text: str, values: Any, _most_rows: int, _small: bool) -> str:
    cursor.execute("EXPLAIN QUERY PLAN " + text, values if values is not None else ())
    details = [row[3] for row in cursor.fetchall()]
    scanned = [
        detail
        for detail in details
        if (m := re.match(r"SCAN (\w+)(?: USING INDEX (\w+))?", detail))
        and m[1] in HISTORY
        and m[2] not in LIVE
    ]
    ordered = "LIMIT" in text and not any("TEMP B-TREE FOR ORDER BY" in detail for detail in details)
    return "; ".join(details) if scanned and not ordered else ""


def _postgres_scan(cursor: Any, text: str, values: Any, most_rows: int, small: bool) -> str:
    analyze = "ANALYZE, " if text.lstrip().upper().startswith(("SELECT", "WITH")) else ""
    if not (analyze or small):
        return ""  # a few hundred rows of some thousand are rightly deleted by a scan
    cursor.execute(f"EXPLAIN ({analyze}FORMAT JSON) " + text, values)
    [(document,)] = cursor.fetchall()
    nodes = list(_nodes((document if isinstance(document, list) else json.loads(document))[0]["Plan"]))
    for node in nodes:
        if node.get("Relation Name") not in HISTORY:
            continue
        visited = (node.get("Actual Rows", 0) + node.get("Rows Removed by Filter", 0)) * node.get(
            "Actual Loops", 1
        )
        if (small and node["Node Type"] == "Seq Scan") or visited > most_rows:
            return f"{node['Node Type']} of {node['Relation Name']} visits {visited} rows"
    return ""


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", ()):
        yield from _nodes(part)
