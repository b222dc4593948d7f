"""Column types that keep amounts exact and times aware on both databases."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any

from sqlalchemy import Dialect, LargeBinary, Numeric, String, Text, types
from sqlalchemy.dialects.postgresql import JSON as POSTGRES_JSON
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.types import TypeEngine

from ledger.amounts import canonical, plain

Name = String(collation="C").with_variant(String(), "sqlite")
"""Text that is compared byte by byte, as the total order of facts needs it."""
Hash = LargeBinary(32)


class Amount(types.TypeDecorator[Decimal]):
    """NUMERIC in PostgreSQL; canonical decimal text in SQLite, whose NUMERIC silently becomes a float."""

    impl = Numeric
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(Text() if dialect.name == "sqlite" else Numeric())

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> Any:
        if value is None:
            return None
        return plain(value) if dialect.name == "sqlite" else canonical(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> Decimal | None:
        if value is None:
            return None
        return canonical(_amount(value) if isinstance(value, str) else value)


class Moment(types.TypeDecorator[datetime]):
    """TIMESTAMPTZ in PostgreSQL; RFC 3339 text of one width in SQLite, so that it sorts. Always aware UTC."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(Text() if dialect.name == "sqlite" else TIMESTAMP(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        if value is None:
            return None
        assert value.tzinfo is not None, "a naive time would be a guess"
        return moment_text(value) if dialect.name == "sqlite" else value

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if isinstance(value, str):
            return _moment(value)
        moment: datetime = value
        return moment.astimezone(UTC)


class Amounts(types.TypeDecorator[dict[str, Decimal]]):
    """A JSON object of exact numbers, read as `Decimal`: `{"USD": 8432.1, "QQQ": 12.5}`."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(Text() if dialect.name == "sqlite" else POSTGRES_JSON())

    def process_bind_param(self, value: dict[str, Decimal] | None, dialect: Dialect) -> Any:
        return None if value is None else amounts_text(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> dict[str, Decimal] | None:
        found: dict[str, Decimal] | None = exact_json(value) if isinstance(value, str) else value
        return found


class Names(types.TypeDecorator[list[str]]):
    """A JSON array of names."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: list[str] | None, dialect: Dialect) -> Any:
        return None if value is None else json.dumps(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> list[str] | None:
        return None if value is None else json.loads(value)


def exact_json(text: str | bytes) -> Any:
    """The value of a JSON text, its numbers as `Decimal`: for the PostgreSQL driver, which would take floats.

    Raises: ValueError for a number with an exponent, which is none of ours.
    """
    return json.loads(text, parse_int=Decimal, parse_float=_amount)


def _amount(text: str) -> Decimal:
    if "e" in text.lower():
        raise ValueError(f"not an amount: {text[:60]!r}")  # An exponent could stand for a billion digits.
    return Decimal(text)


def amounts_text(amounts: dict[str, Decimal]) -> str:
    """The JSON text of amounts by name: exact numbers, names sorted."""
    return "{" + ", ".join([f"{_quoted(name)}: {plain(amounts[name])}" for name in sorted(amounts)]) + "}"


@lru_cache(maxsize=65_536)
def _quoted(name: str) -> str:
    return json.dumps(name)


@lru_cache(maxsize=65_536)
def moment_text(moment: datetime) -> str:
    """RFC 3339 in UTC with six decimals: texts sort as the moments do."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")[:-6] + "Z"


@lru_cache(maxsize=65_536)
def _moment(text: str) -> datetime:
    """The moment of a text as `moment_text` writes it; the facts of one batch share theirs."""
    return datetime.fromisoformat(text).astimezone(UTC)
