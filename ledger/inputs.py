"""What a bot may give for an amount or a moment, as the text that a message carries."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Literal, TypedDict, Unpack

from ledger.amounts import plain
from ledger.errors import Refused
from ledger.fields import TEXT_LENGTH, format_time

AmountInput = Decimal | int | float | str
TimeInput = datetime | str


class TradeDetails(TypedDict, total=False):
    """What a trade may say beyond symbol, quantity, price and fee; `reference_price` in `currency`, a unit."""

    currency: str | None
    fee_currency: str | None
    reference_price: AmountInput | None
    order: str | None
    note: str | None


_LARGEST_EXPONENT = 1_000
_SURROGATE = re.compile(r"[\x00\ud800-\udfff]")


def amount_text(value: object, field: str) -> str:
    """The decimal text of a Decimal, an int, decimal text as it is, or a float by its shortest decimal form.

    Shape: also numbers of NumPy and the like, by the text that they print.

    Raises: Refused for NaN, an infinity, or what is no number.
    """
    match value:
        case bool() | None:
            raise Refused(field, f"is {value!r}; give a Decimal, an int, a float or decimal text", reason="amount")
        case str():
            return value
        case Decimal():
            return _plain(value, field)
        case float():
            return _plain(Decimal(float.__repr__(value)), field)
    try:
        return _plain(Decimal(str(value)), field)
    except (InvalidOperation, ValueError) as error:  # int() refuses more than 4,300 digits
        raise Refused(field, f"is {type(value).__name__}, which is no number that could be taken") from error


def moment_text(value: TimeInput, field: str = "at") -> str:
    """The RFC 3339 text of an aware datetime; text as it is.

    Raises: Refused for a naive datetime, or what is no datetime.
    """
    if isinstance(value, str):
        return value
    if not isinstance(value, datetime):
        raise Refused(field, f"is {value!r:.60}; give a datetime with an offset, or text such as 2026-01-05T15:30:00Z")
    if value.tzinfo is None:
        raise Refused(field, f"is {value.isoformat()}, without an offset: say which zone, such as tzinfo=UTC")
    try:
        return format_time(value)
    except OverflowError as error:
        raise Refused(field, f"is {value.isoformat()}, outside the years 1 to 9999 once in UTC") from error


def midnight_text(value: date | str, field: str = "date") -> str:
    """00:00Z of a date, given as a date, a datetime (its own local date counts) or ISO text.

    Raises: Refused where it is no date.
    """
    try:
        day = date.fromisoformat(value) if isinstance(value, str) else value
    except ValueError as error:
        raise Refused(field, f"is {value!r}; give a date such as 2003-02-18") from error
    if not isinstance(day, date):
        raise Refused(field, f"is {day!r:.60}; give a date such as 2003-02-18")
    return format_time(datetime(day.year, day.month, day.day, tzinfo=UTC))


def short_text(value: object) -> str:
    """Any text in the bounds of a message's text: no NUL, no lone surrogate, cut where it is too long."""
    return _SURROGATE.sub("\ufffd", str(value))[:TEXT_LENGTH]


def trade_fields(
    side: Literal["buy", "sell"],
    symbol: str,
    quantity: AmountInput,
    *,
    price: AmountInput,
    fee: AmountInput,
    **more: Unpack[TradeDetails],
) -> dict[str, object]:
    """The fields of a trade, amounts as text; `id`, `at` and `run` aside."""
    unknown = more.keys() - TradeDetails.__annotations__.keys()
    if unknown:
        raise TypeError(f"a trade has no {', '.join(sorted(unknown))}")
    reference = more.get("reference_price")
    return {
        **more,
        "type": "trade",
        "symbol": symbol,
        "side": side,
        "quantity": amount_text(quantity, "quantity"),
        "price": amount_text(price, "price"),
        "fee": amount_text(fee, "fee"),
        "reference_price": None if reference is None else amount_text(reference, "reference_price"),
    }


def charge_fields(amount: AmountInput, *, reason: str, currency: str | None) -> dict[str, object]:
    """The fields of a charge; `id`, `at` and `run` aside."""
    return {"type": "charge", "amount": amount_text(amount, "amount"), "reason": reason, "currency": currency}


def _plain(value: Decimal, field: str) -> str:
    if not value.is_finite():
        raise Refused(field, f"is {value}, which is no amount", reason="amount")
    if value and abs(value.adjusted()) > _LARGEST_EXPONENT:
        raise Refused(field, f"is {value:.3e}, far beyond the 20 digits and 30 decimals of an amount", reason="amount")
    return plain(value) if value else "0"
