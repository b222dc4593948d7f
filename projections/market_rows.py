"""What market facts put into the tables: bars as they stand, disputes, future dates; the same for every path."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from sqlalchemy import delete
from sqlalchemy.orm import Session

from ledger.events import Recorded, StatementIssued
from ledger.market_events import BarsPublished, DividendDeclared, SharesSplit
from projections.bookkeeping import FUTURE
from projections.commons import Commons
from projections.disputes import ActionKey, Dispute
from projections.market import Effect
from projections.rows import BarRow, FlagRow
from projections.tables import Flag, HistoricData, table
from projections.voids import identity
from projections.writer import books_schema, insert_rows, upsert_rows

BarKey = tuple[object, ...]
OPERATORS = "ops."


@dataclass(slots=True)
class MarketRows:
    """Rows of market facts, each bar (perhaps of some `only`) and dispute once, and what they change for holders."""

    bars: dict[BarKey, BarRow] = field(default_factory=dict)
    disputes: dict[ActionKey, Dispute] = field(default_factory=dict)
    flags: list[FlagRow] = field(default_factory=list)
    effects: list[Effect] = field(default_factory=list)
    only: frozenset[BarKey] | None = None

    @property
    def flag_rows(self) -> list[FlagRow]:
        """All flags that these facts raise."""
        return [*self.flags, *(dispute.flag for dispute in self.disputes.values() if dispute.flag is not None)]


def take_in(commons: Commons, facts: Iterable[Recorded], into: MarketRows | None = None) -> MarketRows:
    """Take in what all books share among these facts, voids aside, which are known before; the rows that they make."""
    rows = MarketRows() if into is None else into
    market = commons.market
    for fact in facts:
        if commons.voids_of(identity(fact)):
            continue
        match fact.event:
            case BarsPublished():
                _take_bars(rows, fact, fact.event)
                effect = market.record_bars(fact, fact.event)
                if effect is not None:
                    rows.effects.append(effect)
            case SharesSplit() | DividendDeclared():
                effect, dispute = market.record_action(fact, fact.event)
                rows.effects.append(effect)
                rows.disputes[dispute.key] = dispute
            case StatementIssued() if fact.subject.startswith(OPERATORS):
                commons.record_statement(fact)
                continue
            case _:
                continue
        if fact.event.at - fact.recorded_at > FUTURE:
            detail = f"dated {fact.event.at - fact.recorded_at} after it was recorded"
            rows.flags.append(FlagRow("future_date", fact.position, "", None, fact.event.at, detail))
    return rows


def save_market(session: Session, rows: MarketRows) -> None:
    """Write the rows; of a bar the later version stands, of a dispute the last word."""
    upsert_rows(session, table(HistoricData), list(rows.bars.values()), newer_by=("at", "event_id", "subject"))
    for dispute in rows.disputes.values():
        session.execute(delete(Flag).where(Flag.kind == "disputed", Flag.position.in_(dispute.positions)))
    insert_rows(session, table(Flag), rows.flag_rows, schema=books_schema(session))


def _take_bars(rows: MarketRows, fact: Recorded, event: BarsPublished) -> None:
    """Of several versions of one bar the latest in the total order stands."""
    version = (event.at, event.id, fact.subject)
    for bar in event.bars:
        key = (event.symbol, event.interval, bar.start)
        if rows.only is not None and key not in rows.only:
            continue
        standing = rows.bars.get(key)
        if standing is None or (standing.at, standing.event_id, standing.subject) < version:
            bar_row = BarRow(
                event.symbol, event.interval, *bar, event.currency, fact.position, *version, event.adjusted_through
            )
            rows.bars[key] = bar_row
