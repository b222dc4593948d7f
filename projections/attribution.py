"""Pure: what made a bot's worth, part by part, so that the change between two points can be told without remainder.

Every part is a sum over the facts that count at a point, each amount at the rate of its day; `price` is all that is
left of the worth, which is what prices and rates have done with what was held. So the change of each part between
two times is the sum of its changes in between.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from ledger.amounts import ONE, ZERO, exactly
from ledger.events import AdjustmentMade, CostBasis, Recorded, TradeExecuted
from projections.book import Flow, LotKey, OwnPrice
from projections.market import Market
from projections.rows import BotRow, WorthRow
from projections.standing import NEWEST
from projections.steps import Step, follow_costs, steps
from projections.worth import flow_value

PARTS = ("flows", "price", "trades", "fees", "dividends", "charges", "adjustments")
_OF_MOVEMENT = {"fee": "fees", "dividend": "dividends", "charge": "charges"}


@dataclass(slots=True)
class Attribution:
    """A bot's worth at a point and the parts that make it.

    Units: the base currency. `trades` is profit realised before fees. Shape: `facts` names the facts of each part
    by position; the parts add up to the worth.
    """

    worth: Decimal = ZERO
    parts: dict[str, Decimal] = field(default_factory=lambda: dict.fromkeys(PARTS, ZERO))
    facts: dict[str, dict[int, Decimal]] = field(default_factory=lambda: {part: {} for part in PARTS})


def attribute(
    bot: BotRow, worth: Sequence[WorthRow], facts: Sequence[Recorded], market: Market, cost_basis: CostBasis | None
) -> Attribution:
    """The parts of a bot's worth.

    Shape: `facts` stand, are in the total order, and hold the splits and dividends.
    """
    return exactly(lambda: _attributed(bot, worth, facts, market, cost_basis))


def without_fees(fact: Recorded) -> Recorded:
    """The same fact as if its trade had been free."""
    event = fact.event
    if not isinstance(event, TradeExecuted) or not event.fee:
        return fact
    free = event.model_copy(update={"fee": ZERO})
    return Recorded(fact.position, fact.subject, free, fact.recorded_at)


def _attributed(
    bot: BotRow, worth: Sequence[WorthRow], facts: Sequence[Recorded], market: Market, cost_basis: CostBasis | None
) -> Attribution:
    found = Attribution(bot.worth)
    tell = _Teller(found, market, bot.base_currency)
    flows = _Flows(tell, deque(row.date.toordinal() for row in worth))
    for step in steps(bot.name, facts, cost_basis):
        flows.value(before=step.fact.event.at.toordinal())
        flows.take(step)
        for movement in step.entries.movements:
            part = _OF_MOVEMENT.get(movement.kind)
            if part is not None:
                tell.add(part, step.fact, movement.currency, movement.amount)
    flows.value(before=NEWEST + 1)
    costs: dict[LotKey, Decimal] = {}
    for step in steps(bot.name, [without_fees(fact) for fact in facts], cost_basis):
        for match in step.entries.matches:
            tell.add("trades", step.fact, match.currency, match.profit)
        _tell_adjustment(tell, step, costs)
    found.parts["price"] = bot.worth - sum((found.parts[part] for part in PARTS if part != "price"), ZERO)
    return found


def _tell_adjustment(tell: _Teller, step: Step, costs: dict[LotKey, Decimal]) -> None:
    """What came or went without a trade: at cost, but where it is a flow; `costs` of open lots are carried on."""
    event = step.fact.event
    if not isinstance(event, AdjustmentMade):
        follow_costs(costs, step)
        return
    key = event.symbol, event.currency
    before = costs.get(key, ZERO)
    follow_costs(costs, step)
    if event.cost is None:
        tell.add("adjustments", step.fact, event.currency, costs[key] - before)


@dataclass(frozen=True, slots=True)
class _Teller:
    """Adds amounts to parts, each at the rate of its day; what has no rate then is left to `price`."""

    found: Attribution
    market: Market
    base: str

    def add(self, part: str, fact: Recorded, currency: str, amount: Decimal) -> None:
        if not amount:
            return
        rate = ONE
        if currency != self.base:
            known = self.market.rate(currency, self.base, fact.event.at.toordinal())
            if known is None:
                return
            rate = known.amount
        self.add_in_base(part, fact, amount * rate)

    def add_in_base(self, part: str, fact: Recorded, amount: Decimal) -> None:
        facts = self.found.facts[part]
        facts[fact.position] = facts.get(fact.position, ZERO) + amount
        self.found.parts[part] += amount


@dataclass(slots=True)
class _Flows:
    """What flowed in or out, told at the first day with a worth that can price it, as `WorthRow.net_flow` is."""

    tell: _Teller
    days: deque[int]
    waiting: list[tuple[Recorded, Flow]] = field(default_factory=list)
    own_prices: dict[str, OwnPrice] = field(default_factory=dict)

    def take(self, step: Step) -> None:
        self.waiting.extend((step.fact, flow) for flow in step.flows)
        if self.waiting:
            self.own_prices = dict(step.book.own_prices)

    def value(self, *, before: int) -> None:
        """Tell what waits on each day before this one that has a worth."""
        while self.days and self.days[0] < before:
            day, waiting, self.waiting = self.days.popleft(), self.waiting, []
            for fact, flow in waiting:
                amount = flow_value(flow, self.own_prices, self.tell.base, day, self.tell.market)
                if amount is None:
                    self.waiting.append((fact, flow))
                else:
                    self.tell.add_in_base("flows", fact, amount)
