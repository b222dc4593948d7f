"""The auditor's lots: in which order they are closed, what a piece of one costs, what a split makes of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction

from projections.audit.facts import ZERO, Identity, share


@dataclass
class Lot:
    """What is open of one fill; a short has a negative quantity and the negative of what it brought as cost."""

    opened_by: Identity
    opened_at: datetime
    quantity: Fraction
    cost: Fraction

    @property
    def is_long(self) -> bool:
        """A lot of nothing, which a split has left, goes by its cost."""
        return self.quantity > 0 or (self.quantity == 0 and self.cost >= 0)


def to_close(lots: Sequence[Lot], quantity: Fraction, cost_basis: str) -> tuple[list[tuple[Lot, Fraction]], Fraction]:
    """Which lots of the other sign a fill closes, each with how much of it, in order; and what is left to open."""
    closed: list[tuple[Lot, Fraction]] = []
    left = abs(quantity)
    for lot in closing_order(lots, 1 if quantity > 0 else -1, cost_basis):
        if left > 0:
            piece = min(left, abs(lot.quantity))
            closed.append((lot, piece))
            left -= piece
    return closed, left


def closing_order(lots: Sequence[Lot], sign: int, cost_basis: str) -> list[Lot]:
    """The lots that a fill of this sign can close, in the order in which it does."""
    others = [lot for lot in lots if lot.quantity.numerator * sign <= 0]
    if len(others) == 1:
        return others
    match cost_basis:
        case "lifo":
            return others[::-1]
        case "hifo":
            # A sell (sign −1) closes the highest cost a unit first, a buy the lowest proceeds; ties: oldest first.
            return sorted(others, key=lambda lot: sign * lot.cost / lot.quantity)
        case _:
            return others


def by_quantity(total: Fraction, pieces: Sequence[Fraction], whole: Fraction) -> list[Fraction]:
    """A fee or a stated cost shared by quantity; the last piece takes the rest."""
    shares = [share(total, piece, whole) for piece in pieces[:-1]]
    return [*shares, total - sum(shares, ZERO)]


def take(lot: Lot, piece: Fraction) -> Fraction:
    """Take a piece out of a lot; the part of the lot's cost that goes with it."""
    whole = abs(lot.quantity)
    cost = lot.cost if piece == whole else share(lot.cost, piece, whole)
    lot.quantity -= piece if lot.quantity > 0 else -piece
    lot.cost -= cost
    return cost


def add(lots: list[Lot], lot: Lot, cost_basis: str) -> None:
    """Add a lot, or with `average` add it to the pool of its sign."""
    if cost_basis == "average":
        for pool in lots:
            if pool.quantity * lot.quantity > 0:
                pool.quantity += lot.quantity
                pool.cost += lot.cost
                return
    lots.append(lot)


def split_lots(lots: list[Lot], new: int, old: int) -> None:
    """Let a split change the lots of one symbol and currency."""
    quantities = split_quantities([lot.quantity for lot in lots], new, old)
    for lot, quantity in zip(lots, quantities, strict=True):
        lot.quantity = quantity
    lots[:] = without_empty(lots)


def without_empty(lots: list[Lot]) -> list[Lot]:
    """A lot that became nothing gives its cost to the next lot, the last ones to the one before; one is left."""
    kept: list[Lot] = []
    cost = ZERO
    for lot in lots:
        if lot.quantity == 0:
            cost += lot.cost
        else:
            lot.cost += cost
            cost = ZERO
            kept.append(lot)
    if not kept:
        kept = [lots[0]]
        kept[0].cost = ZERO
    kept[-1].cost += cost
    return kept


def split_quantities(quantities: list[Fraction], new: int, old: int) -> list[Fraction]:
    """Each lot's share of the split; the last takes the rest of the sum, or, if that turns its sign, one before it."""
    total = share(sum(quantities, ZERO), new, old)
    result = [share(quantity, new, old) for quantity in quantities]
    for last in reversed(range(len(quantities))):
        rest = total - sum(result[:last], ZERO)
        result[last] = rest
        if rest * quantities[last] >= 0:
            break
        result[last] = ZERO
    return result
