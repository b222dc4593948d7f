"""What folds are made of, read from the log: what all books share, and a bot's own facts."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from ledger.events import FactVoided, Recorded
from ledger.reading import find_fact, read_kind, read_subject, subjects
from projections.commons import BOTS, Commons
from projections.days import start_of
from projections.market import Market
from projections.market_rows import MarketRows, take_in
from projections.points import Moment
from projections.rematching import Previous
from projections.rows import FlagRow, SnapshotRow, TradeRow
from projections.tables import CashMovement, Snapshot, Trade, table
from projections.voids import Identity, void_flags

COMMON_KINDS = ("ops", "market", "actions")
_SNAPSHOTS = select(Snapshot.bot_name, Snapshot.date, Snapshot.facts, Snapshot.book)


def load_commons(
    session: Session,
    *,
    through: int,
    into: MarketRows | None = None,
    voids: Iterable[Recorded] = (),
    as_of: Moment | None = None,
) -> Commons:
    """What all books share, as the facts up to a position tell it, with more voids where some are given.

    `into` gathers the rows of the market; `as_of` is when somebody asks for.
    """
    commons = load_voids(session, through=through, as_of=as_of)
    for fact in voids:
        commons.record_void(fact)
    for fact in common_facts(session, through=through):
        take_in(commons, (fact,), into=into)
    return commons


def load_voids(session: Session, *, through: int, as_of: Moment | None = None) -> Commons:
    """A market without facts yet, with every void up to a position known: these come first."""
    commons = Commons(Market(as_of))
    for kind in COMMON_KINDS:
        for fact in read_kind(session, kind, type_="void", through=through):
            commons.record_void(fact)
    return commons


def common_facts(session: Session, *, after: int = 0, through: int) -> Iterator[Recorded]:
    """The facts of operators, feeds and sources between two positions, in no particular order."""
    for kind in COMMON_KINDS:
        yield from read_kind(session, kind, after=after, through=through)


def bot_facts(
    session: Session, commons: Commons, subject: str, *, through: int, since: datetime | None = None
) -> list[Recorded]:
    """Everything that a bot's books are a function of, beside the market: its own facts, and operators' about it.

    With `since` only what is dated then or later, and no voids.
    """
    if since is None:
        return [*read_subject(session, subject, through=through), *commons.about(subject)]
    found = [*read_subject(session, subject, through=through, since=since), *commons.about(subject)]
    return [fact for fact in found if fact.event.at >= since and not isinstance(fact.event, FactVoided)]


def newest_snapshot(session: Session, bot: str, *, day: int) -> SnapshotRow | None:
    """The newest snapshot of a bot's book that holds nothing of this day or later."""
    query = (
        _SNAPSHOTS.where(Snapshot.bot_name == bot, Snapshot.date <= start_of(max(day, 1)))
        .order_by(Snapshot.date.desc())
        .limit(1)
    )
    row = session.execute(query).one_or_none()
    return None if row is None else SnapshotRow(*row)


def read_previous(
    session: Session, bot: str, symbols: Collection[str], market: Market, snapshot: SnapshotRow
) -> Previous:
    """What the tables tell of some of a bot's symbols from a snapshot on, and the snapshots behind it."""
    since = snapshot.date
    trades = select(*table(Trade).columns).where(
        Trade.bot_name == bot, Trade.timestamp >= since, Trade.symbol.in_(symbols)
    )
    actions = [action for action in market.actions(symbols, after=None) if action.event.at >= since]
    dividends = select(CashMovement.position, CashMovement.amount).where(
        CashMovement.bot_name == bot,
        CashMovement.at.in_({action.event.at for action in actions}),
        CashMovement.position.in_({action.position for action in actions}),
    )
    snapshots = _SNAPSHOTS.where(Snapshot.bot_name == bot, Snapshot.date > since).order_by(Snapshot.date)
    return Previous(
        [TradeRow(*row) for row in session.execute(trades).all()] if symbols else [],
        {row.position: row.amount for row in session.execute(dividends)} if actions else {},
        [SnapshotRow(*row) for row in session.execute(snapshots)],
    )


def load_actions(session: Session, *, through: int, as_of: Moment) -> Commons:
    """What all books share, without prices: splits, dividends, and what operators say."""
    commons = Commons(Market(as_of))
    facts = [fact for kind in ("ops", "actions") for fact in read_kind(session, kind, through=through)]
    for fact in facts:
        if isinstance(fact.event, FactVoided):
            commons.record_void(fact)
    take_in(commons, facts)
    return commons


def bot_subjects(session: Session, commons: Commons, *, through: int) -> tuple[str, ...]:
    """The subjects of the bots that have spoken, or that operators say anything about, sorted."""
    return tuple(sorted({*subjects(session, BOTS[:-1], through=through), *commons.bots}))


def common_void_flags(session: Session, commons: Commons, *, through: int) -> list[FlagRow]:
    """The flags of voids, of facts of feeds, sources and operators, that void nothing."""
    voids = list(commons.voids)
    return void_flags(voids, recorded_targets(session, voids, through=through), None)


def recorded_targets(session: Session, voids: list[Recorded], *, through: int) -> dict[Identity, bool]:
    """Of what these voids name, what is recorded up to a position, and whether that is a void itself."""
    known: dict[Identity, bool] = {}
    for fact in voids:
        assert isinstance(fact.event, FactVoided)
        target = find_fact(session, fact.event.subject, fact.event.target)
        if target is not None and target.position <= through:
            known[fact.event.subject, fact.event.target] = isinstance(target.event, FactVoided)
    return known
