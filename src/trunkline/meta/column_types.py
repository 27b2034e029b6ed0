"""Types of columns that mean the same in every database."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy import BigInteger, Column, Integer, String, Text


def text(length: int) -> String:
    """Return the type of names and ids: compared and sorted by their bytes in every database and locale.

    The length is documentation. ``limits`` are checked where requests arrive; no database enforces the length.
    """
    return String(length).with_variant(Text(collation="C"), "postgresql")


class State(sa.TypeDecorator[StrEnum]):
    """A state as an enum. Neither a write nor a read passes a value that the enum does not have."""

    impl = String
    cache_ok = True

    def __init__(self, states: type[StrEnum], length: int) -> None:
        super().__init__(length)
        self.states, self.length = states, length

    def load_dialect_impl(self, dialect: sa.Dialect) -> sa.types.TypeEngine[Any]:
        """Return the type of the column, that of names."""
        return Text(collation="C") if dialect.name == "postgresql" else String(self.length)

    def process_bind_param(self, value: str | None, dialect: sa.Dialect) -> str | None:  # noqa: ARG002
        """Return what is stored; raise ValueError for a state that does not exist."""
        return None if value is None else self.states(value).value

    def process_result_value(self, value: str | None, dialect: sa.Dialect) -> StrEnum | None:  # noqa: ARG002
        """Return the enum of what is stored."""
        return None if value is None else self.states(value)


#: Row numbers: SQLite gives automatic numbers only to a column that is called INTEGER.
Id = BigInteger().with_variant(Integer, "sqlite")


def row_id() -> Column[int]:
    """Return the column of a row's own number."""
    return Column("id", Id, primary_key=True, autoincrement=True)
