"""Pure: match one fill against open lots.

Quantities and costs are signed: a long lot of 3 at 100 with a fee of 1 has quantity 3 and cost 301, a short
one quantity −3 and cost −299 (what it brought, negative). So quantity × price + fee is the cost of any fill.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from ledger.amounts import ZERO, share
from ledger.events import CostBasis


class Lot(NamedTuple):
    """What is still open of one fill."""

    opened_by: int
    opened_at: datetime
    quantity: Decimal
    cost: Decimal


class LotMatch(NamedTuple):
    """The part of a lot that a fill closed: `quantity` above zero, profit = proceeds − cost."""

    opened_by: int
    quantity: Decimal
    proceeds: Decimal
    cost: Decimal
    profit: Decimal


class Fill(NamedTuple):
    """A signed quantity at a price, taken from a trade; `fee` only where it is in the trade's currency."""

    position: int
    at: datetime
    quantity: Decimal
    price: Decimal
    fee: Decimal


def apply_fill(lots: list[Lot], fill: Fill, method: CostBasis, *, at_cost: bool = False) -> list[LotMatch]:
    """Close lots of the other direction, oldest, newest or dearest first, and open what is left; changes `lots`.

    Shape: one match for each lot that is closed, in order. The fee is shared by quantity over what the fill
    closes and opens; a lot's cost by the part that is closed; the last piece takes the rest of each.
    `at_cost` is for units that came or went without a trade: what is closed leaves at cost, without profit.
    """
    remaining, fee_left = fill.quantity, fill.fee
    matches: list[LotMatch] = []
    if _closes(lots, fill):
        while lots and remaining:
            place = _next(lots, method)
            lot = lots[place]
            whole = abs(lot.quantity) <= abs(remaining)
            closed = lot.quantity if whole else -remaining
            remaining += closed
            fee = share(fill.fee, abs(closed), abs(fill.quantity)) if remaining else fee_left
            fee_left -= fee
            cost = lot.cost if whole else share(lot.cost, closed, lot.quantity)
            value = cost if at_cost else closed * fill.price - fee
            matches.append(_match(lot, closed=closed, cost=cost, value=value))
            if whole:
                del lots[place]
            else:
                lots[place] = Lot(lot.opened_by, lot.opened_at, lot.quantity - closed, lot.cost - cost)
    if remaining:
        _open(lots, Lot(fill.position, fill.at, remaining, remaining * fill.price + fee_left), method)
    return matches


def apply_split(lots: list[Lot], *, new: int, old: int) -> None:
    """`new` units for `old` ones at the same cost; changes `lots`.

    The sum of the lots is rounded once, so that it is the same whatever the lots are; the last lot takes the
    difference. Where that would turn its sign it becomes zero, and the lot before it takes what is left. A lot
    that is rounded to nothing gives its cost to the next one; where nothing is left at all, one lot of nothing
    keeps the cost until the next fill realises it.
    """
    if not lots:
        return
    ratio_new, ratio_old = Decimal(new), Decimal(old)
    total = sum((lot.quantity for lot in lots), ZERO)
    quantities = [share(lot.quantity, ratio_new, ratio_old) for lot in lots]
    difference = share(total, ratio_new, ratio_old) - sum(quantities, ZERO)
    for place in range(len(lots) - 1, -1, -1):
        taken = quantities[place] + difference
        turned = taken * lots[place].quantity < ZERO and place > 0
        quantities[place], difference = (ZERO, taken) if turned else (taken, ZERO)
        if not difference:
            break
    lots[:] = _without_empty(lots, quantities)


def _without_empty(lots: list[Lot], quantities: list[Decimal]) -> list[Lot]:
    kept: list[Lot] = []
    cost = ZERO
    for lot, quantity in zip(lots, quantities, strict=True):
        if quantity:
            kept.append(lot._replace(quantity=quantity, cost=lot.cost + cost))
            cost = ZERO
        else:
            cost += lot.cost
    if not kept:
        return [lots[0]._replace(quantity=ZERO, cost=cost)]
    kept[-1] = kept[-1]._replace(cost=kept[-1].cost + cost)
    return kept


def _closes(lots: list[Lot], fill: Fill) -> bool:
    """Whether the open lots are of the other direction (one that a split rounded to nothing goes with any fill)."""
    return bool(lots) and (not lots[0].quantity or (lots[0].quantity > 0) != (fill.quantity > 0))


def _next(lots: list[Lot], method: CostBasis) -> int:
    """The place of the lot to close next; ties go to the oldest."""
    match method:
        case "fifo" | "average":
            return 0
        case "lifo":
            return len(lots) - 1
        case "hifo":
            best = 0
            for place in range(1, len(lots)):
                if _goes_before(lots[place], lots[best]):
                    best = place
            return best


def _goes_before(lot: Lot, other: Lot) -> bool:
    """Higher cost a unit, for a short lower proceeds a unit: signed cost compared over the same quantity."""
    return lot.cost * abs(other.quantity) > other.cost * abs(lot.quantity)


def _match(lot: Lot, *, closed: Decimal, cost: Decimal, value: Decimal) -> LotMatch:
    """`value` is closed × price − fee, signed as the lot: what a sale brings, or minus what covering costs."""
    profit = value - cost
    if closed < 0 or (not closed and cost < 0):
        return LotMatch(lot.opened_by, abs(closed), -cost, -value, profit)
    return LotMatch(lot.opened_by, closed, value, cost, profit)


def _open(lots: list[Lot], lot: Lot, method: CostBasis) -> None:
    if method == "average" and lots:
        pool = lots[0]
        lots[0] = pool._replace(quantity=pool.quantity + lot.quantity, cost=pool.cost + lot.cost)
    else:
        lots.append(lot)
