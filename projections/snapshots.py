"""Pure: a book at the beginning of a day as text, so that folding can begin there: a cache, never the truth.

A snapshot holds everything dated before its day. It goes with any change before that day, and can always be
thrown away: the facts alone decide.
"""

from __future__ import annotations

import json
from datetime import datetime
from decimal import Decimal
from typing import Any

from ledger.amounts import plain
from ledger.events import Recorded
from ledger.fields import format_time, parse_time
from projections.book import Book, BookDay, Flow, OwnPrice, Seen
from projections.lots import Lot
from projections.worth import Carry

FACTS_A_SNAPSHOT = 256
"""After so many facts the next day begins with a snapshot."""


def write_snapshot(book: Book, carry: Carry) -> str:
    """The book and where its valuing goes on, as text."""
    assert book.applied is not None
    at, rank, id_, subject = book.applied
    fields = {
        "registration": None if book.registration is None else book.registration.position,
        "description": book.description,
        "cash": _amounts(book.cash),
        "lots": [
            [*key, [[lot.opened_by, format_time(lot.opened_at), plain(lot.quantity), plain(lot.cost)] for lot in lots]]
            for key, lots in book.lots.items()
        ],
        "holdings": _amounts(book.holdings),
        "own_prices": _own_prices(book.own_prices),
        "realised": _amounts(book.realised),
        "fees": _amounts(book.fees),
        "first": _seen(book.first),
        "last": _seen(book.last),
        "applied": [format_time(at), rank, id_, subject],
        "carry": {
            "day": carry.day,
            "state": {
                "day": carry.state.day,
                "cash": _amounts(carry.state.cash),
                "holdings": _amounts(carry.state.holdings),
                "own_prices": _own_prices(carry.state.own_prices),
            },
            "pending": [_flow(flow) for flow in carry.pending],
            "unpriced": sorted(carry.unpriced),
        },
    }
    return json.dumps(fields, separators=(",", ":"))


def registered_at(text: str) -> int | None:
    """The position of the registration that counts in a snapshot."""
    found: int | None = json.loads(text)["registration"]
    return found


def read_snapshot(name: str, text: str, registration: Recorded | None) -> tuple[Book, Carry]:
    """The book and where its valuing goes on, as `write_snapshot` has written them."""
    fields = json.loads(text)
    return _read_book(name, fields, registration), _read_carry(fields["carry"])


def read_book(name: str, text: str, registration: Recorded | None) -> Book:
    """The book alone."""
    return _read_book(name, json.loads(text), registration)


def _read_book(name: str, fields: dict[str, Any], registration: Recorded | None) -> Book:
    at, rank, id_, subject = fields["applied"]
    return Book(
        name,
        registration=registration,
        description=fields["description"],
        cash=_read_amounts(fields["cash"]),
        lots={(symbol, currency): [_lot(lot) for lot in lots] for symbol, currency, lots in fields["lots"]},
        holdings=_read_amounts(fields["holdings"]),
        own_prices=_read_own_prices(fields["own_prices"]),
        realised=_read_amounts(fields["realised"]),
        fees=_read_amounts(fields["fees"]),
        first=_read_seen(fields["first"]),
        last=_read_seen(fields["last"]),
        applied=(parse_time(at), rank, id_, subject),
    )


def _read_carry(carry: dict[str, Any]) -> Carry:
    state = carry["state"]
    return Carry(
        day=carry["day"],
        state=BookDay(
            state["day"],
            _read_amounts(state["cash"]),
            _read_amounts(state["holdings"]),
            _read_own_prices(state["own_prices"]),
            (),
        ),
        pending=tuple(
            Flow(name, Decimal(quantity), parse_time(at), is_cash) for name, quantity, at, is_cash in carry["pending"]
        ),
        unpriced=frozenset(carry["unpriced"]),
    )


def _lot(lot: list[Any]) -> Lot:
    opened_by, opened_at, quantity, cost = lot
    return Lot(opened_by, datetime.fromisoformat(opened_at), Decimal(quantity), Decimal(cost))


def _flow(flow: Flow) -> list[Any]:
    return [flow.name, plain(flow.quantity), format_time(flow.at), flow.is_cash]


def _amounts(amounts: dict[str, Decimal]) -> dict[str, str]:
    return {name: plain(amount) for name, amount in amounts.items()}


def _read_amounts(amounts: dict[str, str]) -> dict[str, Decimal]:
    return {name: Decimal(text) for name, text in amounts.items()}


def _own_prices(prices: dict[str, OwnPrice]) -> dict[str, list[str]]:
    return {symbol: [format_time(price.at), plain(price.amount), price.currency] for symbol, price in prices.items()}


def _read_own_prices(prices: dict[str, list[str]]) -> dict[str, OwnPrice]:
    return {
        symbol: OwnPrice(datetime.fromisoformat(at), Decimal(amount), currency)
        for symbol, (at, amount, currency) in prices.items()
    }


def _seen(seen: Seen | None) -> list[Any] | None:
    return None if seen is None else [seen.position, format_time(seen.at)]


def _read_seen(seen: list[Any] | None) -> Seen | None:
    return None if seen is None else Seen(seen[0], parse_time(seen[1]))
