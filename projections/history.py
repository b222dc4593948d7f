"""The books as of a time, as known at a time, under another cost basis, or with other facts: straight from the log.

Nothing is stored. The same fold as that of the tables runs over the facts that count.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

from sqlalchemy.orm import Session

from ledger.amounts import ZERO, rounded
from ledger.errors import UnknownName
from ledger.events import CostBasis, FactVoided, Recorded
from ledger.fields import format_time
from ledger.log import read_head
from ledger.reading import position_known_at
from projections.altering import Transform
from projections.book import with_actions
from projections.bot_rows import BotRows
from projections.commons import BOTS, Commons
from projections.folding import fold
from projections.market import Market
from projections.market_rows import take_in
from projections.points import Moment
from projections.rows import BotRow
from projections.sources import bot_facts, bot_subjects, common_facts, load_voids
from projections.telling import FLAGS_TOLD, Json, glance_of, plain_fields, portfolio_of
from projections.voids import standing_facts


@dataclass(frozen=True, slots=True)
class Point:
    """What is asked for: as of a time (None: everything), known up to a position of the log."""

    position: int
    as_of: Moment | None = None

    @property
    def before(self) -> datetime | None:
        """The facts before this moment count; None: all."""
        return None if self.as_of is None else self.as_of.facts_before


def point_of(session: Session, *, as_of: Moment | None = None, known_at: Moment | None = None) -> Point:
    """The point that two times mean: known at a time is the log up to the last fact recorded by then."""
    head = read_head(session).position
    if known_at is None:
        return Point(head, as_of)
    return Point(position_known_at(session, known_at.facts_before), as_of)


@dataclass(frozen=True, slots=True)
class View:
    """A bot's books at a point: its rows, and the facts that they were folded from, splits and dividends too.

    Shape: `facts` stand (no voids, nothing voided) and are in the total order.
    """

    name: str
    bot: BotRow
    rows: BotRows
    facts: tuple[Recorded, ...]
    market: Market
    point: Point
    cost_basis: CostBasis | None = None


@dataclass
class History:
    """The log at a point, ready to be asked for bots; what all books share is read once.

    `extra` are facts that are supposed to be recorded behind the others.
    """

    session: Session
    point: Point
    extra: Sequence[Recorded] = field(default_factory=tuple)

    @cached_property
    def commons(self) -> Commons:
        """What all books share at this point."""
        commons = load_voids(self.session, through=self.point.position, as_of=self.point.as_of)
        for fact in self.extra:
            if isinstance(fact.event, FactVoided) and not fact.subject.startswith(BOTS):
                commons.record_void(fact)
        for fact in common_facts(self.session, through=self.point.position):
            take_in(commons, (fact,))
        take_in(commons, [fact for fact in self.extra if not fact.subject.startswith(BOTS)])
        return commons

    @property
    def names(self) -> Iterator[str]:
        """The names of all bots that the log knows at this position, also those that were not there as of the time."""
        for subject in bot_subjects(self.session, self.commons, through=self.point.position):
            yield subject.removeprefix(BOTS)

    def own(self, name: str) -> list[Recorded]:
        """All facts that a bot's books are a function of, beside the market, whatever their time."""
        subject = f"{BOTS}{name}"
        found = bot_facts(self.session, self.commons, subject, through=self.point.position)
        return found + [fact for fact in self.extra if fact.subject == subject]

    def view(self, name: str, *, cost_basis: CostBasis | None = None, transform: Transform | None = None) -> View:
        """A bot's books at this point.

        Raises: UnknownName where no fact of the bot's own counts.
        """
        found = self.find(name, cost_basis=cost_basis, transform=transform)
        if found is None:
            raise UnknownName(self._unknown(name))
        return found

    def find(
        self, name: str, *, cost_basis: CostBasis | None = None, transform: Transform | None = None
    ) -> View | None:
        """A bot's books at this point, or None where no fact of the bot's own counts."""
        own, before, market = self.own(name), self.point.before, self.commons.market
        if transform is not None:
            own = [other for fact in own if (other := transform(fact)) is not None]
        rows = fold(name, own, market, cost_basis=cost_basis, before=before)[1]
        if rows.bot is None:
            return None
        facts = [fact for fact in standing_facts(own) if before is None or fact.event.at < before]
        return View(name, rows.bot, rows, tuple(with_actions(facts, market)), market, self.point, cost_basis)

    def _unknown(self, name: str) -> str:
        subject, as_of = f"{BOTS}{name}", self.point.as_of
        spoken = [fact for fact in standing_facts(self.own(name)) if fact.subject == subject]
        if spoken and as_of is not None:
            first = min(spoken, key=lambda fact: fact.order).event.at
            return f"as of {as_of.text} there was no bot {name}: its first fact is of {format_time(first)}"
        is_past = as_of is not None or self.point.position < read_head(self.session).position
        return f"no bot {name[:80]!r} is in the log" + (" at that time" if is_past else "")


def portfolio(view: View) -> Json:
    """A bot's cash, holdings, profit and worth as one object, as `queries.portfolio` tells them."""
    flags = sorted(
        [*view.rows.flags, *view.rows.book_flags.new],
        key=lambda flag: (flag.at, flag.position, flag.kind, flag.symbol),
    )
    return portfolio_of(
        view.bot._asdict(),
        [holding._asdict() for holding in view.rows.holdings.new],
        [lot._asdict() for lot in view.rows.lots.new],
        [flag._asdict() for flag in flags[-FLAGS_TOLD:]],
        flag_count=len(flags),
        position=view.point.position,
        as_of=None if view.point.as_of is None else view.point.as_of.text,
    )


def trades(view: View) -> Iterator[Json]:
    """A bot's trades, oldest first."""
    for row in sorted(view.rows.trades, key=lambda row: (row.timestamp, row.event_id)):
        yield plain_fields(row._asdict())


def runs(view: View) -> Iterator[Json]:
    """A bot's runs, oldest first."""
    for row in sorted(view.rows.runs, key=lambda row: (row.start_time, row.run)):
        yield plain_fields(row._asdict())


def worth(view: View) -> Iterator[Json]:
    """A bot's worth day by day, oldest first."""
    for row in view.rows.worth:
        yield plain_fields(row._asdict())


def glance(view: View) -> Json:
    """A bot with the figures that a glance wants, as `queries.fleet` tells them."""
    last = max(view.rows.runs, key=lambda row: (row.start_time, row.id), default=None)
    with rounded():
        flows = sum((row.net_flow for row in view.rows.worth), ZERO)
    return glance_of(
        view.bot._asdict(),
        [holding._asdict() for holding in view.rows.holdings.new],
        flows=flows,
        trades=len(view.rows.trades),
        runs=len(view.rows.runs),
        last_run=None if last is None else last._asdict(),
    )
