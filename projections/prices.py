"""Pure: what a market tells of a day: a price, what it is in another currency, a rate."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import NamedTuple


class Price(NamedTuple):
    """What one unit is worth at the end of a day, in shares of that day; `day` is that of the bar behind it."""

    amount: Decimal
    currency: str
    at: datetime
    day: int


class Mark(NamedTuple):
    """What one unit is worth in a base currency at the end of a day; `value` is None where no rate is known.

    `price` is in its own currency, `day` that of the newest bar behind it, 0 where there is none; `told_day` that of
    the newest bar of the price or its rate, also where it is no rate.
    """

    value: Decimal | None
    price: Decimal
    currency: str
    price_at: datetime
    oldest_at: datetime
    day: int
    told_day: int


class Rate(NamedTuple):
    """How much of the base currency one unit of another is, at the end of a day.

    `told_day` is that of the newest close of the pairs, later than `day` where that is a zero, which is no rate.
    """

    amount: Decimal
    at: datetime
    day: int
    told_day: int
