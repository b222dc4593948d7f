"""The facts of the market: prices, splits, dividends."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal, NamedTuple, Self

from pydantic import FailFast, Field, model_validator

from ledger.amounts import plain
from ledger.envelope import Envelope, between_fields
from ledger.fields import (
    BARS_IN_A_MESSAGE,
    Amount,
    AsList,
    Currency,
    Interval,
    Midnight,
    NotNegative,
    Ratio,
    Symbol,
    Time,
    format_time,
    is_midnight,
)


class Bar(NamedTuple):
    """Prices of one interval of time, in the currency of its message."""

    start: Time
    open: Amount
    high: Amount
    low: Amount
    close: Amount
    volume: NotNegative


class BarsPublished(Envelope):
    """Prices of one symbol; `adjusted_through`: up to when splits are already in them."""

    kinds = ("market",)
    rank = 2

    type: Literal["bars"]
    symbol: Symbol
    interval: Interval
    currency: Currency = "USD"
    bars: Annotated[tuple[Annotated[Bar, AsList(Bar)], ...], FailFast()] = Field(
        min_length=1, max_length=BARS_IN_A_MESSAGE
    )
    adjusted_through: Time | None = None

    @model_validator(mode="after")
    def _bars_are_well_formed(self) -> Self:
        before: datetime | None = None
        for number, bar in enumerate(self.bars):
            if before is not None and bar.start <= before:
                raise between_fields(
                    f"bars.{number}.start",
                    f"is {format_time(bar.start)}; it must be after the bar before, {format_time(before)}",
                )
            if bar.high < bar.low:
                raise between_fields(
                    f"bars.{number}.high", f"is {plain(bar.high)}; it must not be below low {plain(bar.low)}"
                )
            if self.interval == "1d" and not is_midnight(bar.start):
                raise between_fields(
                    f"bars.{number}.start",
                    f"is {format_time(bar.start)}; a 1d bar must start at 00:00Z of its trading day "
                    "(ledger.publisher.Feed converts)",
                )
            before = bar.start
        return self


class SharesSplit(Envelope):
    """`new` shares for `old` ones, for every holder, at 00:00Z of the ex-date."""

    kinds = ("actions",)
    rank = 0

    at: Midnight
    type: Literal["split"]
    symbol: Symbol
    new: Ratio
    old: Ratio


class DividendDeclared(Envelope):
    """Cash for each share held just before 00:00Z of the ex-date."""

    kinds = ("actions",)
    rank = 1

    at: Midnight
    type: Literal["dividend"]
    symbol: Symbol
    per_share: NotNegative
    currency: Currency = "USD"
