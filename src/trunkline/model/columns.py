"""Kinds of columns of databases outside, as far as values must be converted for them."""

from __future__ import annotations

from enum import StrEnum


class ColumnKind(StrEnum):
    """What a column takes."""

    TEXT = "text"
    INTEGER = "integer"
    DECIMAL = "decimal"
    FLOAT = "float"
    BOOLEAN = "boolean"
    DATE = "date"
    TIME = "time"
    TIMESTAMP = "timestamp"
    BYTES = "bytes"
    JSON = "json"
