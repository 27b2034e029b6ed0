"""Structured logs: one record per event, as text for people or as JSON for programs.

A record has a message for people and fields for programs. Fields are passed as ``extra``; ``action`` names the
event and is the field to filter by. Everything in ``extra`` is printed, so fields are not declared here.
"""

from __future__ import annotations

import json
import logging
import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import TextIO

#: The parent of all loggers of Trunkline.
ROOT = "trunkline"
#: One record per call of the API; see ``set_up``.
ACCESS = "trunkline.access"
#: Levels by the names that settings use.
LEVELS: Mapping[str, int] = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "off": logging.CRITICAL + 1,
}
FORMS = ("text", "json")
#: Loggers of libraries that write a line for every call to the Kubernetes API.
_CHATTY = ("httpx", "httpx2")
#: Attributes that every record has; any other attribute is a field.
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def set_up(level: str, form: str, *, access: bool, stream: TextIO) -> None:
    """Send all records of the process to one stream.

    Args:
        level: the lowest level of Trunkline's records, a key of ``LEVELS``; libraries log warnings and above.
        form: one of ``FORMS``.
        access: whether each call of the API is logged too.
        stream: the output.
    """
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger(ROOT).setLevel(LEVELS[level])
    logging.getLogger(ACCESS).setLevel(logging.INFO if access else logging.WARNING)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)


class LevelOverride:
    """A temporary log level, as SetLogLevel sets it; the earlier level is restored afterwards."""

    def __init__(self, logger: str) -> None:
        self._logger = logging.getLogger(logger)
        self._lock = threading.Lock()
        self._usual = logging.NOTSET
        self._timer: threading.Timer | None = None

    def set(self, level: int, seconds: float) -> None:
        """Set a level for ``seconds``. A second call replaces the first; the original level is restored."""
        with self._lock:
            if self._timer is None:
                self._usual = self._logger.level
            else:
                self._timer.cancel()
            self._logger.setLevel(level)
            self._timer = threading.Timer(seconds, self.reset)
            self._timer.daemon = True
            self._timer.start()

    def reset(self) -> None:
        """Restore the original level now."""
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
                self._logger.setLevel(self._usual)


def fields(record: logging.LogRecord) -> dict[str, Any]:
    """Return the fields passed in ``extra``, in their order."""
    return {name: value for name, value in vars(record).items() if name not in _STANDARD}


def _time(record: logging.LogRecord) -> str:
    stamp = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
    return stamp.replace("+00:00", "Z")


class TextFormatter(logging.Formatter):
    """``TIME LEVEL logger: message  name=value…``, with a traceback on the lines below."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the lines of a record."""
        line = f"{_time(record)} {record.levelname:7} {record.name}: {_one_line(record.getMessage())}"
        pairs = " ".join(f"{name}={_text(value)}" for name, value in fields(record).items())
        line = f"{line}  {pairs}" if pairs else line
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class JsonFormatter(logging.Formatter):
    """One JSON object per line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record."""
        entry: dict[str, Any] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **fields(record),
        }
        if record.exc_info:
            entry["traceback"] = self.formatException(record.exc_info)
        return json.dumps(entry, default=str, ensure_ascii=False)


def _text(value: object) -> str:
    text = f"{value:.3f}" if isinstance(value, float) else str(value)
    return json.dumps(text, ensure_ascii=False) if not text or any(c in ' "=\n\r\t' for c in text) else text


def _one_line(text: str) -> str:
    """Escape line breaks: a name chosen by a client must not forge a second record."""
    return text.replace("\r", "\\r").replace("\n", "\\n")
