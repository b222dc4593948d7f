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
    """An exact number between two others; `means` says what it stands for."""

    name = "number"

    def __init__(self, least: Decimal, most: Decimal, means: str) -> None:
        self._least = least
        self._most = most
        self._means = means

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> Decimal:
        """The number, or a usage error that says what it means."""
        try:
            found = value if isinstance(value, Decimal) else parse_amount(value)
        except ValueError:
            found = None
        if found is None or not self._least <= found <= self._most:
            self.fail(f"{value!r} is no number from {self._least} to {self._most}: {self._means}", parameter, context)
        return found


class CurrencyType(click.ParamType[str]):
    """A currency's code."""

    name = "currency"

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> str:
        """The code, or a usage error that says what to write."""
        if not _CURRENCY.match(value):
            self.fail(f"{value!r} is not {EXPECTED[CURRENCY_PATTERN]}", parameter, context)
        return str(value)
