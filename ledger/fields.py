"""The forms that fields of a fact can take: names, amounts, times, texts.

Each is checked as text by a pattern before anything is converted, so that no number ever passes through
a binary float and no conversion sees hostile input.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from typing import Annotated, Any, get_type_hints

from pydantic import Field, GetCoreSchemaHandler, GetJsonSchemaHandler, JsonValue, StringConstraints
from pydantic_core import PydanticCustomError, core_schema

from ledger.amounts import AMOUNT_PATTERN, ZERO

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$"
KINDS = ("bots", "market", "actions", "ops")
SUBJECT_PATTERN = rf"^({'|'.join(KINDS)})\.{NAME_PATTERN[1:]}"
ID_PATTERN = r"^[A-Za-z0-9._:-]{1,128}$"
RUN_PATTERN = r"^[A-Za-z0-9._:-]{1,64}$"
SYMBOL_PATTERN = r"^[!#-&(-\[\]-~]{1,32}$"
CURRENCY_PATTERN = r"^[A-Z][A-Z0-9]{2,9}$"
INTERVAL_PATTERN = r"^[1-9][0-9]{0,5}(s|m|h|d|wk|mo)$"
_CLOCK = "([01][0-9]|2[0-3]):[0-5][0-9]"
TIME_PATTERN = rf"^[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}[Tt]{_CLOCK}:[0-5][0-9](\.[0-9]{{1,64}})?([Zz]|[+-]{_CLOCK})$"
TYPE_PATTERN = r"^[a-z][a-z0-9_]{0,63}$"
TEXT_LENGTH = 16_384
EXT_BYTES = 4_096
NESTING = 32
BARS_IN_A_MESSAGE = 1_000
_TIME = re.compile(TIME_PATTERN[:-1] + r"\Z")
_MIDNIGHT = time(tzinfo=UTC)

EXPECTED = {
    SUBJECT_PATTERN: (
        "<kind>.<name>, with bots, market, actions or ops as the kind and a name of 1 to 63 of A-Z a-z 0-9 _ -, "
        "a letter or digit first"
    ),
    ID_PATTERN: "1 to 128 of A-Z a-z 0-9 . _ : -",
    RUN_PATTERN: "1 to 64 of A-Z a-z 0-9 . _ : -",
    SYMBOL_PATTERN: "1 to 32 printable ASCII characters without space, quotes or backslash",
    CURRENCY_PATTERN: "a currency such as USD: 3 to 10 of A-Z and 0-9, a letter first",
    INTERVAL_PATTERN: "an interval such as 1d, 5m or 1wk: up to 6 digits and s, m, h, d, wk or mo",
    TIME_PATTERN: "a time by RFC 3339 with an offset, such as 2026-01-05T15:30:00Z (no leap second)",
    AMOUNT_PATTERN: 'a decimal string such as "412.10": up to 20 digits, up to 30 decimals, no exponent',
}


def parse_time(text: str) -> datetime:
    """The moment in UTC that an RFC 3339 text names; digits past the microsecond are cut.

    Raises: ValueError for a missing offset, a leap second, or a year outside 1 to 9999 once in UTC.
    """
    if not _TIME.match(text):
        raise ValueError(f"{text[:60]!r} is not {EXPECTED[TIME_PATTERN]}")
    return _moment(text)


def _moment(text: str) -> datetime:
    """The moment that a text of the right form names."""
    try:
        return datetime.fromisoformat(text.upper()).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{text[:60]!r} is no day of the calendar, in the years 1 to 9999 once in UTC") from error


def is_midnight(moment: datetime) -> bool:
    """Whether a moment in UTC is the first of its day."""
    return moment.timetz() == _MIDNIGHT


def format_time(moment: datetime) -> str:
    """The RFC 3339 text of a moment, in UTC, with microseconds only where there are any."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"


def interval_length(interval: str) -> timedelta | None:
    """How long a bar of this interval lasts; None for months, which have no one length."""
    match = re.match(r"([0-9]+)([a-z]+)\Z", interval)
    assert match is not None, interval
    unit = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "wk": 604_800}.get(match[2])
    return None if unit is None else timedelta(seconds=int(match[1]) * unit)


@dataclass(frozen=True)
class _Text:
    """A field sent as text of this pattern, then converted.

    `meaning` and `never` (what the pattern takes and `convert` refuses) go into the JSON Schema.
    """

    pattern: str
    convert: Callable[[str], object]
    meaning: str
    never: str | None = None

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        text = core_schema.str_schema(strict=True, pattern=self.pattern)
        return core_schema.no_info_after_validator_function(
            self.convert, text, serialization=core_schema.to_string_ser_schema()
        )

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        found = {**handler(schema), "description": self.meaning}
        return found if self.never is None else {**found, "not": {"pattern": self.never}}


@dataclass(frozen=True)
class AsList:
    """A named tuple that is sent as a list; left to itself pydantic would take an object too, a second form."""

    row: Any

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        columns = [handler.generate_schema(column) for column in get_type_hints(self.row, include_extras=True).values()]
        return core_schema.no_info_after_validator_function(
            self.row._make, core_schema.tuple_schema(columns, strict=True)
        )

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        found = handler(schema)
        columns = [
            {"title": name, **column} for name, column in zip(self.row._fields, found["prefixItems"], strict=True)
        ]
        return {**found, "title": self.row.__name__, "description": self.row.__doc__, "prefixItems": columns}


def _amount(text: str) -> Decimal:
    if text[0] == "-" and not text.strip("-0."):
        raise PydanticCustomError("value", 'minus zero is not an amount: send "0"')
    return Decimal(text)


def _not_negative(text: str) -> Decimal:
    if text[0] == "-":
        raise PydanticCustomError("value", "it must not be below zero")
    return Decimal(text)


def _positive(text: str) -> Decimal:
    amount = _not_negative(text)
    if amount == ZERO:
        raise PydanticCustomError("value", "it must be above zero")
    return amount


def _not_zero(text: str) -> Decimal:
    amount = _amount(text)
    if amount == ZERO:
        raise PydanticCustomError("value", "it must not be zero")
    return amount


def _time(text: str) -> datetime:
    try:
        return _moment(text)
    except ValueError as error:
        raise PydanticCustomError("whole", "{problem}", {"problem": str(error)}) from error


def _midnight(text: str) -> datetime:
    moment = _time(text)
    if not is_midnight(moment):
        raise PydanticCustomError("value", "it must be 00:00Z of the ex-date, such as 2003-02-18T00:00:00Z")
    return moment


_DECIMAL = EXPECTED[AMOUNT_PATTERN]
_MOMENT = EXPECTED[TIME_PATTERN]

Amount = Annotated[Decimal, _Text(AMOUNT_PATTERN, _amount, _DECIMAL, never=r"^-0(\.0+)?$")]
NotNegative = Annotated[Decimal, _Text(AMOUNT_PATTERN, _not_negative, f"{_DECIMAL}; not below zero", never="^-")]
Positive = Annotated[Decimal, _Text(AMOUNT_PATTERN, _positive, f"{_DECIMAL}; above zero", never=r"^(-|0(\.0+)?$)")]
NotZero = Annotated[Decimal, _Text(AMOUNT_PATTERN, _not_zero, f"{_DECIMAL}; not zero", never=r"^-?0(\.0+)?$")]
Time = Annotated[datetime, _Text(TIME_PATTERN, _time, _MOMENT)]
Midnight = Annotated[datetime, _Text(TIME_PATTERN, _midnight, "00:00Z of the ex-date, such as 2003-02-18T00:00:00Z")]
Subject = Annotated[str, StringConstraints(pattern=SUBJECT_PATTERN), Field(description=EXPECTED[SUBJECT_PATTERN])]
Id = Annotated[str, StringConstraints(pattern=ID_PATTERN), Field(description=EXPECTED[ID_PATTERN])]
RunKey = Annotated[str, StringConstraints(pattern=RUN_PATTERN), Field(description=EXPECTED[RUN_PATTERN])]
Symbol = Annotated[str, StringConstraints(pattern=SYMBOL_PATTERN), Field(description=EXPECTED[SYMBOL_PATTERN])]
Currency = Annotated[str, StringConstraints(pattern=CURRENCY_PATTERN), Field(description=EXPECTED[CURRENCY_PATTERN])]
Interval = Annotated[str, StringConstraints(pattern=INTERVAL_PATTERN), Field(description=EXPECTED[INTERVAL_PATTERN])]
Text = Annotated[str, StringConstraints(max_length=TEXT_LENGTH), Field(description="text without NUL")]
Ratio = Annotated[int, Field(ge=1, le=1_000_000)]
Extension = Annotated[
    dict[str, JsonValue],
    Field(description=f"yours: up to {EXT_BYTES} bytes and {NESTING} levels, kept, never interpreted"),
]
