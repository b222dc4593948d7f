"""What made the worth of a bot change between two points: `diff`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from operator import sub

import click
from sqlalchemy.orm import Session

from ledger.amounts import ZERO, exactly, plain
from ledger.commands.books import reading_log
from ledger.commands.columns import Column
from ledger.commands.options import json_flag, with_settings
from ledger.commands.output import show
from ledger.commands.points import MomentType
from ledger.errors import LedgerError
from ledger.events import FactVoided, Recorded
from ledger.fields import format_time, interval_length
from ledger.market_events import BarsPublished
from ledger.reading import find_fact
from ledger.settings import Settings
from projections.attribution import PARTS, Attribution, attribute
from projections.book import traded
from projections.commons import BOTS
from projections.days import bar_end
from projections.history import History, View, point_of
from projections.points import Moment
from projections.sources import common_facts
from projections.telling import Json
from projections.worth import pairs

_ROWS = (
    Column("part", "part"),
    Column("from", "from", "number"),
    Column("to", "to", "number"),
    Column("change", "change", "profit"),
    Column("count", "facts", "number"),
    Column("told", "which"),
)
_TOLD = 3


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


@click.command(
    epilog="""\b
Examples:
  botledger diff RSIBot --from 2025-12-31
  botledger diff RSIBot --from 2025-12-31 --to 2026-01-31 --json
  botledger diff RSIBot --from 2025-12-31 --from-known-at 2026-01-01 --to 2025-12-31
    (what was learned since about the end of the year)
The parts add up to the change. price: what prices and rates did with what was held; trades: profit realised,
before fees; corrections: what was learned later about the time before."""
)
@click.argument("bot")
@click.option("--from", "from_as_of", metavar="T", type=MomentType(), help="As of when it begins (else everything).")
@click.option("--from-known-at", metavar="T", type=MomentType(), help="As the ledger knew it then.")
@click.option("--to", "to_as_of", metavar="T", type=MomentType(), help="As of when it ends (else everything).")
@click.option("--to-known-at", metavar="T", type=MomentType(), help="As the ledger knew it then.")
@json_flag
@with_settings()
def diff(
    settings: Settings,
    *,
    bot: str,
    from_as_of: Moment | None,
    from_known_at: Moment | None,
    to_as_of: Moment | None,
    to_known_at: Moment | None,
    as_json: bool,
) -> None:
    """The change of worth between two points, split into flows, price, trades, fees, dividends, corrections."""
    if from_as_of is None and from_known_at is None:
        raise click.UsageError("give --from T or --from-known-at T")
    with reading_log(settings.database, one_snapshot=True) as session:
        before = History(session, point_of(session, as_of=from_as_of, known_at=from_known_at))
        learned = History(session, point_of(session, as_of=from_as_of, known_at=to_known_at))
        after = History(session, point_of(session, as_of=to_as_of, known_at=to_known_at))
        changes = changes_of(before, learned, after, bot)
        base = after.view(bot).bot.base_currency
    if as_json:
        show((_fields(change, base) for change in changes), (), as_json=True, nothing="")
    else:
        show((_row(change) for change in changes), _ROWS, as_json=False, nothing="")


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
    common = {fact.position: fact for fact in common_facts(known_more.session, through=high) if fact.position > low}
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


def _fields(change: Change, base: str) -> Json:
    return {
        "part": change.part,
        "currency": base,
        "from": plain(change.before),
        "to": plain(change.after),
        "change": plain(change.change),
        "facts": [_fact(fact, change.amounts.get(fact.position)) for fact in change.facts],
    }


def _fact(fact: Recorded, amount: Decimal | None) -> Json:
    told: Json = {
        "position": fact.position,
        "subject": fact.subject,
        "id": fact.event.id,
        "type": fact.event.type,
        "at": format_time(fact.event.at),
        "recorded_at": format_time(fact.recorded_at),
    }
    return told if amount is None else {**told, "amount": plain(amount)}


def _row(change: Change) -> Json:
    ids = [fact.event.id for fact in change.facts[:_TOLD]]
    more = ["…"] if len(change.facts) > _TOLD else []
    return {
        "part": change.part,
        "from": f"{change.before:.2f}",
        "to": f"{change.after:.2f}",
        "change": f"{change.change:.2f}",
        "count": str(len(change.facts)) if change.facts else "",
        "told": " ".join([*ids, *more]),
    }
