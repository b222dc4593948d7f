"""What a fold of one bot puts into the tables, and how much of what was there it stands for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from ledger.events import Recorded
from ledger.market_events import DividendDeclared
from projections.book import traded
from projections.market import Market
from projections.rows import (
    BotRow,
    FlagRow,
    HoldingRow,
    InterestRow,
    LotRow,
    MatchRow,
    MovementRow,
    RunRow,
    SnapshotRow,
    TradeRow,
    WorthRow,
)
from projections.standing_rows import Change


class Changed(NamedTuple):
    """What late facts can have changed of what is dated behind them, beside the worth, which is told in full.

    Fills close lots of their own symbol only: trades and matches of these symbols. What moves cash follows from its own
    fact alone, but for dividends, which go by what is held: those of these symbols, by time and position. Flags are
    told in full, or, where nothing else can have changed, those of `flags`, the kinds that are of a symbol alone.
    Trades of before stand as they are but for these `profits`, by id; None: all are told again.
    """

    symbols: frozenset[str]
    dividends: tuple[tuple[datetime, int], ...]
    flags: tuple[str, ...] | None = None
    profits: dict[int, Decimal | None] | None = None


@dataclass(slots=True)
class BotRows:
    """What a fold puts into the tables for one bot.

    Rows with a date are those from `from_day` on; where `replaces`, they stand for all that were there, with `changed`
    only for these: the others were told before and are left as they are. `clears_worth`: whether there can be rows of
    the worth from that day on. `book_flags` are about the whole book. `bot` is None where no fact of the bot's own
    stands. `without_price` are days of the worth on which none came in.
    """

    name: str
    bot: BotRow | None
    from_day: int
    replaces: bool
    changed: Changed | None
    clears_worth: bool
    trades: list[TradeRow]
    matches: list[MatchRow]
    movements: list[MovementRow]
    flags: list[FlagRow]
    runs: list[RunRow]
    worth: list[WorthRow]
    without_price: list[int]
    snapshots: list[SnapshotRow]
    lots: Change[LotRow]
    holdings: Change[HoldingRow]
    interests: Change[InterestRow]
    book_flags: Change[FlagRow]


def leave_out_unchanged(
    rows: BotRows,
    late: Sequence[Recorded],
    market: Market,
    *,
    flags: tuple[str, ...] | None = None,
    profits: dict[int, Decimal | None] | None = None,
) -> None:
    """Keep, of rows that were folded again, those that these late facts can have changed or that are theirs.

    `flags` and `profits` as in `Changed`.
    """
    symbols = frozenset(traded(late))
    actions = [action for action in market.actions(symbols, after=None) if isinstance(action.event, DividendDeclared)]
    dividends = tuple((action.event.at, action.position) for action in actions)
    rows.changed = Changed(symbols, dividends, flags, profits)
    told = {fact.position for fact in [*late, *actions]}
    rows.trades = [row for row in rows.trades if row.symbol in symbols]
    rows.matches = [row for row in rows.matches if row.symbol in symbols]
    rows.movements = [row for row in rows.movements if row.position in told]
