"""Pure: lots and amounts as beancount keeps them, in its own arithmetic.

beancount keeps what one unit of a lot costs, and rounds that, every product and every sum to 28 digits. The same is
done here, so that it is known of each transaction what beancount will make of it.
"""

from __future__ import annotations

import decimal
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import NamedTuple

from ledger.amounts import ZERO, plain
from projections.beancount_names import commodity
from projections.lots import Lot

DIGITS = 28
PLACES = 20
"""Decimals of an amount of money: more would only show how beancount rounds."""
SHOWN = 2
"""Decimals that an amount of money has at least: one without any would leave beancount no tolerance at all."""
_ARITHMETIC = decimal.Context(prec=DIGITS, rounding=decimal.ROUND_HALF_EVEN)
_HALF = Decimal("0.5")


class Posting(NamedTuple):
    """A line of a transaction: `amount` as it is written, `weight` what it adds to the balance of `currency`.

    `places` are the decimals from which beancount infers a tolerance (0: none); `symbol` is what a lot is of.
    """

    account: str
    amount: str
    weight: Decimal
    currency: str
    places: int = 0
    symbol: str | None = None


class Drawer(NamedTuple):
    """Where the lots of one (symbol, currency) are kept: long and short ones apart.

    In one account beancount would take what opens a lot for what closes one of the other direction.
    """

    symbol: str
    currency: str
    long: str
    short: str

    def account(self, quantity: Decimal) -> str:
        """The account of a lot with this quantity."""
        return self.short if quantity < 0 else self.long


class HeldLot(NamedTuple):
    """A lot of the books as beancount keeps it: the quantity in at most 28 digits, and what a unit costs.

    `is_bare`: it costs nothing there, its cost is carried beside it. beancount has no cost below zero a unit (a rebate
    above the price, a short that brought less than its fee), nor a lot of nothing (what a split has rounded away).
    """

    lot: Lot
    quantity: Decimal
    unit: Decimal
    is_bare: bool


def held(lot: Lot) -> HeldLot:
    """A lot as beancount keeps it once it is opened."""
    quantity = _ARITHMETIC.plus(lot.quantity)
    if not quantity or lot.cost * quantity < 0:
        return HeldLot(lot, quantity, ZERO, is_bare=True)
    return HeldLot(lot, quantity, _ARITHMETIC.divide(_total(lot), abs(quantity)), is_bare=False)


def reduced(before: HeldLot, lot: Lot) -> HeldLot:
    """What is held once part of a lot is closed; `lot` is what the books then have of it.

    Shape: rounded so that what is left never needs more digits than beancount has.
    """
    closed = before.lot.quantity - lot.quantity
    places = DIGITS - 1 - before.quantity.adjusted()
    if _places(closed) > places:
        closed = closed.quantize(Decimal(1).scaleb(-places), decimal.ROUND_HALF_EVEN)
    part = closed if abs(closed) < abs(before.quantity) else before.quantity
    return before._replace(lot=lot, quantity=before.quantity - part)


def opening(drawer: Drawer, lot: HeldLot, *, price: str) -> Iterator[Posting]:
    """The line that opens a lot, with its whole cost; `price` is what is written behind it."""
    cost = ZERO if lot.is_bare else _total(lot.lot)
    yield from _line(drawer, lot, lot.quantity, f"{{{{{_shown(cost)} {_named(drawer, lot)}}}}}", price)


def closing(drawer: Drawer, lot: HeldLot, *, left: Decimal, price: str) -> Iterator[Posting]:
    """The line that closes a lot up to what is left of it; its label says which, and beancount knows the cost."""
    yield from _line(drawer, lot, left - lot.quantity, f"{{{_named(drawer, lot)}}}", price)


def money(account: str, amount: Decimal, currency: str) -> Iterator[Posting]:
    """The line that moves money; none where there is nothing to move."""
    shown = amount.quantize(Decimal(1).scaleb(-PLACES)) if _places(amount) > PLACES else amount
    if shown:
        yield _money(account, _ARITHMETIC.plus(shown), commodity(currency))


def balanced(postings: Sequence[Posting], account: str) -> Sequence[Posting]:
    """These lines as beancount finds that they balance: what its digits lose goes to an account, to the last one."""
    return (*postings, *(_money(account, -lost, name) for name, lost in _losses(postings).items()))


def _losses(postings: Sequence[Posting]) -> dict[str, Decimal]:
    """By commodity, the sums of these lines that beancount would not tolerate."""
    sums: dict[str, Decimal] = {}
    places: dict[str, int] = {}
    for posting in postings:
        name = posting.currency
        sums[name] = _ARITHMETIC.add(sums.get(name, ZERO), posting.weight)
        if posting.places:
            places[name] = min(places.get(name, posting.places), posting.places)
    return {name: total for name, total in sums.items() if abs(total) > _tolerance(places.get(name, 0))}


def _tolerance(places: int) -> Decimal:
    """Half of the last digit of the roughest amount; nothing where there is none with decimals."""
    return _HALF.scaleb(-places) if places else ZERO


def _money(account: str, amount: Decimal, name: str) -> Posting:
    shown = _shown(amount)
    return Posting(account, f"{shown} {name}", amount, name, len(shown.partition(".")[2]))


def _shown(amount: Decimal) -> str:
    whole, _, decimals = plain(amount).partition(".")
    return f"{whole}.{decimals.ljust(SHOWN, '0')}"


def _line(drawer: Drawer, lot: HeldLot, units: Decimal, cost: str, price: str) -> Iterator[Posting]:
    if units:
        amount = f"{plain(units)} {commodity(drawer.symbol)} {cost}{price}"
        weight = _ARITHMETIC.multiply(lot.unit, units)
        account = drawer.account(lot.quantity)
        yield Posting(account, amount, weight, commodity(drawer.currency), symbol=drawer.symbol)


def _named(drawer: Drawer, lot: HeldLot) -> str:
    """What tells a lot from all others: the day on which it was opened, and the fact that opened it."""
    return f'{commodity(drawer.currency)}, {lot.lot.opened_at.date().isoformat()}, "{lot.lot.opened_by}"'


def _total(lot: Lot) -> Decimal:
    return _ARITHMETIC.plus(abs(lot.cost))


def _places(amount: Decimal) -> int:
    exponent = amount.as_tuple().exponent
    assert isinstance(exponent, int)
    return -exponent
