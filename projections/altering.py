"""Pure: facts as they would read at another fee or another price: what a what-if folds instead of what was recorded.

Fills are replayed, not decisions: a bot that had paid more would perhaps have done something else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from decimal import Decimal

from ledger.amounts import ONE, canonical, exact, product, share
from ledger.events import Recorded, TradeExecuted

Transform = Callable[[Recorded], Recorded | None]
"""What somebody supposes of a fact: another one in its place, or none."""

_BASIS_POINT = Decimal("0.0001")


def fees_at(rate: Decimal) -> Transform:
    """Trades whose fee is quantity × price × rate, in the currency of the trade, whatever it was.

    Units: `rate` is a part of the traded value: 0.001 is 0.1%.
    Shape: the fee is rounded half-even to 30 decimals.
    """

    def altered(fact: Recorded) -> Recorded:
        event = fact.event
        if not isinstance(event, TradeExecuted):
            return fact
        fee = canonical(share(product(event.quantity, event.price), rate, ONE))
        return replace(fact, event=event.model_copy(update={"fee": fee, "fee_currency": None}))

    return altered


def slipped_by(basis_points: Decimal) -> Transform:
    """Trades at their reference price, less what slips: bought so much dearer, sold so much cheaper; exact.

    Shape: a trade without a reference price stays as it is; `without_reference` finds those, to be refused first.
    """
    with exact():
        slipping = basis_points * _BASIS_POINT
        factors = {"buy": ONE + slipping, "sell": ONE - slipping}

    def altered(fact: Recorded) -> Recorded:
        event = fact.event
        if not isinstance(event, TradeExecuted) or event.reference_price is None:
            return fact
        price = canonical(product(event.reference_price, factors[event.side]))
        return replace(fact, event=event.model_copy(update={"price": price}))

    return altered


def one_after_the_other(*transforms: Transform) -> Transform:
    """What all of these make of a fact, each of what the one before has left; without any it stays as it is."""

    def altered(fact: Recorded) -> Recorded | None:
        found: Recorded | None = fact
        for transform in transforms:
            if found is not None:
                found = transform(found)
        return found

    return altered


def without_reference(facts: Iterable[Recorded]) -> list[Recorded]:
    """The trades that do not say at what price they were decided, in the order of the facts."""
    return [fact for fact in facts if isinstance(fact.event, TradeExecuted) and fact.event.reference_price is None]
