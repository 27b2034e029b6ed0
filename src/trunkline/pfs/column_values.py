"""Converts values of CSV and JSON files to what columns of a database take."""

from __future__ import annotations

import base64
import binascii
import json
from datetime import date, datetime, time
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

from trunkline.errors import InvalidArgument
from trunkline.model.columns import ColumnKind

if TYPE_CHECKING:
    from collections.abc import Callable

_TRUE = frozenset(("true", "t", "yes", "y", "on", "1"))
_FALSE = frozenset(("false", "f", "no", "n", "off", "0"))


def converted(value: Any, kind: ColumnKind) -> object:
    """Return a value for a column.

    Args:
        value: a text, or a value of JSON.
        kind: of the column.

    Raises:
        InvalidArgument: the value does not fit.
    """
    if value is None:
        return None
    try:
        return _CONVERTERS[kind](value)
    except (ValueError, TypeError, InvalidOperation, binascii.Error, OverflowError) as error:
        text = str(value)
        text = text if len(text) <= 40 else text[:40] + "…"
        raise InvalidArgument(f"{text!r} is not a valid {kind}") from error


def _text(value: Any) -> str:
    if isinstance(value, str):
        text = value
    elif isinstance(value, bool):
        text = "true" if value else "false"
    else:
        text = json.dumps(_plain(value), ensure_ascii=False) if isinstance(value, dict | list) else str(value)
    if "\0" in text:
        raise ValueError(text)
    return text


def _plain(value: Any) -> Any:
    """Return a value of JSON with numbers that ``json`` writes."""
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return value


def _integer(value: Any) -> int:
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, str):
        value = {"true": "1", "false": "0"}.get(
            word := value.strip().lower(), word
        )  # MySQL's booleans are integers
    number = Decimal(value)
    if number != number.to_integral_value() or number.adjusted() > 40:
        raise ValueError(value)
    return int(number)


def _decimal(value: Any) -> Decimal:
    if isinstance(value, bool):
        raise TypeError(value)
    return Decimal(value.strip() if isinstance(value, str) else value)


def _float(value: Any) -> float:
    if isinstance(value, bool):
        raise TypeError(value)
    return float(value)


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    word = str(value).strip().lower()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise ValueError(value)


def _date(value: Any) -> date:
    text = str(value).strip()
    return datetime.fromisoformat(text).date() if len(text) > 10 else date.fromisoformat(text)


def _time(value: Any) -> time:
    return time.fromisoformat(str(value).strip())


def _timestamp(value: Any) -> datetime:
    return datetime.fromisoformat(str(value).strip())


def _bytes(value: Any) -> bytes:
    if not isinstance(value, str):
        raise TypeError(value)
    return base64.b64decode(value, validate=True)


def _json(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) else _plain(value)


_CONVERTERS: dict[ColumnKind, Callable[[Any], object]] = {
    ColumnKind.TEXT: _text,
    ColumnKind.INTEGER: _integer,
    ColumnKind.DECIMAL: _decimal,
    ColumnKind.FLOAT: _float,
    ColumnKind.BOOLEAN: _boolean,
    ColumnKind.DATE: _date,
    ColumnKind.TIME: _time,
    ColumnKind.TIMESTAMP: _timestamp,
    ColumnKind.BYTES: _bytes,
    ColumnKind.JSON: _json,
}
