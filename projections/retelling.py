"""Facts of the market that are voided after they were told: what was told of them is told again, from the log."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import delete
from sqlalchemy.orm import Session

from ledger.events import FactVoided, Recorded
from ledger.fields import interval_length
from ledger.market_events import BarsPublished, DividendDeclared, SharesSplit
from ledger.reading import find_fact
from projections.commons import BOTS, Commons
from projections.days import DAY, bar_end, ending_day
from projections.disputes import action_key
from projections.market import Effect
from projections.market_rows import BarKey, MarketRows
from projections.sources import load_commons, recorded_targets
from projections.tables import Flag, HistoricData, table
from projections.voids import OF_A_VOID, WAITING, identity, void_flags
from projections.writer import books_schema, delete_rows, insert_rows


def told_before(session: Session, voids: Iterable[Recorded], *, through: int) -> list[Recorded]:
    """Of what these voids name, the market's facts that are in the tables already."""
    found: list[Recorded] = []
    for fact in voids:
        assert isinstance(fact.event, FactVoided)
        target = find_fact(session, fact.event.subject, fact.event.target)
        if target is None or target.position > through:
            continue
        if isinstance(target.event, BarsPublished | SharesSplit | DividendDeclared):
            found.append(target)
    return found


def retell(
    session: Session, commons: Commons, gone: Sequence[Recorded], voids: Iterable[Recorded], *, through: int
) -> tuple[Commons, MarketRows]:
    """What all books share without these facts; bars and disputes that take the place of theirs, and what it changes.

    What the facts themselves had put into the tables is removed.
    """
    keys = frozenset(key for fact in gone for key in _bar_keys(fact))
    actions = {action_key(fact.event) for fact in gone if isinstance(fact.event, SharesSplit | DividendDeclared)}
    rows = MarketRows(only=keys)
    again = load_commons(session, through=through, into=rows, voids=voids)
    effects = [effect for fact in gone if (effect := _effect(fact, commons)) is not None]
    _remove(session, keys, [fact.position for fact in gone])
    disputes = {key: dispute for key, dispute in rows.disputes.items() if key in actions}
    return again, MarketRows(bars=rows.bars, disputes=disputes, effects=effects)


def save_void_flags(session: Session, commons: Commons, facts: Sequence[Recorded], *, through: int) -> None:
    """Flag the new voids that void nothing yet; unflag those whose target has come."""
    told = [fact for fact in facts if isinstance(fact.event, FactVoided) and not fact.event.subject.startswith(BOTS)]
    for fact in facts:
        told.extend(commons.voids_of(identity(fact)))
    voids = list({fact.position: fact for fact in told if not fact.subject.startswith(BOTS)}.values())
    if not voids:
        return
    keys = [{"kind": kind, "position": fact.position} for kind in (WAITING, OF_A_VOID) for fact in voids]
    delete_rows(session, table(Flag), keys)
    flags = void_flags(voids, recorded_targets(session, voids, through=through), None)
    insert_rows(session, table(Flag), flags, schema=books_schema(session))


def _bar_keys(fact: Recorded) -> Iterable[BarKey]:
    event = fact.event
    if isinstance(event, BarsPublished):
        for bar in event.bars:
            yield (event.symbol, event.interval, bar.start)


def _effect(fact: Recorded, commons: Commons) -> Effect | None:
    """From which day on holders have something else without this fact."""
    event = fact.event
    match event:
        case SharesSplit() | DividendDeclared():
            return Effect(event.symbol, commons.market.reach(event), is_action=True)
        case BarsPublished():
            length = interval_length(event.interval)
            if length is None or length > DAY:
                return None
            first = min(ending_day(bar_end(bar.start, length)) for bar in event.bars)
            return Effect(event.symbol, first, is_action=False)
        case _:
            raise AssertionError(event)


def _remove(session: Session, keys: Iterable[BarKey], positions: Sequence[int]) -> None:
    names = ("symbol", "interval", "timestamp")
    delete_rows(session, table(HistoricData), [dict(zip(names, key, strict=True)) for key in keys])
    session.execute(delete(Flag).where(Flag.bot_name.is_(None), Flag.position.in_(positions)))
