"""What made the worth of a bot change between two points: the parts of the change, each with its facts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from operator import sub

from sqlalchemy.orm import Session

from ledger.amounts import ZERO, exactly
from ledger.errors import LedgerError
from ledger.events import FactVoided, Recorded
from ledger.fields import interval_length
from ledger.market_events import BarsPublished
from ledger.reading import find_fact
from projections.attribution import PARTS, Attribution, attribute
from projections.book import traded
from projections.commons import BOTS
from projections.days import bar_end
from projections.history import History, View
from projections.pairs import pairs
from projections.points import Moment
from projections.sources import common_facts


@dataclass(frozen=True, slots=True)
class Change:
    """One part of a change of worth, with its facts; `amounts` tells what each has contributed, by position."""

    part: str
    before: Decimal
    after: Decimal
    facts: tuple[Recorded, ...]
    amounts: dict[int, Decimal]

    @property
    def change(self) -> Decimal:
        """By how much the worth changed through it."""
        return exactly(lambda: self.after - self.before)


def changes_of(before: History, learned: History, after: History, bot: str) -> list[Change]:
    """The parts of a change of worth, the total last: `learned` is the first time as it is known at the second.

    Raises: UnknownName where the bot is not there at the second point.
    """
    last = after.view(bot)
    first, same_time = before.find(bot), learned.find(bot)
    bases = {view.bot.base_currency for view in (first, same_time, last) if view is not None}
    if len(bases) > 1:
        raise LedgerError(f"{bot} counts in {' and '.join(sorted(bases))} at these points: look at each of them")
    start, began, end = _attribution(first), _attribution(same_time), _attribution(last)
    found = [_part(part, began, end, same_time, last) for part in PARTS]
    found.append(_corrections(before, after, start, began, first, same_time))
    total = Change("total", start.worth, end.worth, (), {})
    assert exactly(lambda: sum((change.change for change in found), ZERO)) == total.change
    return [*found, total]


def _attribution(view: View | None) -> Attribution:
    """The parts of the worth; all of them zero where the bot was not there yet."""
    if view is None:
        return Attribution()
    return attribute(view.bot, view.rows.worth, view.facts, view.market, view.cost_basis)


def _part(part: str, began: Attribution, end: Attribution, first: View | None, last: View) -> Change:
    """One part, with the facts that only one of the two points has."""
    known = {} if first is None else {fact.position: fact for fact in first.facts}
    facts = known | {fact.position: fact for fact in last.facts}
    amounts: dict[int, Decimal] = {}
    for position in began.facts[part].keys() | end.facts[part].keys():
        was, now = began.facts[part].get(position, ZERO), end.facts[part].get(position, ZERO)
        if was != now:
            amounts[position] = now if not was else exactly(partial(sub, now, was))
    told = sorted((facts[position] for position in amounts), key=lambda fact: fact.order)
    return Change(part, began.parts[part], end.parts[part], tuple(told), amounts)


def _corrections(
    before: History, after: History, start: Attribution, began: Attribution, first: View | None, same: View | None
) -> Change:
    """What was learned between the two times about the time before: late facts, voids, prices told again."""
    facts = () if before.point.position == after.point.position else tuple(_learned(before, after, first, same))
    return Change("corrections", start.worth, began.worth, facts, {})


def _learned(before: History, after: History, first: View | None, same: View | None) -> Iterator[Recorded]:
    low, high = sorted((before.point.position, after.point.position))
    known_more = before if before.point.position > after.point.position else after
    view = same or first
    if view is None:
        return
    symbols = _symbols(view)
    own = {fact.position: fact for fact in known_more.own(view.name) if fact.position > low}
    common = {fact.position: fact for fact in common_facts(known_more.session, after=low, through=high)}
    for position, fact in sorted((common | own).items()):
        about = _about(known_more.session, fact)
        if about is None or about.position > high or not _is_by(about, before.point.as_of):
            continue
        if position in own or (not about.subject.startswith(BOTS) and getattr(about.event, "symbol", None) in symbols):
            yield fact


def _about(session: Session, fact: Recorded) -> Recorded | None:
    """The fact that it is about: what a void names, where that is recorded; of any other fact itself."""
    if not isinstance(fact.event, FactVoided):
        return fact
    return find_fact(session, fact.event.subject, fact.event.target)


def _is_by(fact: Recorded, moment: Moment | None) -> bool:
    """Whether a fact counts as of a moment: of bars, whether any has ended by then."""
    if moment is None:
        return True
    event = fact.event
    if not isinstance(event, BarsPublished):
        return event.at < moment.facts_before
    length = interval_length(event.interval)
    return length is not None and any(bar_end(bar.start, length) <= moment.bars_by for bar in event.bars)


def _symbols(view: View) -> set[str]:
    """What the bot holds or has held, and the pairs of its currencies."""
    symbols = traded(view.facts)
    currencies = {row.currency for row in view.rows.movements}
    currencies.update(currency for symbol in symbols for currency in view.market.currencies(symbol))
    return symbols.union(*(pairs(currency, view.bot.base_currency) for currency in currencies))
