"""Values on the command line that are more than text: exact numbers and currencies."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import click

from ledger.amounts import parse_amount
from ledger.fields import CURRENCY_PATTERN, EXPECTED

_CURRENCY = re.compile(CURRENCY_PATTERN[:-1] + r"\Z")


class NumberType(click.ParamType[Decimal]):
    """An exact number, between two others where these are given; `means` says what it stands for."""

    name = "number"

    def __init__(self, means: str, *, least: Decimal | None = None, most: Decimal | None = None) -> None:
        self._means = means
        self._least = least
        self._most = most

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> Decimal:
        """The number, or a usage error that says what it means."""
        try:
            found = value if isinstance(value, Decimal) else parse_amount(value)
        except ValueError:
            found = None
        too_small = found is not None and self._least is not None and found < self._least
        too_large = found is not None and self._most is not None and found > self._most
        if found is None or too_small or too_large:
            bounds = "" if self._least is None else f" from {self._least} to {self._most}"
            self.fail(f"{value!r} is no number{bounds}: {self._means}", parameter, context)
        return found


class CurrencyType(click.ParamType[str]):
    """A currency's code."""

    name = "currency"

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> str:
        """The code, or a usage error that says what to write."""
        if not _CURRENCY.match(value):
            self.fail(f"{value!r} is not {EXPECTED[CURRENCY_PATTERN]}", parameter, context)
        return str(value)
